// The two pipelines of a worker without sockets: sealed packets in, TUN writes out. The TUN queue is a pipe end or
// /dev/null; everything else is the product's own.
#include <centipede/abi.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <random>
#include <thread>

#include "dataplane/receive_pipeline.h"
#include "dataplane/send_pipeline.h"
#include "rounds.h"
#include "wire/message.h"

namespace centipede {
namespace {

constexpr control::PeerId sender_peer = 0;
constexpr control::PeerId other_peer = 1;
constexpr uint32_t window_words = 1024;

crypto::SessionKeys keys(uint8_t send, uint8_t receive) {
  crypto::SessionKeys keys;
  keys.send_key.data()[0] = send;
  keys.receive_key.data()[0] = receive;
  keys.send_iv[0] = send;
  keys.receive_iv[0] = receive;
  return keys;
}

std::shared_ptr<crypto::Session> session(wire::SessionId local, wire::SessionId peer, uint8_t send, uint8_t receive) {
  return std::make_shared<crypto::Session>(
      local, wire::Params{.lanes = 2},
      crypto::Established{.keys = keys(send, receive), .peer_sid = peer, .peer_params = {.lanes = 2}});
}

// An IPv4 packet of a protocol nobody coalesces, so that a packet in is a packet out.
std::vector<uint8_t> ip_packet(const char* source, const char* destination, size_t payload) {
  std::vector<uint8_t> packet(20 + payload);
  packet[0] = 0x45;
  store_be(packet.data() + 2, static_cast<uint16_t>(packet.size()));
  packet[8] = 64;
  packet[9] = 253;
  std::ranges::copy(IpAddress::parse(source)->bytes(), packet.begin() + 12);
  std::ranges::copy(IpAddress::parse(destination)->bytes(), packet.begin() + 16);
  return packet;
}

class PipelineTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(crypto::initialise());
    auto routes = std::make_shared<control::AllowedIps>();
    ASSERT_TRUE(routes->insert(*Prefix::parse("10.10.0.1/32"), sender_peer));
    ASSERT_TRUE(routes->insert(*Prefix::parse("10.10.0.9/32"), other_peer));
    plan.forwarding.routes = routes;
    for (const control::PeerId id : {sender_peer, other_peer}) {
      auto peer = std::make_shared<control::PeerForwarding>();
      peer->id = id;
      for (uint8_t uplink = 0; uplink < 2; ++uplink) {
        peer->paths.push_back({.id = uplink,
                               .uplink = uplink,
                               .remote = remote(uplink),
                               .counters = std::make_shared<control::PathCounters>(2)});
      }
      plan.forwarding.peers.push_back(peer);
    }
    windows = pool.allocate(2, window_words);
    plan.sessions =
        SessionTable({{.sid = receiving->local_sid(), .peer = sender_peer, .session = receiving, .windows = windows}});
    const int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    ASSERT_GE(fd, 0);
    sink.reset(fd);
  }

  [[nodiscard]] static Endpoint remote(uint8_t uplink) {
    return {*IpAddress::parse(uplink == 0 ? "192.0.2.1" : "192.0.2.2"), 5820};
  }

  // A datagram as the peer would send it with this number.
  std::vector<uint8_t> sealed(wire::PacketNumber number, const std::vector<uint8_t>& plaintext) {
    return sealed(number, plaintext, *sending);
  }
  std::vector<uint8_t> sealed(wire::PacketNumber number, const std::vector<uint8_t>& plaintext,
                              const crypto::Session& by) {
    std::vector<uint8_t> datagram(CP_DATA_HEADER_SIZE + plaintext.size());
    wire::write_data_header({.number = number, .sid = by.peer_sid()}, datagram.data());
    std::ranges::copy(plaintext, datagram.begin() + CP_DATA_HEADER_SIZE);
    crypto::AeadJob job{.packet = datagram.data(), .payload_size = plaintext.size()};
    aead->seal(by.send_key(), {&job, 1});
    return datagram;
  }

  static Arrival arrival(std::vector<uint8_t>& datagram, uint8_t uplink = 0) {
    return {.payload = datagram, .uplink = uplink, .remote = remote(uplink)};
  }

