// The program against models in C++: the replay window on random words and counters, and whole frames, made and mangled
// at random, through the same parser compiled for user space.
#include <centipede/frame.h>
#include <centipede/wire.h>

#include <algorithm>
#include <memory>
#include <random>
#include <vector>

#include "crypto/window.h"
#include "program_fixture.h"

namespace centipede::test {
namespace {

using Random = std::mt19937_64;

// Written from docs/protocol.md section 4 alone.
cp_verdict model_window(uint64_t word, uint64_t counter) {
  if (counter >= CP_COUNTER_LIMIT) return CP_VERDICT_BAD_COUNTER;
  const uint64_t generation = counter / 32;
  const uint64_t current = word >> 32;
  if (current > generation) return CP_VERDICT_TOO_OLD;
  if (current == generation && ((word >> (counter % 32)) & 1) == 1) return CP_VERDICT_DUPLICATE;
  return CP_VERDICT_NO_SOCKET;
}

bool drops(cp_verdict verdict) {
  return verdict == CP_VERDICT_DUPLICATE || verdict == CP_VERDICT_TOO_OLD || verdict == CP_VERDICT_BAD_LANE ||
         verdict == CP_VERDICT_BAD_COUNTER;
}

crypto::WindowVerdict as_window_verdict(cp_verdict verdict) {
  switch (verdict) {
    case CP_VERDICT_TOO_OLD:
      return crypto::WindowVerdict::too_old;
    case CP_VERDICT_DUPLICATE:
      return crypto::WindowVerdict::duplicate;
    case CP_VERDICT_BAD_COUNTER:
      return crypto::WindowVerdict::beyond;
    default:
      return crypto::WindowVerdict::fresh;
  }
}

uint64_t random_counter(Random& random) {
  const uint64_t value = random();
  switch (random() % 4) {
    case 0:
      return value % 4096;
    case 1:
      return value % CP_COUNTER_LIMIT;
    case 2:
      return CP_COUNTER_LIMIT - 64 + value % 128;
    default:
      return value & CP_COUNTER_MASK;
  }
}

// Near the counter's own generation most of the time, where the decisions are.
uint64_t random_word(Random& random, uint64_t counter) {
  const auto bits = static_cast<uint32_t>(random());
  const auto generation = static_cast<uint32_t>(counter / 32);
  switch (random() % 6) {
    case 0:
      return random();
    case 1:
      return 0;
    case 2:
      return window_word(generation + words, bits);
    case 3:
      return window_word(generation - words, bits);
    default:
      return window_word(generation, bits);
  }
}

class DifferentialTest : public ProgramTest {};

TEST_F(DifferentialTest, window_verdicts_agree_with_the_model_and_with_crypto_window) {
  Random random(1);
  Frame frame = data_frame(0, 0);
  uint8_t* number = frame.data() + frame.size() - 64;
  Counts expected = counts();
  const uint64_t pairs = rounds(100'000);
  for (uint64_t i = 0; i < pairs; ++i) {
    const auto lane = static_cast<uint32_t>(random() % lanes);
    const uint64_t counter = random_counter(random);
    const size_t slot = (counter / 32) % words;
    lane_window(lane)[slot] = random_word(random, counter);
    const uint64_t word = lane_window(lane)[slot];
    store_be<uint64_t>(number, uint64_t{lane} << CP_LANE_SHIFT | counter);

    const cp_verdict verdict = model_window(word, counter);
    ++expected[verdict];
    ASSERT_EQ(run(frame), drops(verdict) ? XDP_DROP : XDP_PASS) << "word " << word << " counter " << counter;
    ASSERT_EQ(crypto::Window(lane_window(lane)).check(counter), as_window_verdict(verdict))
        << "word " << word << " counter " << counter;
    ASSERT_EQ(lane_window(lane)[slot], word) << "the program wrote to the window";
    if (i % 1000 == 999) {
      ASSERT_EQ(counts(), expected) << "after pair " << i;
    }
  }
  EXPECT_EQ(counts(), expected);
  EXPECT_GT(expected[CP_VERDICT_DUPLICATE], pairs / 20);
  EXPECT_GT(expected[CP_VERDICT_TOO_OLD], pairs / 20);
}

// The whole program, in user space.
cp_verdict model_frame(std::span<const uint8_t> bytes, std::span<const uint64_t> window) {
  cp_frame frame{};
  const cp_frame_kind kind = cp_parse_frame(bytes.data(), bytes.data() + bytes.size(), &frame);
  if (kind == CP_KIND_FOREIGN) return CP_VERDICT_FOREIGN;
  if (kind == CP_KIND_FRAGMENT) return CP_VERDICT_FRAGMENT;
  if (cp_host16(frame.destination_port_be) != tunnel_port) return CP_VERDICT_FOREIGN;
  if (kind == CP_KIND_MALFORMED || frame.payload_length < CP_DATA_HEADER_SIZE) return CP_VERDICT_MALFORMED;
  EXPECT_LE(size_t{frame.payload_offset} + frame.payload_length, bytes.size());
  const uint8_t* payload = bytes.data() + frame.payload_offset;
  if ((payload[0] & CP_CONTROL_BIT) != 0) return CP_VERDICT_HANDSHAKE;
  const auto number = load_be<uint64_t>(payload);
  const uint64_t lane = number >> CP_LANE_SHIFT;
  const uint64_t counter = number & CP_COUNTER_MASK;
  if (lane == CP_CONTROL_LANE) return CP_VERDICT_CONTROL;
  if (load_be<uint64_t>(payload + CP_OFFSET_SID) != sid) return CP_VERDICT_UNKNOWN_SESSION;
  if (counter >= CP_COUNTER_LIMIT) return CP_VERDICT_BAD_COUNTER;
  if (lane >= lanes) return CP_VERDICT_BAD_LANE;
  return model_window(window[first_word + lane * words + (counter / 32) % words], counter);
}

template <class T>
T pick(Random& random, std::initializer_list<T> from) {
  return from.begin()[random() % from.size()];
}

FrameSpec random_spec(Random& random) {
  FrameSpec spec;
  for (uint64_t tags = random() % 4; tags > 0 && random() % 2 == 0; --tags)
    spec.tags.push_back(pick<uint16_t>(random, {0x8100, 0x88a8}));
  spec.family = pick(random, {4, 4, 6, 6, 0});
  spec.ipv4_header = pick(random, {20U, 20U, 24U, 60U, 16U});
  spec.fragment_field = pick<uint16_t>(random, {0, 0x4000, 0x4000, 0x2000, 1});
  for (uint64_t n = random() % 8; n > 0 && random() % 2 == 0; --n)
    spec.extensions.emplace_back(pick<uint8_t>(random, {0, 43, 60, 60, 44}), static_cast<uint8_t>(random() % 4));
  spec.protocol = pick<uint8_t>(random, {17, 17, 17, 17, 6});
  spec.port = pick<uint16_t>(random, {tunnel_port, tunnel_port, tunnel_port, 53});
  const auto lane = pick<uint8_t>(random, {0, 1, 2, 3, 126, 127, 255});
  spec.payload = data_packet(lane, random_counter(random), random() % 8 == 0 ? random() : sid, random() % 80);
  if (random() % 8 == 0) spec.udp_length = static_cast<uint16_t>(random() % 128);
  if (random() % 8 == 0) spec.ip_length = static_cast<uint16_t>(random() % 160);
  spec.padding = static_cast<unsigned>(random() % 4 == 0 ? random() % 20 : 0);
  return spec;
}

void mangle(Random& random, Frame& frame) {
  for (uint64_t n = random() % 5; n > 0; --n) {
    const size_t at = random() % std::min<size_t>(frame.size(), 80);
    frame[at] =
        random() % 2 == 0 ? static_cast<uint8_t>(random()) : static_cast<uint8_t>(frame[at] ^ 1U << random() % 8);
  }
  if (random() % 8 == 0) frame.resize(14 + random() % (frame.size() - 13));
}

TEST_F(DifferentialTest, verdicts_on_random_and_mangled_frames_agree_with_the_model) {
  Random random(2);
  for (uint32_t lane = 0; lane < lanes; ++lane) {
    for (uint32_t slot = 0; slot < words; ++slot) {
      const auto generation = slot + words * static_cast<uint32_t>(random() % 3);
      lane_window(lane)[slot] = window_word(generation, static_cast<uint32_t>(random()));
    }
  }
  const std::vector<uint64_t> window(program->windows().begin(), program->windows().end());
  Counts expected = counts();
  const uint64_t frames = rounds(100'000);
  for (uint64_t i = 0; i < frames; ++i) {
    Frame frame = build(random_spec(random));
    mangle(random, frame);
    const cp_verdict verdict = model_frame(frame, window);
    ++expected[verdict];
    ASSERT_EQ(run(frame), drops(verdict) ? XDP_DROP : XDP_PASS)
        << "frame " << i << ": " << testing::PrintToString(frame) << " expected " << verdict_names[verdict];
    if (i % 1000 == 999) {
      ASSERT_EQ(counts(), expected) << "after frame " << i;
    }
  }
  for (size_t i = CP_VERDICT_REDIRECTED + 1; i < CP_VERDICTS; ++i)
    EXPECT_GT(expected[i], 10U) << "never tried: " << verdict_names[i];
  EXPECT_TRUE(std::equal(window.begin(), window.end(), program->windows().begin()))
      << "the program wrote to the windows";
}

TEST_F(DifferentialTest, the_parser_survives_every_cut_of_random_frames_in_user_space) {
  Random random(3);
  for (uint64_t i = 0; i < rounds(2000); ++i) {
    Frame frame = build(random_spec(random));
    mangle(random, frame);
    for (size_t size = 0; size <= frame.size(); ++size) {
      // An exact allocation, so that the address sanitizer sees the first byte read beyond.
      const auto cut = std::make_unique<uint8_t[]>(size);
      std::copy_n(frame.begin(), size, cut.get());
      cp_frame parsed{};
      if (cp_parse_frame(cut.get(), cut.get() + size, &parsed) != CP_KIND_UDP) continue;
      ASSERT_LE(size_t{parsed.payload_offset} + parsed.payload_length, size);
    }
  }
}

TEST_F(DifferentialTest, windows_are_byte_identical_after_every_kind_of_packet) {
  Random random(4);
  for (uint64_t& word : program->windows())
    word = random();
  const std::vector<uint64_t> before(program->windows().begin(), program->windows().end());
  for (uint32_t lane = 0; lane <= lanes; ++lane)
    for (uint64_t counter = 0; counter < uint64_t{words} * 32; counter += 7)
      run(data_frame(static_cast<uint8_t>(lane), counter));
  EXPECT_TRUE(std::equal(before.begin(), before.end(), program->windows().begin()));
}

// What BPF_PROG_TEST_RUN itself costs a run.
int run_empty_program(std::span<const uint8_t> frame, int repeat, uint32_t* ns) {
  const std::array<bpf_insn, 2> code{
      {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = XDP_PASS},
       {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}}};
  const FileDescriptor fd(bpf_prog_load(BPF_PROG_TYPE_XDP, "pass", "GPL", code.data(), code.size(), nullptr));
  LIBBPF_OPTS(bpf_test_run_opts, options);
  options.data_in = frame.data();
  options.data_size_in = static_cast<uint32_t>(frame.size());
  options.repeat = repeat;
  if (const int error = bpf_prog_test_run_opts(fd.get(), &options); error != 0) return error;
  *ns = options.duration;
  return static_cast<int>(options.retval);
}

TEST_F(DifferentialTest, nanoseconds_per_verdict_are_printed) {
  lane_window(0)[0] = window_word(0, 1U << 5);
  const std::vector<std::pair<const char*, Frame>> cases{
      {"foreign, TCP", build({.protocol = 6, .payload = data_packet(0, 5, sid)})},
      {"foreign, other port", build({.port = 53, .payload = data_packet(0, 5, sid)})},
      {"duplicate", data_frame(0, 5)},
      {"no socket", data_frame(0, 6)},
      {"duplicate, IPv6", build({.family = 6, .payload = data_packet(0, 5, sid)})},
  };
  uint32_t empty = 0;
  EXPECT_EQ(run_empty_program(cases.front().second, 1'000'000, &empty), XDP_PASS);
  std::printf("%-22s %u ns\n", "a program that passes", empty);
  for (const auto& [what, frame] : cases) {
    uint32_t ns = 0;
    EXPECT_GE(run(frame, 1'000'000, &ns), 0);
    std::printf("%-22s %u ns\n", what, ns);
    RecordProperty(what, static_cast<int>(ns));
  }
}

}  // namespace
}  // namespace centipede::test
