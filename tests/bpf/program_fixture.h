// A loaded program with one uplink (the loopback device, which BPF_PROG_TEST_RUN takes as the receiving one) and one
// session, and a way to run single frames through it.
#pragma once

#include <bpf/bpf.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>

#include <array>
#include <cstring>
#include <memory>
#include <set>
#include <span>
#include <string>

#include "base/bytes.h"
#include "dataplane/xdp.h"
#include "environment.h"
#include "frames.h"

namespace centipede::test {

inline constexpr unsigned loopback = 1;
inline constexpr uint64_t sid = 0x1122334455667788;
inline constexpr uint32_t lanes = 3;
inline constexpr uint32_t words = 64;       // of one lane
inline constexpr uint32_t first_word = 32;  // not 0, so that a forgotten offset shows
inline constexpr uint32_t uplink_index = 5;
inline constexpr uint32_t counter_slot = 2;
inline constexpr uint8_t live_workers = 2;
inline constexpr uint32_t xsk_slots = CP_MAX_UPLINKS * CP_MAX_QUEUES * live_workers;

// Where frames go that say nothing else (frames.h).
inline std::set<IpAddress> own_addresses() {
  return {*IpAddress::parse("192.0.2.2"), *IpAddress::parse("2020:2020:2020:2020:2020:2020:2020:2020")};
}

inline constexpr std::array<const char*, CP_VERDICTS> verdict_names{
    "redirected",     "duplicate",   "too_old",    "handshake",       "bad_mac1", "challenged",
    "source_limited", "uncalled",    "control",    "unknown_session", "unlisted", "no_socket",
    "bad_lane",       "bad_counter", "no_message", "malformed",       "fragment", "foreign"};

// What becomes of a frame with this verdict, by include/centipede/abi.h.
inline int action_of(cp_verdict verdict) {
  switch (verdict) {
    case CP_VERDICT_REDIRECTED:
      return XDP_REDIRECT;
    case CP_VERDICT_CHALLENGED:
      return XDP_TX;
    case CP_VERDICT_DUPLICATE:
    case CP_VERDICT_TOO_OLD:
    case CP_VERDICT_BAD_MAC1:
    case CP_VERDICT_SOURCE_LIMITED:
    case CP_VERDICT_UNCALLED:
    case CP_VERDICT_UNKNOWN_SESSION:
    case CP_VERDICT_BAD_LANE:
    case CP_VERDICT_BAD_COUNTER:
    case CP_VERDICT_NO_MESSAGE:
      return XDP_DROP;
    default:
      return XDP_PASS;
  }
}

inline cp_uplink uplink_entry(unsigned ifindex, uint8_t queues = 1, uint16_t port = tunnel_port) {
  return {.ifindex = ifindex, .port_be = __builtin_bswap16(port), .queues = queues, .workers = live_workers};
}

using Counts = std::array<uint64_t, CP_VERDICTS>;

class ProgramTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!environment_problem().empty()) GTEST_SKIP() << environment_problem();
    auto loaded = XdpProgram::load(
        {.tunnel = "test", .window_words = 1024, .max_sessions = 8, .max_calls = 4, .xsk_slots = xsk_slots});
    ASSERT_TRUE(loaded) << loaded.error().text;
    program = std::move(*loaded);
    put_uplink();
    put_session();
    ASSERT_TRUE(program->set_addresses(own_addresses()));
  }

  void put_uplink(uint8_t queues = 1) { program->put_uplink(uplink_index, uplink_entry(loopback, queues)); }

  void put_session() {
    const cp_session session{
        .peer = 1, .first_word = first_word, .lanes = lanes, .words = words, .counter_slot = counter_slot};
    ASSERT_TRUE(program->put_session(sid, session));
  }

  std::span<uint64_t> lane_window(uint32_t lane) {
    return program->windows().subspan(first_word + lane * words, words);
  }

  // The action, or minus errno. One run without more. `out` takes what the program made of the frame.
  int run(std::span<const uint8_t> frame, uint32_t repeat = 1, uint32_t* ns = nullptr, Frame* out = nullptr) {
    LIBBPF_OPTS(bpf_test_run_opts, options);
    options.data_in = frame.data();
    options.data_size_in = static_cast<uint32_t>(frame.size());
    options.repeat = static_cast<int>(repeat);
    if (out != nullptr) {
      out->resize(frame.size());
      options.data_out = out->data();
      options.data_size_out = static_cast<uint32_t>(out->size());
    }
    const int code = bpf_prog_test_run_opts(program->program_fd(), &options);
    if (ns != nullptr) *ns = options.duration;
    if (out != nullptr) out->resize(code == 0 ? options.data_size_out : 0);
    return code != 0 ? code : static_cast<int>(options.retval);
  }

  Counts counts(uint32_t row = uplink_index) {
    const auto read = program->counters(row);
    EXPECT_TRUE(read);
    Counts out{};
    if (read) std::memcpy(out.data(), &*read, sizeof out);
    return out;
  }

  // Exactly one verdict counted, and this one.
  void expect(const char* what, std::span<const uint8_t> frame, int action, cp_verdict verdict,
              uint32_t row = uplink_index) {
    EXPECT_EQ(action, action_of(verdict)) << what;
    SCOPED_TRACE(what);
    const Counts before = counts(row);
    EXPECT_EQ(run(frame), action);
    const Counts after = counts(row);
    for (size_t i = 0; i < CP_VERDICTS; ++i)
      EXPECT_EQ(after[i] - before[i], i == static_cast<size_t>(verdict) ? 1U : 0U) << verdict_names[i];
  }

  std::unique_ptr<XdpProgram> program;
};

inline uint64_t window_word(uint32_t generation, uint32_t bits) {
  return uint64_t{generation} << 32 | bits;
}

inline Frame data_frame(uint8_t lane, uint64_t counter, uint64_t session = sid) {
  return build({.payload = data_packet(lane, counter, session)});
}

// How much work a random test does: `ordinary`, or 100 times as much when CENTIPEDE_TEST_LONG is set.
inline uint64_t long_rounds(uint64_t ordinary) {
  return std::getenv("CENTIPEDE_TEST_LONG") != nullptr ? ordinary * 100 : ordinary;
}

}  // namespace centipede::test