  ReceivePipeline receiver(unsigned worker, crypto::AeadProvider& provider, WorkerCounters& tallies) {
    return {worker, provider, TunQueue(sink.get()), CoalesceOptions{}, mailbox, tallies};
  }

  void receive(std::vector<uint8_t> datagram, uint8_t uplink = 0) {
    const Arrival one = arrival(datagram, uplink);
    receiver(0, *aead, counters).process(plan, {&one, 1});
  }

  std::unique_ptr<crypto::AeadProvider> aead = crypto::make_sodium_aead();
  std::vector<uint64_t> memory = std::vector<uint64_t>(1 << 16);
  WindowPool pool{memory};
  Plan plan;
  std::shared_ptr<WindowRange> windows;
  std::shared_ptr<crypto::Session> sending = session(0xaaaa, 0xbbbb, 1, 2);
  std::shared_ptr<crypto::Session> receiving = session(0xbbbb, 0xaaaa, 2, 1);
  ControlMailbox mailbox{WakeUp::create().value()};
  FileDescriptor sink;
  WorkerCounters counters;
  const std::vector<uint8_t> inner = ip_packet("10.10.0.1", "10.10.0.2", 64);
};

TEST_F(PipelineTest, a_second_copy_is_dropped_and_credited_to_its_path) {
  const auto datagram = sealed({0, 5}, inner);
  receive(datagram, 0);
  receive(datagram, 1);
  EXPECT_EQ(counters.delivered, 1U);
  EXPECT_EQ(counters.duplicate, 1U);
  const auto& paths = plan.peer(sender_peer)->paths;
  EXPECT_EQ(paths[0].counters->sum(&control::PathCounters::Row::first_packets), 1U);
  EXPECT_EQ(paths[1].counters->sum(&control::PathCounters::Row::duplicate_packets), 1U);
}

TEST_F(PipelineTest, corrupt_copy_first_delivers_8192_of_8192_genuine_packets) {
  for (uint64_t counter = 0; counter < 8192; ++counter) {
    const auto genuine = sealed({0, counter}, inner);
    auto corrupt = genuine;
    corrupt[CP_DATA_HEADER_SIZE + counter % inner.size()] ^= 0x40;
    receive(corrupt, 1);
    receive(genuine, 0);
    receive(corrupt, 1);
  }
  EXPECT_EQ(counters.delivered, 8192U);
  EXPECT_EQ(counters.bad_tag, 8192U);
  EXPECT_EQ(counters.duplicate, 8192U);
}

TEST_F(PipelineTest, far_future_forged_numbers_lose_0_of_4096_genuine_packets) {
  std::mt19937_64 random(1);
  for (uint64_t counter = 0; counter < 4096; ++counter) {
    auto forged = sealed({0, CP_COUNTER_LIMIT - 1 - random() % 1000000}, inner);
    forged[CP_OFFSET_TAG] ^= 1;
    receive(forged, 1);
    receive(sealed({0, counter}, inner), 0);
  }
  EXPECT_EQ(counters.delivered, 4096U);
  EXPECT_EQ(counters.bad_tag, 4096U);
}

TEST_F(PipelineTest, a_gap_of_2_to_the_20_goes_on) {
  receive(sealed({0, 1}, inner));
  const uint64_t after = (1 << 20) + 1;
  for (uint64_t counter = after; counter < after + 1000; ++counter)
    receive(sealed({0, counter}, inner));
  EXPECT_EQ(counters.delivered, 1001U);
  EXPECT_EQ(counters.too_old, 0U);
}

