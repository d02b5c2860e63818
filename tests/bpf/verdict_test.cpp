// What the program does with single frames, row by row: {what, frame, action, the one counter that moves}.
#include <centipede/frame.h>
#include <centipede/wire.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <numeric>
#include <string>
#include <thread>

#include "dataplane/xsk.h"
#include "program_fixture.h"

namespace centipede::test {
namespace {

struct Row {
  std::string what;
  Frame frame;
  int action;
  cp_verdict verdict;
};

std::vector<uint8_t> fresh() {
  return data_packet(0, 5, sid);
}

std::vector<uint8_t> handshake(uint8_t type, size_t size) {
  std::vector<uint8_t> out(size, 0);
  if (size > 0) out[0] = static_cast<uint8_t>(CP_CONTROL_BIT | type);
  return out;
}

std::vector<Row> link_layer_rows() {
  return {
      {"plain IPv4", build({.payload = fresh()}), XDP_PASS, CP_VERDICT_NO_SOCKET},
      {"plain IPv6", build({.family = 6, .payload = fresh()}), XDP_PASS, CP_VERDICT_NO_SOCKET},
      {"VLAN", build({.tags = {0x8100}, .payload = fresh()}), XDP_PASS, CP_VERDICT_NO_SOCKET},
      {"VLAN, IPv6", build({.tags = {0x8100}, .family = 6, .payload = fresh()}), XDP_PASS, CP_VERDICT_NO_SOCKET},
      {"802.1ad alone", build({.tags = {0x88a8}, .payload = fresh()}), XDP_PASS, CP_VERDICT_NO_SOCKET},
      {"QinQ", build({.tags = {0x88a8, 0x8100}, .payload = fresh()}), XDP_PASS, CP_VERDICT_NO_SOCKET},
      {"QinQ, IPv6", build({.tags = {0x8100, 0x8100}, .family = 6, .payload = fresh()}), XDP_PASS,
       CP_VERDICT_NO_SOCKET},
      {"three tags", build({.tags = {0x88a8, 0x8100, 0x8100}, .payload = fresh()}), XDP_PASS, CP_VERDICT_FOREIGN},
      {"ARP", build({.family = 0, .payload = fresh()}), XDP_PASS, CP_VERDICT_FOREIGN},
      {"unknown EtherType", build({.tags = {0x88cc}, .payload = fresh()}), XDP_PASS, CP_VERDICT_FOREIGN},
  };
}

std::vector<Row> ipv4_rows() {
  const auto ip = [](FrameSpec spec) { return spec.payload = fresh(), build(spec); };
  return {
      {"4 bytes of options", ip({.ipv4_header = 24}), XDP_PASS, CP_VERDICT_NO_SOCKET},
      {"40 bytes of options", ip({.ipv4_header = 60}), XDP_PASS, CP_VERDICT_NO_SOCKET},
      {"header length 16", ip({.ipv4_header = 16}), XDP_PASS, CP_VERDICT_FOREIGN},
      {"header length 0", ip({.ipv4_header = 0}), XDP_PASS, CP_VERDICT_FOREIGN},
      {"version 5", ip({.version_nibble = 5}), XDP_PASS, CP_VERDICT_FOREIGN},
      {"no flags", ip({.fragment_field = 0}), XDP_PASS, CP_VERDICT_NO_SOCKET},
      {"first fragment", ip({.fragment_field = 0x2000}), XDP_PASS, CP_VERDICT_FRAGMENT},
      {"middle fragment", ip({.fragment_field = 0x2010}), XDP_PASS, CP_VERDICT_FRAGMENT},
      {"last fragment", ip({.fragment_field = 0x0001}), XDP_PASS, CP_VERDICT_FRAGMENT},
      {"fragment of TCP", ip({.fragment_field = 0x2000, .protocol = 6}), XDP_PASS, CP_VERDICT_FOREIGN},
      {"TCP", ip({.protocol = 6}), XDP_PASS, CP_VERDICT_FOREIGN},
      {"ICMP", ip({.protocol = 1}), XDP_PASS, CP_VERDICT_FOREIGN},
      {"total length beyond the frame", ip({.ip_length = 93}), XDP_PASS, CP_VERDICT_MALFORMED},
      {"total length less than UDP's", ip({.ip_length = 91}), XDP_PASS, CP_VERDICT_MALFORMED},
      {"total length less than the header", ip({.ip_length = 19}), XDP_PASS, CP_VERDICT_MALFORMED},
      {"total length 0", ip({.ip_length = 0}), XDP_PASS, CP_VERDICT_MALFORMED},
      {"total length 65535", ip({.ip_length = 65535}), XDP_PASS, CP_VERDICT_MALFORMED},
      {"lying length on another port", ip({.port = 53, .ip_length = 0}), XDP_PASS, CP_VERDICT_FOREIGN},
  };
}

std::vector<Row> ipv6_rows() {
  const auto ip = [](FrameSpec spec) { return spec.family = 6, spec.payload = fresh(), build(spec); };
  return {
      {"hop-by-hop", ip({.extensions = {{0, 0}}}), XDP_PASS, CP_VERDICT_NO_SOCKET},
      {"routing", ip({.extensions = {{43, 2}}}), XDP_PASS, CP_VERDICT_NO_SOCKET},
      {"destination options, longest", ip({.extensions = {{60, 255}}}), XDP_PASS, CP_VERDICT_NO_SOCKET},
      {"all of them", ip({.extensions = {{0, 1}, {60, 0}, {43, 2}, {60, 3}}}), XDP_PASS, CP_VERDICT_NO_SOCKET},
      {"six extension headers", ip({.extensions = std::vector<std::pair<uint8_t, uint8_t>>(6, {60, 0})}), XDP_PASS,
       CP_VERDICT_NO_SOCKET},
      {"seven extension headers", ip({.extensions = std::vector<std::pair<uint8_t, uint8_t>>(7, {60, 0})}), XDP_PASS,
       CP_VERDICT_FOREIGN},
      {"fragment", ip({.extensions = {{44, 0}}}), XDP_PASS, CP_VERDICT_FRAGMENT},
      {"hop-by-hop, fragment", ip({.extensions = {{0, 0}, {44, 0}}}), XDP_PASS, CP_VERDICT_FRAGMENT},
      {"authentication header", ip({.extensions = {{51, 0}}}), XDP_PASS, CP_VERDICT_FOREIGN},
      {"no next header", ip({.protocol = 59}), XDP_PASS, CP_VERDICT_FOREIGN},
      {"TCP after options", ip({.extensions = {{60, 0}}, .protocol = 6}), XDP_PASS, CP_VERDICT_FOREIGN},
      {"version 4", ip({.version_nibble = 4}), XDP_PASS, CP_VERDICT_FOREIGN},
      {"payload length beyond the frame", ip({.ip_length = 73}), XDP_PASS, CP_VERDICT_MALFORMED},
      {"payload length less than UDP's", ip({.ip_length = 71}), XDP_PASS, CP_VERDICT_MALFORMED},
      {"payload length 0 (jumbogram)", ip({.ip_length = 0}), XDP_PASS, CP_VERDICT_MALFORMED},
      {"extensions beyond the payload length", ip({.extensions = {{60, 9}}, .ip_length = 72}), XDP_PASS,
       CP_VERDICT_MALFORMED},
  };
}

std::vector<Row> udp_rows() {
  const auto udp = [](FrameSpec spec) {
    return spec.payload.empty() ? (spec.payload = fresh(), build(spec)) : build(spec);
  };
  return {
      {"another port", udp({.port = 53}), XDP_PASS, CP_VERDICT_FOREIGN},
      {"port in the other byte order", udp({.port = 0xbc16}), XDP_PASS, CP_VERDICT_FOREIGN},
      {"UDP length one too large", udp({.udp_length = 73}), XDP_PASS, CP_VERDICT_MALFORMED},
      {"UDP length beyond IP but inside the frame", udp({.udp_length = 73, .padding = 20}), XDP_PASS,
       CP_VERDICT_MALFORMED},
      {"UDP length 7", udp({.udp_length = 7}), XDP_PASS, CP_VERDICT_MALFORMED},
      {"UDP length 0", udp({.udp_length = 0}), XDP_PASS, CP_VERDICT_MALFORMED},
      {"UDP length 65535", udp({.udp_length = 65535}), XDP_PASS, CP_VERDICT_MALFORMED},
      {"UDP length less than IP's", udp({.udp_length = 40}), XDP_PASS, CP_VERDICT_NO_SOCKET},
      {"UDP length that cuts the header", udp({.udp_length = 39}), XDP_DROP, CP_VERDICT_NO_MESSAGE},
      {"Ethernet padding", udp({.payload = data_packet(0, 5, sid, 32), .padding = 6}), XDP_PASS, CP_VERDICT_NO_SOCKET},
      {"padding does not lengthen a payload", udp({.payload = data_packet(0, 5, sid, 31), .padding = 6}), XDP_DROP,
       CP_VERDICT_NO_MESSAGE},
      {"payload of one byte", udp({.payload = {0}, .padding = 17}), XDP_DROP, CP_VERDICT_NO_MESSAGE},
      {"shortest payload", udp({.payload = data_packet(0, 5, sid, 32)}), XDP_PASS, CP_VERDICT_NO_SOCKET},
      {"payload of 1,400 bytes", udp({.payload = data_packet(0, 5, sid, 1400)}), XDP_PASS, CP_VERDICT_NO_SOCKET},
  };
}

std::vector<Row> tunnel_rows() {
  const auto with = [](std::vector<uint8_t> payload) { return build({.payload = std::move(payload)}); };
  return {
      {"initiation", with(handshake(CP_TYPE_INITIATION, CP_INITIATION_SIZE)), XDP_PASS, CP_VERDICT_HANDSHAKE},
      {"response", with(handshake(CP_TYPE_RESPONSE, CP_RESPONSE_SIZE)), XDP_PASS, CP_VERDICT_HANDSHAKE},
      {"cookie", with(handshake(CP_TYPE_COOKIE, CP_COOKIE_SIZE)), XDP_PASS, CP_VERDICT_HANDSHAKE},
      {"handshake of unknown type", with(handshake(0x7f, 100)), XDP_PASS, CP_VERDICT_HANDSHAKE},
      {"handshake too short for anything", with(handshake(1, 31)), XDP_DROP, CP_VERDICT_NO_MESSAGE},
      {"control lane", data_frame(127, 0), XDP_PASS, CP_VERDICT_CONTROL},
      {"control lane of an unlisted session", data_frame(127, 9, 1), XDP_PASS, CP_VERDICT_UNLISTED},
      {"unlisted session", data_frame(0, 5, sid + 1), XDP_PASS, CP_VERDICT_UNLISTED},
      {"session id in the other byte order", data_frame(0, 5, __builtin_bswap64(sid)), XDP_PASS, CP_VERDICT_UNLISTED},
      {"last lane of the session", data_frame(lanes - 1, 5), XDP_PASS, CP_VERDICT_NO_SOCKET},
      {"first lane beyond", data_frame(lanes, 5), XDP_DROP, CP_VERDICT_BAD_LANE},
      {"lane 126", data_frame(126, 5), XDP_DROP, CP_VERDICT_BAD_LANE},
      {"counter 0", data_frame(0, 0), XDP_PASS, CP_VERDICT_NO_SOCKET},
      {"last counter", data_frame(0, CP_COUNTER_LIMIT - 1), XDP_PASS, CP_VERDICT_NO_SOCKET},
      {"counter at the limit", data_frame(0, CP_COUNTER_LIMIT), XDP_DROP, CP_VERDICT_BAD_COUNTER},
      {"counter of all ones", data_frame(0, CP_COUNTER_MASK), XDP_DROP, CP_VERDICT_BAD_COUNTER},
      {"both lane and counter beyond", data_frame(9, CP_COUNTER_LIMIT), XDP_DROP, CP_VERDICT_BAD_COUNTER},
  };
}

class VerdictTest : public ProgramTest {
 protected:
  void expect_rows(const std::vector<Row>& rows) {
    for (const Row& row : rows)
      expect(row.what.c_str(), row.frame, row.action, row.verdict);
  }
};

TEST_F(VerdictTest, link_layer) {
  expect_rows(link_layer_rows());
}
TEST_F(VerdictTest, ipv4) {
  expect_rows(ipv4_rows());
}
TEST_F(VerdictTest, ipv6) {
  expect_rows(ipv6_rows());
}
TEST_F(VerdictTest, udp) {
  expect_rows(udp_rows());
}
TEST_F(VerdictTest, tunnel_packets) {
  expect_rows(tunnel_rows());
}

TEST_F(VerdictTest, a_header_length_that_overlaps_the_addresses_is_not_believed) {
  Frame frame = build({.ipv4_header = 16, .payload = fresh()});
  // Where the UDP destination port would be: the end of the destination address.
  store_be<uint16_t>(frame.data() + CP_ETHERNET_SIZE + 18, tunnel_port);
  expect("header length 16", frame, XDP_PASS, CP_VERDICT_FOREIGN);
}

TEST_F(VerdictTest, frames_cut_at_every_length_pass) {
  for (const auto& spec :
       {FrameSpec{.payload = fresh()}, FrameSpec{.tags = {0x88a8, 0x8100}, .ipv4_header = 40, .payload = fresh()},
        FrameSpec{.family = 6, .extensions = {{0, 1}, {60, 0}}, .payload = fresh()}}) {
    const Frame whole = build(spec);
    const size_t ports_end = whole.size() - spec.payload.size();
    // The kernel lets no frame shorter than an Ethernet header reach a program.
    for (size_t size = 14; size < whole.size(); ++size) {
      expect(("cut at " + std::to_string(size)).c_str(), std::span(whole).first(size), XDP_PASS,
             size < ports_end ? CP_VERDICT_FOREIGN : CP_VERDICT_MALFORMED);
    }
  }
}

TEST_F(VerdictTest, a_set_bit_drops_that_packet_and_no_other) {
  lane_window(1)[3] = window_word(3, 1U << 7);
  expect("the packet", data_frame(1, 3 * 32 + 7), XDP_DROP, CP_VERDICT_DUPLICATE);
  expect("its neighbour", data_frame(1, 3 * 32 + 8), XDP_PASS, CP_VERDICT_NO_SOCKET);
  expect("same counter, other lane", data_frame(0, 3 * 32 + 7), XDP_PASS, CP_VERDICT_NO_SOCKET);
  expect("same counter, other session", data_frame(1, 3 * 32 + 7, sid + 1), XDP_PASS, CP_VERDICT_UNLISTED);
}

TEST_F(VerdictTest, first_and_last_bit_of_a_word) {
  lane_window(0)[0] = window_word(0, 0x80000001);
  expect("bit 0", data_frame(0, 0), XDP_DROP, CP_VERDICT_DUPLICATE);
  expect("bit 1", data_frame(0, 1), XDP_PASS, CP_VERDICT_NO_SOCKET);
  expect("bit 30", data_frame(0, 30), XDP_PASS, CP_VERDICT_NO_SOCKET);
  expect("bit 31", data_frame(0, 31), XDP_DROP, CP_VERDICT_DUPLICATE);
  expect("bit 0 of the next word", data_frame(0, 32), XDP_PASS, CP_VERDICT_NO_SOCKET);
}

TEST_F(VerdictTest, an_older_generation_is_too_old_whatever_its_bit) {
  lane_window(0)[3] = window_word(3 + words, 0xffff0000);
  expect("bit clear", data_frame(0, 3 * 32 + 1), XDP_DROP, CP_VERDICT_TOO_OLD);
  expect("bit set", data_frame(0, 3 * 32 + 31), XDP_DROP, CP_VERDICT_TOO_OLD);
  expect("current generation", data_frame(0, (3 + words) * 32 + 1), XDP_PASS, CP_VERDICT_NO_SOCKET);
}

TEST_F(VerdictTest, a_stale_generation_that_shares_the_slot_drops_nothing) {
  lane_window(0)[3] = window_word(3, 0xffffffff);
  expect("one window on", data_frame(0, (3 + words) * 32 + 5), XDP_PASS, CP_VERDICT_NO_SOCKET);
  expect("2^20 windows on", data_frame(0, (3 + (uint64_t{words} << 20)) * 32 + 5), XDP_PASS, CP_VERDICT_NO_SOCKET);
}

TEST_F(VerdictTest, a_far_future_number_poisons_nothing) {
  for (int i = 0; i < 100; ++i)
    run(data_frame(0, CP_COUNTER_LIMIT - 32));
  expect("an ordinary packet in the same slot", data_frame(0, (words - 1) * 32 + 1), XDP_PASS, CP_VERDICT_NO_SOCKET);
}

TEST_F(VerdictTest, the_newest_generation_is_compared_unsigned) {
  lane_window(0)[words - 1] = window_word(0xffffffff, 1U << 4);
  expect("last word", data_frame(0, CP_COUNTER_LIMIT - 32 + 4), XDP_DROP, CP_VERDICT_DUPLICATE);
  expect("before it", data_frame(0, (words - 1) * 32), XDP_DROP, CP_VERDICT_TOO_OLD);
}

TEST_F(VerdictTest, corrupt_copies_of_a_packet_never_stop_the_genuine_one) {
  Frame corrupt = data_frame(0, 77);
  for (size_t at = corrupt.size() - 48; at < corrupt.size(); ++at) {
    corrupt[at] ^= 0xff;
    EXPECT_EQ(run(corrupt), XDP_PASS);
  }
  expect("the genuine one", data_frame(0, 77), XDP_PASS, CP_VERDICT_NO_SOCKET);
}

TEST_F(VerdictTest, frames_of_a_device_that_is_no_uplink_pass_and_count_apart) {
  program->erase_uplink(uplink_index);
  expect("tunnel packet", data_frame(0, 5), XDP_PASS, CP_VERDICT_FOREIGN, CP_MAX_UPLINKS);
}

TEST_F(VerdictTest, an_uplink_is_known_in_every_row_and_counted_in_its_own) {
  program->erase_uplink(uplink_index);
  for (uint32_t row = 0; row < CP_MAX_UPLINKS; ++row) {
    program->put_uplink(row, uplink_entry(loopback));
    // Neighbours that differ in nothing but the device.
    for (uint32_t other = 0; other < CP_MAX_UPLINKS; ++other)
      if (other != row) program->put_uplink(other, uplink_entry(loopback + 1 + other));
    expect(("row " + std::to_string(row)).c_str(), data_frame(0, 5), XDP_PASS, CP_VERDICT_NO_SOCKET, row);
  }
}

// Two entries take turns in a row. Both leave the frame alone, halves of one and the other would not.
TEST_F(VerdictTest, an_entry_is_replaced_in_one_step) {
  const Frame frame = build({.port = 53, .payload = fresh()});
  std::atomic<bool> stop = false;
  std::thread writer([&] {
    while (!stop) {
      program->put_uplink(uplink_index, uplink_entry(loopback, 1, tunnel_port));
      program->put_uplink(uplink_index, uplink_entry(loopback + 1, 1, 53));
    }
  });
  const auto seen = [&](uint32_t row) { return counts(row)[CP_VERDICT_FOREIGN]; };
  const auto enough = [&] { return std::min(seen(uplink_index), seen(CP_MAX_UPLINKS)) >= 3'000'000; };
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  while (!enough() && std::chrono::steady_clock::now() < deadline)
    EXPECT_EQ(run(frame, 100'000), XDP_PASS);
  stop = true;
  writer.join();
  EXPECT_GT(seen(uplink_index), 0U) << "the first entry";
  EXPECT_GT(seen(CP_MAX_UPLINKS), 0U) << "the second one";
  const Counts row = counts();
  EXPECT_EQ(std::accumulate(row.begin(), row.end(), uint64_t{0}), row[CP_VERDICT_FOREIGN]) << "half of each";
}

TEST_F(VerdictTest, a_queue_without_sockets_passes) {
  put_uplink(0);
  expect("no queues", data_frame(0, 5), XDP_PASS, CP_VERDICT_NO_SOCKET);
}

TEST_F(VerdictTest, a_full_session_map_is_an_error_and_its_packets_pass) {
  const cp_session session{};
  uint64_t id = 1;
  while (id < 100 && program->put_session(id, session))
    ++id;
  ASSERT_EQ(id, 8U) << "8 sessions, one of them the fixture's";
  const auto refused = program->put_session(id, session);
  EXPECT_EQ(refused.error().code, E2BIG) << refused.error().text;
  expect("the session left out", data_frame(0, 5, id), XDP_PASS, CP_VERDICT_UNLISTED);
  program->erase_session(1);
  EXPECT_TRUE(program->put_session(id, session));
}

// What a session gets that comes when `windows` and `session_counters` are full.
TEST_F(VerdictTest, a_session_without_windows_and_counters_is_steered_and_its_copies_too) {
  const cp_session session{.peer = 9,
                           .first_word = CP_NO_WINDOWS,
                           .lanes = CP_MAX_WORKERS,
                           .words = 1U << 15,
                           .counter_slot = CP_NO_COUNTERS};
  ASSERT_TRUE(program->put_session(1, session));
  for (const uint64_t counter : {0ULL, 0ULL, CP_COUNTER_LIMIT - 1}) {
    for (const uint8_t lane : {uint8_t{0}, uint8_t{CP_MAX_WORKERS - 1}}) {
      // There is no socket in this test; whoever gets as far as that is fresh.
      expect("session without windows", data_frame(lane, counter, 1), XDP_PASS, CP_VERDICT_NO_SOCKET);
    }
  }
  expect("lane beyond its own", data_frame(CP_MAX_WORKERS, 0, 1), XDP_DROP, CP_VERDICT_BAD_LANE);
}

TEST_F(VerdictTest, a_session_that_lies_about_its_window_is_harmless) {
  const cp_session session{.peer = 1, .first_word = 0xfffffff0, .lanes = 127, .words = 0, .counter_slot = 0xffffffff};
  ASSERT_TRUE(program->put_session(99, session));
  expect("no word there", data_frame(3, 5, 99), XDP_PASS, CP_VERDICT_NO_SOCKET);
}

TEST_F(VerdictTest, a_fresh_packet_is_redirected_to_its_lanes_worker) {
  const auto queue = XskQueue::open({.device = "lo",
                                     .queue = 0,
                                     .workers = 2,
                                     .xsks_fd = program->xsks_fd(),
                                     .first_xsk = cp_xsk_slot(uplink_index, 0, live_workers, 0),
                                     .frames = 64});
  ASSERT_TRUE(queue) << queue.error().text;
  expect("lane 0", data_frame(0, 5), XDP_REDIRECT, CP_VERDICT_REDIRECTED);
  expect("lane 1", data_frame(1, 5), XDP_REDIRECT, CP_VERDICT_REDIRECTED);
  const uint32_t second_worker = cp_xsk_slot(uplink_index, 0, live_workers, 1);
  ASSERT_EQ(bpf_map_delete_elem(program->xsks_fd(), &second_worker), 0);
  expect("lane 1 without its socket", data_frame(1, 5), XDP_PASS, CP_VERDICT_NO_SOCKET);
  expect("lane 2, back at worker 0", data_frame(2, 5), XDP_REDIRECT, CP_VERDICT_REDIRECTED);
  lane_window(0)[0] = window_word(0, 1U << 5);
  expect("a duplicate", data_frame(0, 5), XDP_DROP, CP_VERDICT_DUPLICATE);
  put_uplink(0);
  expect("a queue beyond those of the uplink", data_frame(0, 6), XDP_PASS, CP_VERDICT_NO_SOCKET);
}

TEST_F(VerdictTest, session_counters_tell_what_an_uplink_was_worth) {
  lane_window(0)[0] = window_word(0, 2);
  lane_window(0)[1] = window_word(1 + words, 0);
  for (int i = 0; i < 3; ++i)
    run(data_frame(0, 1));
  for (int i = 0; i < 2; ++i)
    run(data_frame(0, 32));
  run(data_frame(0, 2));
  auto row = program->session_counters(counter_slot, uplink_index);
  ASSERT_TRUE(row);
  EXPECT_EQ(row->duplicate, 3U);
  EXPECT_EQ(row->too_old, 2U);
  EXPECT_EQ(row->redirected, 0U) << "there was no socket";
  ASSERT_TRUE(program->clear_session_counters(counter_slot));
  row = program->session_counters(counter_slot, uplink_index);
  ASSERT_TRUE(row);
  EXPECT_EQ(row->duplicate + row->too_old, 0U);
}

}  // namespace
}  // namespace centipede::test
