// One link is hostile and the attacker has a plan: it repeats what crosses its link so that the honest link suffers.
#include "network.h"

namespace centipede::control::test {
namespace {

bool active_to(const Network& network, size_t host, const std::string& remote) {
  const PeerStatus status = network.status(host);
  return std::ranges::any_of(status.paths, [&](const PathStatus& path) {
    return path.remote == at(remote) && path.state == PathState::active;
  });
}

// On link 0 somebody relays host 0's heartbeats from nine made-up sources in turn, and what is sent to those back to
// host 0. No source is used again soon after an answer to it was passed on, so none of them ever proves itself.
class Relay {
 public:
  explicit Relay(const Network& network) : network_(network) {
    for (int i = 1; i <= 9; ++i)
      sources_.push_back(at("198.18.0." + std::to_string(i)));
  }
  [[nodiscard]] static bool is_source(const Endpoint& endpoint) { return endpoint.address.bytes()[0] == 198; }

  void pass_back(Packet& packet) {
    std::erase_if(passed_back_, [&](const auto& one) { return one.first + milliseconds(200) < network_.now; });
    passed_back_.emplace_back(network_.now, packet.destination);
    packet.destination = at("10.1.0.1");
  }
  bool relay(Packet& packet) {
    const auto free = std::ranges::find_if(sources_, [&](const Endpoint& source) {
      return std::ranges::find(passed_back_, source, &std::pair<Instant, Endpoint>::second) == passed_back_.end();
    });
    if (free == sources_.end()) return false;
    packet.source = *free;
    std::rotate(free, free + 1, sources_.end());
    return true;
  }

 private:
  const Network& network_;
  std::vector<Endpoint> sources_;
  std::vector<std::pair<Instant, Endpoint>> passed_back_;
};

TEST(HostileLink, RelayedHeartbeatsDoNotKeepOutTheNewAddressOfAnHonestLink) {
  Network network(3);
  add_two_with_two_links(network);
  network.add_peer(1, 0, {});
  network.add_peer(0, 1, {at("10.1.0.2"), at("10.2.0.2")});
  Relay relay(network);
  bool hostile = false;
  bool moved = false;
  network.on_packet = [&](Packet& packet) {
    if (Relay::is_source(packet.destination)) {
      relay.pass_back(packet);
      return true;
    }
    if (packet.destination == at("10.9.9.9")) {  // the NAT's way back
      packet.destination = at("10.2.0.1");
      return true;
    }
    if (!same_link(packet)) return false;
    const bool link_0 = packet.source.address.bytes()[1] == 1;
    if (hostile && link_0) return packet.from == 0 && packet.is_control_lane() && relay.relay(packet);
    if (!moved || link_0) return true;
    packet.source = at("10.9.9.9");
    return packet.from == 0;  // the NAT has forgotten the old address
  };
  network.run_for(seconds(5));
  ASSERT_TRUE(active_to(network, 1, "10.2.0.1"));
  hostile = true;
  network.run_for(seconds(60));
  moved = true;
  EXPECT_TRUE(network.run_until([&] { return active_to(network, 1, "10.9.9.9"); }, seconds(5)));
}

// Host 1 is away for ten minutes; somebody has recorded the calls to it and spends them as soon as it is back, each
// until it is taken.
TEST(HostileLink, RecordedCallsDoNotKeepTheCallerOut) {
  Network network;
  bool away = false;
  std::vector<Packet> recorded;
  network.on_packet = [&](Packet& packet) {
    if (away && packet.is_initiation() && packet.from == 0) recorded.push_back(packet);
    return !away;
  };
  connect_two(network, true, false);
  network.run_for(seconds(5));
  ASSERT_TRUE(network.agreed());
  away = true;
  network.run_for(seconds(600));
  const size_t before = recorded.size();
  ASSERT_GT(before, 100U);
  network.run_until([&] { return recorded.size() > before; });
  away = false;
  network.restart(1, Network::Disk::kept);
  network.add_peer(1, 0, {});
  const auto& counters = network.controller(1).counters();
  const Instant back = network.now;
  size_t next = 0;
  while (!network.agreed() && network.now < back + seconds(300)) {
    if (next < recorded.size()) {
      Packet one = recorded[next];
      one.source = at("192.0.2.66");
      const uint64_t answered = counters.initiations_answered;
      network.deliver(one);
      if (counters.initiations_answered != answered) ++next;
    }
    network.run_for(milliseconds(12));
  }
  EXPECT_LE(network.now - back, seconds(4)) << next << " of " << recorded.size() << " spent";
}

// The link cuts the office off after it has answered a probe, and lets that answer go when the office is long gone. Who
// believed it would take a dead session for one that is alive.
TEST(HostileLink, AnAnswerThatWasHeldBackProvesNoPath) {
  for (const auto& [held, proves] : {std::pair{seconds(9), true}, std::pair{seconds(11), false}}) {
    Network network;
    add_two_with_two_links(network);
    network.add_peer(1, 0, {});
    std::optional<Packet> answer;
    bool gone = false;
    network.on_packet = [&](Packet& packet) {
      if (!same_link(packet)) return false;
      const bool link_0 = packet.source.address.bytes()[1] == 1;
      if (link_0 && packet.from == 1 && packet.is_control_lane() && !answer) answer = packet;
      return !gone && !(link_0 && packet.from == 1 && packet.is_control_lane());
    };
    network.add_peer(0, 1, {at("10.1.0.2"), at("10.2.0.2")});
    ASSERT_TRUE(network.run_until([&] { return answer && active_to(network, 0, "10.2.0.2"); }, seconds(2)));
    const Instant answered = network.now;
    gone = true;
    network.run_until(answered + held, [] { return false; });
    network.deliver(*answer);
    EXPECT_EQ(active_to(network, 0, "10.1.0.2"), proves) << held.count() << " s";
  }
}

// A timestamp that no state file can hold would cost us the file, and with it all other peers' timestamps.
TEST(HostileLink, ATimestampBeyondTheRangeOfTheStateFileIsMalformed) {
  Network network;
  network.add_host();
  network.add_host();
  network.set_uplink(1, 0, {"10.1.0.2"});
  network.add_peer(1, 0, {});
  const auto call = [&](uint64_t timestamp_ns) {
    crypto::SecretKey ephemeral;
    ephemeral.data()[5] = 77;
    const auto initiator = crypto::Initiator::start({.self = identity(0),
                                                     .responder = identity(1).public_key(),
                                                     .sid = 5,
                                                     .timestamp_ns = timestamp_ns,
                                                     .params = {},
                                                     .ephemeral_secret = ephemeral});
    ASSERT_TRUE(initiator.has_value());
    network.deliver({.source = at("192.0.2.1"),
                     .destination = at("10.1.0.2"),
                     .bytes = {initiator->message().begin(), initiator->message().end()}});
  };
  call(crypto::greatest_timestamp_ns + 1);
  call(UINT64_MAX);
  EXPECT_EQ(network.controller(1).counters().malformed, 2U);
  EXPECT_EQ(network.controller(1).counters().initiations_answered, 0U);
  call(crypto::greatest_timestamp_ns);
  EXPECT_EQ(network.controller(1).counters().initiations_answered, 1U);
}

}  // namespace
}  // namespace centipede::control::test