TEST_F(PipelineTest, copies_racing_on_two_workers_are_delivered_exactly_once_over_1000000_packets) {
  constexpr size_t batch = 64;
  constexpr uint64_t packets = test::rounds(1'000'000) / batch * batch;
  std::vector<WorkerCounters> tallies(2);
  std::atomic<uint64_t> turn[2] = {0, 0};
  const auto run = [&](unsigned worker) {
    const auto provider = crypto::make_sodium_aead();
    ReceivePipeline pipeline = receiver(worker, *provider, tallies[worker]);
    std::vector<std::vector<uint8_t>> copies(batch);
    std::vector<Arrival> arrivals(batch);
    for (uint64_t first = 0; first < packets; first += batch) {
      for (size_t i = 0; i < batch; ++i) {
        copies[i] = sealed({static_cast<uint8_t>(i % 2), first / 2 + i / 2}, inner);
        arrivals[i] = arrival(copies[i], static_cast<uint8_t>(worker));
      }
      // Both copies of a batch meet: neither worker runs ahead of the other.
      turn[worker].store(first + batch);
      while (turn[1 - worker].load() < first + batch)
        std::this_thread::yield();
      pipeline.process(plan, arrivals);
    }
  };
  std::thread first(run, 0);
  std::thread second(run, 1);
  first.join();
  second.join();
  EXPECT_EQ(tallies[0].delivered + tallies[1].delivered, packets);
  EXPECT_EQ(tallies[0].duplicate + tallies[1].duplicate, packets);
  EXPECT_GT(tallies[0].delivered, 0U);
  EXPECT_GT(tallies[1].delivered, 0U);
  EXPECT_EQ(tallies[0].bad_tag + tallies[1].bad_tag, 0U);
}

TEST_F(PipelineTest, a_million_replays_deliver_nothing) {
  constexpr uint64_t packets = 1000;
  constexpr uint64_t replays = 1000;
  std::vector<std::vector<uint8_t>> genuine;
  for (uint64_t counter = 0; counter < packets; ++counter) {
    genuine.push_back(sealed({static_cast<uint8_t>(counter % 2), counter / 2}, inner));
    receive(genuine.back());
  }
  ASSERT_EQ(counters.delivered, packets);
  ReceivePipeline pipeline = receiver(0, *aead, counters);
  for (uint64_t round = 0; round < replays; ++round) {
    for (auto& datagram : genuine) {
      const Arrival one = arrival(datagram, 1);
      pipeline.process(plan, {&one, 1});
    }
  }
  EXPECT_EQ(counters.delivered, packets);
  EXPECT_EQ(counters.duplicate, packets * replays);
}

TEST_F(PipelineTest, a_spoofed_inner_source_is_dropped_and_counted) {
  receive(sealed({0, 1}, ip_packet("10.10.0.9", "10.10.0.2", 64)));  // another peer's address
  receive(sealed({0, 2}, ip_packet("10.99.0.1", "10.10.0.2", 64)));  // nobody's
  receive(sealed({0, 3}, inner));
  EXPECT_EQ(counters.bad_source, 2U);
  EXPECT_EQ(counters.delivered, 1U);
}

TEST_F(PipelineTest, what_is_no_ip_packet_is_dropped_and_counted) {
  receive(sealed({0, 1}, std::vector<uint8_t>(64, 0)));
  receive(sealed({0, 2}, {}));
  auto truncated = inner;
  truncated.resize(30);
  receive(sealed({0, 3}, truncated));
  EXPECT_EQ(counters.not_ip, 3U);
  EXPECT_EQ(counters.delivered, 0U);
}

TEST_F(PipelineTest, every_refusal_of_a_header_is_counted_and_changes_nothing) {
  auto unknown = sealed({0, 1}, inner);
  unknown[CP_OFFSET_SID] ^= 1;
  receive(unknown);
  receive(sealed({2, 1}, inner));  // the session has lanes 0 and 1
  receive(sealed({0, CP_COUNTER_LIMIT}, inner));
  EXPECT_EQ(counters.unknown_session, 1U);
  EXPECT_EQ(counters.bad_lane, 1U);
  EXPECT_EQ(counters.bad_counter, 1U);
  EXPECT_TRUE(std::ranges::all_of(memory, [](uint64_t word) { return word == 0; }));
}

TEST_F(PipelineTest, packets_of_several_sessions_in_one_batch_are_each_opened_with_their_own_key) {
  const auto sending_other = session(0xcccc, 0xdddd, 3, 4);
  const auto receiving_other = session(0xdddd, 0xcccc, 4, 3);
  const auto windows_other = pool.allocate(2, window_words);
  plan.sessions =
      SessionTable({{.sid = receiving->local_sid(), .peer = sender_peer, .session = receiving, .windows = windows},
                    {.sid = receiving_other->local_sid(),
                     .peer = other_peer,
                     .session = receiving_other,
                     .windows = windows_other}});
  const auto inner_other = ip_packet("10.10.0.9", "10.10.0.2", 64);
  std::vector<std::vector<uint8_t>> datagrams;
  for (uint64_t counter = 0; counter < 3; ++counter) {
    datagrams.push_back(sealed({0, counter}, inner));
    datagrams.push_back(sealed({0, counter}, inner_other, *sending_other));
  }
  std::vector<Arrival> arrivals;
  for (auto& datagram : datagrams)
    arrivals.push_back(arrival(datagram));
  receiver(0, *aead, counters).process(plan, arrivals);
  EXPECT_EQ(counters.delivered, 6U);
  EXPECT_EQ(counters.bad_tag, 0U);
}

TEST_F(PipelineTest, what_the_window_has_left_behind_is_too_old) {
  const auto old = sealed({0, 5}, inner);
  receive(sealed({0, 5 + uint64_t{window_words} * CP_WINDOW_WORD_BITS}, inner));
  receive(old);
  EXPECT_EQ(counters.too_old, 1U);
  EXPECT_EQ(counters.delivered, 1U);
}

TEST_F(PipelineTest, a_packet_over_no_path_of_the_peer_is_delivered_once_and_credited_to_none) {
  const auto datagram = sealed({0, 5}, inner);
  receive(datagram, 2);
  receive(datagram, 2);
  auto copy = datagram;
  const Arrival from_elsewhere{.payload = copy, .uplink = 0, .remote = remote(1)};
  receiver(0, *aead, counters).process(plan, {&from_elsewhere, 1});
  EXPECT_EQ(counters.delivered, 1U);
  EXPECT_EQ(counters.duplicate, 2U);
  for (const control::DataPath& path : plan.peer(sender_peer)->paths) {
    EXPECT_EQ(path.counters->sum(&control::PathCounters::Row::first_packets), 0U);
    EXPECT_EQ(path.counters->sum(&control::PathCounters::Row::duplicate_packets), 0U);
  }
}

TEST_F(PipelineTest, a_peer_that_has_just_been_removed_gets_its_packets_counted_and_none_credited) {
  const auto paths = plan.peer(sender_peer)->paths;
  plan.forwarding.peers.set(sender_peer, nullptr);
  plan.forwarding.routes = std::make_shared<control::AllowedIps>();
  const auto datagram = sealed({0, 5}, inner);
  receive(datagram);
  receive(datagram);
  EXPECT_EQ(counters.bad_source, 1U);
  EXPECT_EQ(counters.duplicate, 1U);
  EXPECT_EQ(paths[0].counters->sum(&control::PathCounters::Row::first_packets), 0U);
}

TEST_F(PipelineTest, an_ipv6_packet_is_judged_by_its_own_routes) {
  auto routes = std::make_shared<control::AllowedIps>();
  ASSERT_TRUE(routes->insert(*Prefix::parse("fd00::1/128"), sender_peer));
  plan.forwarding.routes = routes;
  std::vector<uint8_t> packet(40 + 8);
  packet[0] = 0x60;
  packet[5] = 8;
  packet[6] = 253;
  packet[8] = 0xfd;
  packet[23] = 1;
  receive(sealed({0, 1}, packet));
  packet[23] = 2;
  receive(sealed({0, 2}, packet));
  EXPECT_EQ(counters.delivered, 1U);
  EXPECT_EQ(counters.bad_source, 1U);
}

TEST_F(PipelineTest, what_the_device_does_not_take_is_counted) {
  sink.reset(open("/dev/full", O_WRONLY | O_CLOEXEC));
  receive(sealed({0, 1}, inner));
  EXPECT_EQ(counters.tun_write_failed, 1U);
  EXPECT_EQ(counters.delivered, 0U);
}

TEST_F(PipelineTest, a_control_packet_that_the_control_thread_does_not_take_is_counted) {
  (void)mailbox.close();
  receive(sealed({CP_CONTROL_LANE, 1}, inner));
  EXPECT_EQ(counters.malformed, 1U);
  EXPECT_TRUE(mailbox.take().datagrams.empty());
}

TEST_F(PipelineTest, handshakes_and_control_frames_go_to_the_control_thread) {
  std::vector<uint8_t> initiation(CP_INITIATION_SIZE);
  initiation[0] = CP_CONTROL_BIT | CP_TYPE_INITIATION;
  initiation[1] = CP_PROTOCOL_VERSION;
  receive(initiation);
  receive(sealed({CP_CONTROL_LANE, 1}, inner));
  const auto contents = mailbox.take();
  ASSERT_EQ(contents.datagrams.size(), 2U);
  EXPECT_EQ(contents.datagrams[0].route.remote, remote(0));
  EXPECT_EQ(counters.delivered, 0U);
}

TEST_F(PipelineTest, what_is_no_message_or_of_no_session_never_gets_to_the_control_thread) {
  receive({});
  receive({0});
  receive(std::vector<uint8_t>(CP_DATA_HEADER_SIZE - 1));
  receive(std::vector<uint8_t>(CP_INITIATION_SIZE, 0x81));
  receive(std::vector<uint8_t>(CP_INITIATION_SIZE - 1, 0x81));
  EXPECT_EQ(counters.malformed, 5U);
  receive(sealed({CP_CONTROL_LANE, 1}, inner, *receiving));  // to the other end's session
  EXPECT_EQ(counters.unknown_session, 1U);
  EXPECT_TRUE(mailbox.take().datagrams.empty());
}

TEST_F(PipelineTest, random_datagrams_are_each_counted_once_and_never_delivered) {
  std::mt19937_64 random(7);
  uint64_t offered = 0;
  for (uint64_t round = 0; round < test::rounds(100'000); ++round) {
    std::vector<uint8_t> datagram(random() % 120);
    for (uint8_t& byte : datagram)
      byte = static_cast<uint8_t>(random());
    if (round % 2 == 0 && datagram.size() >= CP_DATA_HEADER_SIZE) {  // a true session, so that it gets further
      datagram[0] &= 1;
      store_be<uint64_t>(datagram.data() + CP_OFFSET_SID, receiving->local_sid());
    }
    receive(datagram);
    ++offered;
    if (round % 1000 == 0) offered -= mailbox.take().datagrams.size();
  }
  offered -= mailbox.take().datagrams.size();
  EXPECT_EQ(counters.delivered, 0U);
  EXPECT_EQ(counters.malformed + counters.unknown_session + counters.bad_lane + counters.bad_counter +
                counters.too_old + counters.duplicate + counters.bad_tag,
            offered);
}

// The sending side: a real uplink is not needed to see what is sealed.
class SendPipelineTest : public PipelineTest {
 protected:
  void SetUp() override {
    PipelineTest::SetUp();
    auto peer = std::make_shared<control::PeerForwarding>(*plan.forwarding.peers[sender_peer]);
    peer->send_session = sending;
    peer->send_paths = peer->paths;
    plan.forwarding.peers.set(sender_peer, peer);
  }
  const std::vector<uint8_t> to_peer = ip_packet("10.10.0.2", "10.10.0.1", 64);
};

TEST_F(SendPipelineTest, one_seal_a_packet_whatever_the_number_of_paths) {
  SendPipeline sender(0, 1420, *aead, counters);
  for (int i = 0; i < 1000; ++i)
    sender.packet(plan, {}, to_peer);
  sender.flush(plan);
  EXPECT_EQ(counters.sealed, 1000U);
  EXPECT_EQ(sending->packets_sealed(), 1000U);
  // Neither path has a device, so every copy is a counted failure of its own path.
  EXPECT_EQ(counters.send_failed, 2000U);
  for (const control::DataPath& path : plan.peer(sender_peer)->paths) {
    EXPECT_EQ(path.counters->sum(&control::PathCounters::Row::send_errors), 1000U);
  }
}

TEST_F(SendPipelineTest, what_has_nowhere_to_go_is_counted_by_reason) {
  SendPipeline sender(0, 1420, *aead, counters);
  sender.packet(plan, {}, ip_packet("10.10.0.2", "10.77.0.1", 64));
  sender.packet(plan, {}, ip_packet("10.10.0.2", "10.10.0.9", 64));
  auto peer = std::make_shared<control::PeerForwarding>(*plan.forwarding.peers[sender_peer]);
  peer->send_paths.clear();
  plan.forwarding.peers.set(sender_peer, peer);
  sender.packet(plan, {}, to_peer);
  sender.packet(plan, {}, std::vector<uint8_t>{0x45, 0x00});
  sender.flush(plan);
  EXPECT_EQ(counters.no_route, 1U);
  EXPECT_EQ(counters.no_session, 1U);
  EXPECT_EQ(counters.no_path, 1U);
  EXPECT_EQ(counters.tun_malformed, 1U);
  EXPECT_EQ(counters.sealed, 0U);
}

TEST_F(SendPipelineTest, packets_of_changing_size_all_get_numbers_of_their_own) {
  SendPipeline sender(1, 1420, *aead, counters);
  std::mt19937 random(3);
  for (int i = 0; i < 5000; ++i)
    sender.packet(plan, {}, ip_packet("10.10.0.2", "10.10.0.1", random() % 1400));
  sender.flush(plan);
  EXPECT_EQ(counters.sealed, 5000U);
  EXPECT_EQ(sending->take_counters(1, 1), 5000U);
  EXPECT_EQ(sending->take_counters(0, 1), 0U);
}

TEST_F(SendPipelineTest, a_worker_without_a_lane_of_its_own_sends_nothing) {
  for (const unsigned worker : {2U, 3U, 126U}) {  // the session has two
    SendPipeline sender(worker, 1420, *aead, counters);
    sender.packet(plan, {}, to_peer);
    sender.flush(plan);
  }
  EXPECT_EQ(counters.sealed, 0U);
  EXPECT_EQ(counters.no_session, 3U);
  EXPECT_EQ(sending->packets_sealed(), 0U);
}

// cp_first_worker(): each worker has a lane of its own, and what the peer sends back on a lane is this worker's again.
TEST_F(SendPipelineTest, answers_on_a_workers_lane_come_back_to_it) {
  for (const wire::SessionId sid : {0ULL, 1ULL, 2ULL, 0xffffULL, 0x123456789abcfffeULL}) {
    for (unsigned lanes = 1; lanes <= 126; lanes += 25) {
      auto peer = std::make_shared<control::PeerForwarding>(*plan.forwarding.peers[sender_peer]);
      auto own = std::make_shared<crypto::Session>(
          sid, wire::Params{.lanes = static_cast<uint8_t>(lanes)},
          crypto::Established{.keys = keys(1, 2), .peer_sid = 1, .peer_params = {.lanes = 1}});
      peer->send_session = own;
      peer->paths = {{.remote = remote(0), .counters = std::make_shared<control::PathCounters>(lanes)}};
      peer->send_paths = peer->paths;
      plan.forwarding.peers.set(sender_peer, peer);
      for (unsigned worker = 0; worker < lanes; ++worker) {
        SendPipeline sender(worker, 1420, *aead, counters);
        sender.packet(plan, {}, to_peer);
        sender.flush(plan);
      }
      // One packet on each lane.
      for (unsigned lane = 0; lane < lanes; ++lane)
        EXPECT_EQ(own->take_counters(static_cast<uint8_t>(lane), 1), 1U) << "lane " << lane << " of " << lanes;
      for (unsigned worker = 0; worker < lanes; ++worker) {
        SendPipeline sender(worker, 1420, *aead, counters);
        sender.packet(plan, {}, to_peer);
        sender.flush(plan);
        unsigned lane = 0;
        while (lane < lanes && own->take_counters(static_cast<uint8_t>(lane), 0) != 3U)
          ++lane;
        ASSERT_LT(lane, lanes);
        EXPECT_EQ(cp_worker(sid, lane, lanes), worker);
        (void)own->take_counters(static_cast<uint8_t>(lane), 1);  // found
      }
    }
  }
}

}  // namespace
}  // namespace centipede
