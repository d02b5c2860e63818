// Paths as the controllers live them: validation, silence, loss, roaming, limits and the choice of paths.
#include <map>
#include <set>

#include "network.h"
#include "wire/frame.h"

namespace centipede::control::test {
namespace {

// What is sent on a link arrives on the same.
void connect_two_links(Network& network, Policy policy = Policy::redundant) {
  add_two_with_two_links(network);
  network.add_peer(1, 0, {}, policy);
  network.add_peer(0, 1, {at("10.1.0.2"), at("10.2.0.2")}, policy);
}

// `cut` is read at every packet and must outlive the network's use.
void cut_link_0_while(Network& network, const bool& cut) {
  network.on_packet = [&cut](Packet& packet) {
    return same_link(packet) && !(cut && packet.source.address.bytes()[1] == 1);
  };
}

std::set<std::string> sending_to(const Network& network, size_t host) {
  std::set<std::string> remotes;
  for (const DataPath& path : network.peer(host)->send_paths)
    remotes.insert(path.remote.text());
  return remotes;
}

const PathStatus* path_to(const PeerStatus& status, const Endpoint& remote) {
  const auto row = std::ranges::find(status.paths, remote, &PathStatus::remote);
  return row == status.paths.end() ? nullptr : &*row;
}

TEST(Path, SilenceDegradesItAfterThreeIntervalsAndDownsItAfterTen) {
  Network network;
  connect_two(network, true, false);
  network.run_for(seconds(5));
  ASSERT_EQ(network.paths_in(0, PathState::active), 1U);
  network.on_packet = [](Packet&) { return false; };
  const Instant cut = network.now;
  ASSERT_TRUE(network.run_until([&] { return network.paths_in(0, PathState::degraded) == 1; }));
  EXPECT_GE(network.now - cut, milliseconds(470));
  EXPECT_LE(network.now - cut, milliseconds(800));
  EXPECT_EQ(sending_to(network, 0), std::set<std::string>{"10.1.0.2:5820"});
  ASSERT_TRUE(network.run_until([&] { return network.paths_in(0, PathState::down) == 1; }));
  EXPECT_GE(network.now - cut, milliseconds(2200));
  EXPECT_LE(network.now - cut, milliseconds(2550));
  EXPECT_TRUE(network.logged(0, "path eth0 10.1.0.1 → 10.1.0.2:5820: down"));
  const auto warnings_of = [&](const std::string& state) {
    return std::ranges::count_if(network.hosts[0]->log, [&](const std::string& line) {
      return line.starts_with("warning: ") && line.ends_with(": " + state);
    });
  };
  EXPECT_EQ(warnings_of("degraded"), 1);
  EXPECT_EQ(warnings_of("down"), 1);
  EXPECT_EQ(sending_to(network, 0).size(), 1U) << "the last resort";
  network.on_packet = nullptr;
  EXPECT_TRUE(network.run_until([&] { return network.paths_in(0, PathState::active) == 1; }, seconds(6)));
  EXPECT_EQ(warnings_of("active"), 0) << "good news is no warning";
  EXPECT_TRUE(network.run_until([&] { return network.agreed(); }, seconds(6)));
}

// A name may resolve to more addresses than there is room for paths.
TEST(Path, HoweverManyEndpointsThereAreEveryUplinkHasSome) {
  Network network;
  add_two_with_two_links(network);
  network.set_uplink(0, 2, {"10.3.0.1"}, 2);
  std::vector<Endpoint> endpoints;
  for (int i = 2; i < 34; ++i)
    endpoints.push_back(at("10.2.0." + std::to_string(i)));
  network.add_peer(0, 1, endpoints);
  std::map<UplinkId, std::set<std::string>> remotes;
  const std::vector<PeerStatus> peers = network.controller(0).status(network.time(0));
  for (const PathStatus& path : peers.front().paths)
    remotes[path.uplink].insert(path.remote.text());
  ASSERT_EQ(remotes.size(), 3U);
  for (const auto& [uplink, some] : remotes) {
    EXPECT_GE(some.size(), 5U) << "uplink " << int{uplink};
    EXPECT_TRUE(some.contains("10.2.0.2:5820")) << "the first for all";
  }
}

TEST(Path, OneOfTwoLinksCutLeavesTheOtherAloneAndRejoins) {
  Network network;
  connect_two_links(network);
  bool cut = false;
  cut_link_0_while(network, cut);
  network.run_for(seconds(3));
  const std::set<std::string> both{"10.1.0.2:5820", "10.2.0.2:5820"};
  ASSERT_EQ(sending_to(network, 0), both);
  cut = true;
  const auto session = network.session(0);
  network.run_for(seconds(60));
  EXPECT_EQ(sending_to(network, 0), std::set<std::string>{"10.2.0.2:5820"});
  EXPECT_EQ(network.session(0), session);
  cut = false;
  network.run_for(seconds(6));
  EXPECT_EQ(sending_to(network, 0), both);
  EXPECT_EQ(network.session(0), session);
}

TEST(Path, DegradedPathStillCarriesCopies) {
  Network network;
  connect_two_links(network);
  bool cut = false;
  cut_link_0_while(network, cut);
  network.run_for(seconds(3));
  cut = true;
  ASSERT_TRUE(network.run_until([&] { return network.paths_in(0, PathState::degraded) == 1; }, seconds(2)));
  EXPECT_EQ(network.paths_in(0, PathState::active), 1U);
  EXPECT_EQ(sending_to(network, 0).size(), 2U);
}

TEST(Path, RttAndLossAreMeasuredEachWay) {
  Network network;
  connect_two(network, true, false);
  network.run_for(seconds(1));
  network.on_packet = [&](Packet& packet) { return packet.from == 0 || network.random.below(100) >= 25; };
  network.run_for(seconds(30));
  const PathStatus at_0 = network.status(0).paths.at(0);
  const PathStatus at_1 = network.status(1).paths.at(0);
  EXPECT_NEAR(static_cast<double>(at_0.rtt->count()), 20e6, 1e6);
  EXPECT_NEAR(static_cast<double>(at_1.rtt->count()), 20e6, 1e6);
  EXPECT_NEAR(*at_0.loss_in, 0.25, 0.15);
  EXPECT_NEAR(*at_1.loss_out, 0.25, 0.15);
  EXPECT_NEAR(*at_0.loss_out, 0.0, 0.02);
  EXPECT_NEAR(*at_1.loss_in, 0.0, 0.02);
}

TEST(Path, ReorderedHeartbeatsAreNotLost) {
  Network network;
  connect_two(network, true, false);
  network.on_packet = [&](Packet& packet) {
    packet.extra_delay = milliseconds(network.random.below(600));
    return true;
  };
  network.run_for(seconds(60));
  EXPECT_GT(network.controller(0).counters().stale_heartbeat, 10U);
  EXPECT_LE(*network.status(0).paths.at(0).loss_in, 0.05);
  EXPECT_LE(*network.status(0).paths.at(0).loss_out, 0.05);
}

TEST(Path, HeartbeatReplayedFromAnotherSourceCreatesNothing) {
  Network network;
  connect_two(network, true, false);
  Packet captured;
  bool hold_back = false;
  network.run_for(seconds(2));
  network.on_packet = [&](Packet& packet) {
    if (packet.from != 0 || !packet.is_control_lane()) return true;
    captured = packet;
    return !hold_back;
  };
  network.run_for(seconds(1));
  captured.source = at("192.0.2.66");
  network.deliver(captured);
  EXPECT_EQ(network.controller(1).counters().control_duplicate, 1U);
  // One that never arrived, held back until later ones have.
  hold_back = true;
  network.run_for(milliseconds(300));
  const Packet held = captured;
  hold_back = false;
  network.run_for(seconds(1));
  Packet replay = held;
  replay.source = at("192.0.2.66");
  network.deliver(replay);
  EXPECT_EQ(network.controller(1).counters().stale_heartbeat, 1U);
  EXPECT_EQ(network.status(1).paths.size(), 1U);
}

TEST(Path, HeartbeatOfAHostileLinkUnderAnHonestPathsAddressesDropsNoHonestPath) {
  Network network;
  connect_two_links(network);
  network.on_packet = same_link;
  network.run_for(seconds(3));
  // The hostile link holds a heartbeat of its own back, shows it under the honest path's addresses and lets the next
  // pass.
  std::vector<Packet> held;
  network.on_packet = [&](Packet& packet) {
    if (!same_link(packet)) return false;
    if (packet.from != 0 || packet.source.address != ip("10.1.0.1")) return true;
    if (packet.is_control_lane()) held.push_back(packet);
    return false;
  };
  network.run_for(seconds(4));
  ASSERT_FALSE(held.empty());
  ASSERT_EQ(sending_to(network, 1), std::set<std::string>{"10.2.0.1:5820"});
  for (const Packet& one : held) {
    Packet relayed = one;
    relayed.source = at("10.2.0.1");
    relayed.destination = at("10.2.0.2");
    network.deliver(relayed);
    EXPECT_TRUE(sending_to(network, 1).contains("10.2.0.1:5820"));
  }
  network.on_packet = same_link;
  for (int step = 0; step < 100; ++step) {
    network.run_for(milliseconds(10));
    ASSERT_TRUE(sending_to(network, 1).contains("10.2.0.1:5820")) << "after " << step * 10 << " ms";
  }
}

TEST(Path, TenThousandFakeAddressesMakeAtMostSixteenPathsAndGetNoData) {
  Timing timing;
  timing.probe_interval_max = timing.heartbeat_interval;
  Network network(3, timing);
  connect_two_links(network);
  uint32_t fakes = 0;
  size_t most_paths = 0;
  std::map<std::string, std::pair<size_t, size_t>> bytes;  // received from, sent to
  network.on_packet = [&](Packet& packet) {
    if (!same_link(packet) && packet.source.address.bytes()[0] == 10 && packet.destination.address.bytes()[0] == 10)
      return false;
    if (packet.destination.address.bytes()[0] == 198) bytes[packet.destination.text()].second += packet.bytes.size();
    // Somebody on link 0 gives every heartbeat a new source.
    if (packet.from == 0 && packet.is_control_lane() && packet.source.address.bytes()[1] == 1 &&
        network.now > Instant(seconds(1005))) {
      const uint8_t fake[4] = {198, 18, static_cast<uint8_t>(fakes >> 8), static_cast<uint8_t>(fakes)};
      ++fakes;
      packet.source.address = IpAddress::v4(fake);
      bytes[packet.source.text()].first += packet.bytes.size();
    }
    return true;
  };
  for (int step = 0; step < 3000; ++step) {
    network.run_for(seconds(1));
    const PeerStatus status = network.status(1);
    most_paths = std::max(most_paths, status.paths.size());
    for (const PathStatus& path : status.paths) {
      if (path.remote.address.bytes()[0] != 198) continue;
      ASSERT_EQ(path.state, PathState::probing);
      ASSERT_FALSE(path.sending);
    }
    ASSERT_TRUE(sending_to(network, 1).contains("10.2.0.1:5820"));
    if (fakes > 10'000) break;
  }
  EXPECT_GT(fakes, 10'000U);
  EXPECT_LE(most_paths, 16U);
  EXPECT_GT(network.controller(1).counters().path_limit, 100U);
  for (const auto& [address, count] : bytes)
    ASSERT_LE(count.second, 3 * count.first) << address;
}

// What a peer that lies could send: sealed with the true session.
std::vector<uint8_t> forge(Network& network, const wire::Heartbeat& heartbeat) {
  std::array<uint8_t, CP_HEARTBEAT_SIZE> frame{};
  wire::write_frame(heartbeat, frame.data());
  const auto aead = crypto::make_sodium_aead();
  return network.session(0)->seal_control(*aead, frame);
}

TEST(Path, TenThousandSourcesAtOnceMakeFourNewPathsASecond) {
  Network network;
  connect_two(network, true, false);
  network.run_for(seconds(2));
  for (uint32_t number = 1; number <= 10'000; ++number) {
    const uint8_t fake[4] = {198, 18, static_cast<uint8_t>(number >> 8), static_cast<uint8_t>(number)};
    network.deliver({.source = {IpAddress::v4(fake), port},
                     .destination = at("10.1.0.2"),
                     .bytes = forge(network, {.path_id = 900, .number = number})});
  }
  // The two newest of the four are kept.
  EXPECT_EQ(network.status(1).paths.size(), 3U);
  EXPECT_EQ(network.controller(1).counters().path_limit, 9996U);
}

TEST(Path, ForgedTokenValidatesNothingAndGetsThreeTimesItsBytes) {
  Network network;
  connect_two(network, true, false);
  network.run_for(seconds(1));
  size_t sent_back = 0;
  size_t received = 0;
  network.on_packet = [&](Packet& packet) {
    if (packet.destination == at("192.0.2.66")) sent_back += packet.bytes.size();
    return true;
  };
  for (uint32_t number = 1; number <= 40; ++number) {
    wire::Heartbeat lie{.path_id = 900, .number = number, .echoed_number = number, .token = number};
    lie.flags = wire::Heartbeat::flag_has_echo | wire::Heartbeat::flag_want_echo;
    lie.token_echo = number * 0x9e3779b97f4a7c15;
    const auto bytes = forge(network, lie);
    received += bytes.size();
    network.deliver({.source = at("192.0.2.66"), .destination = at("10.1.0.2"), .bytes = bytes});
    network.run_for(milliseconds(20));
    ASSERT_LE(sent_back, 3 * received);
    ASSERT_EQ(path_to(network.status(1), at("192.0.2.66"))->state, PathState::probing);
  }
  const size_t before = received;
  network.run_for(seconds(30));
  EXPECT_LE(sent_back, 3 * before);
  EXPECT_EQ(path_to(network.status(1), at("192.0.2.66")), nullptr) << "forgotten";
}

TEST(Path, NatRebindingMovesThePathAndLeavesNoGhost) {
  Network network;
  connect_two(network, true, false);
  uint16_t outside = 40'000;
  network.on_packet = [&](Packet& packet) {
    if (packet.from == 0) packet.source = at("203.0.113.1", outside);
    if (packet.from == 1) {
      if (packet.destination != at("203.0.113.1", outside)) return false;
      packet.destination = at("10.1.0.1");
    }
    return true;
  };
  network.run_for(seconds(8));
  ASSERT_EQ(sending_to(network, 1), std::set<std::string>{"203.0.113.1:40000"});
  const auto session = network.session(1);
  outside = 50'000;
  EXPECT_TRUE(network.run_until([&] { return sending_to(network, 1) == std::set<std::string>{"203.0.113.1:50000"}; },
                                seconds(1)));
  EXPECT_EQ(network.status(1).paths.size(), 1U);
  network.run_for(seconds(3));
  EXPECT_EQ(network.session(1), session);
  EXPECT_EQ(network.paths_in(0, PathState::active), 1U);
}

TEST(Path, RoamingFromV4ToV6AndBackKeepsTheSession) {
  Network network;
  network.add_host();
  network.add_host();
  network.set_uplink(0, 0, {"10.1.0.1"});
  network.set_uplink(1, 0, {"10.1.0.2", "2001:db8::2"});
  network.add_peer(1, 0, {});
  network.add_peer(0, 1, {at("10.1.0.2"), at("2001:db8::2")});
  network.run_for(seconds(3));
  const auto session = network.session(0);
  ASSERT_EQ(sending_to(network, 1), std::set<std::string>{"10.1.0.1:5820"});
  network.set_uplink(0, 0, {"2001:db8::1"});
  EXPECT_EQ(network.peer(0)->paths.size(), 1U) << "the old path vanishes with its address";
  EXPECT_TRUE(
      network.run_until([&] { return sending_to(network, 1).contains("[2001:db8::1]:5820"); }, milliseconds(100)));
  network.run_for(seconds(4));
  EXPECT_EQ(sending_to(network, 1), std::set<std::string>{"[2001:db8::1]:5820"});
  network.set_uplink(0, 0, {"10.1.0.7"});
  EXPECT_TRUE(network.run_until([&] { return sending_to(network, 1).contains("10.1.0.7:5820"); }, milliseconds(100)));
  EXPECT_EQ(network.session(0), session);
  EXPECT_TRUE(network.agreed());
}

TEST(Path, UplinkTakenOutTakesOnlyItsOwnPaths) {
  Network network;
  connect_two_links(network);
  network.on_packet = same_link;
  network.run_for(seconds(3));
  network.remove_uplink(0, 0);
  EXPECT_EQ(sending_to(network, 0), std::set<std::string>{"10.2.0.2:5820"});
  for (const DataPath& path : network.peer(0)->paths)
    EXPECT_EQ(path.uplink, 1);
  network.set_uplink(0, 0, {"10.1.0.9"});
  EXPECT_TRUE(network.run_until([&] { return sending_to(network, 0).size() == 2; }, milliseconds(100)));
}

TEST(Path, ResponderWhoseUplinkReturnsWithAnotherAddressFindsThePeerAgain) {
  Network network;
  connect_two_links(network);
  network.on_packet = same_link;
  network.run_for(seconds(3));
  const auto session = network.session(0);
  network.remove_uplink(1, 1);
  network.run_for(seconds(20));
  EXPECT_EQ(sending_to(network, 0), std::set<std::string>{"10.1.0.2:5820"});
  network.set_uplink(1, 1, {"10.2.0.77"});
  EXPECT_TRUE(network.run_until([&] { return sending_to(network, 0).contains("10.2.0.77:5820"); }, seconds(1)));
  EXPECT_TRUE(network.run_until([&] { return sending_to(network, 1).size() == 2; }, seconds(1)));
  EXPECT_EQ(network.session(0), session);
}

TEST(Path, BackupFailsOverAtOnceAndComesBackAfterTwoSeconds) {
  Network network;
  connect_two_links(network, Policy::backup);
  bool cut = false;
  cut_link_0_while(network, cut);
  network.run_for(seconds(5));
  const std::set<std::string> first{"10.1.0.2:5820"}, second{"10.2.0.2:5820"};
  ASSERT_EQ(sending_to(network, 0), first);
  cut = true;
  const Instant cut_at = network.now;
  ASSERT_TRUE(network.run_until([&] { return sending_to(network, 0) == second; }));
  EXPECT_LE(network.now - cut_at, milliseconds(800));
  network.run_for(seconds(20));
  ASSERT_EQ(sending_to(network, 0), second);
  cut = false;
  const auto first_is_active = [&] { return path_to(network.status(0), at("10.1.0.2"))->state == PathState::active; };
  ASSERT_TRUE(network.run_until(first_is_active, seconds(6)));
  const Instant active_at = network.now;
  ASSERT_TRUE(network.run_until([&] { return sending_to(network, 0) == first; }, seconds(3)));
  EXPECT_GE(network.now - active_at, seconds(2));
}

TEST(Path, BackupPrefersUnmeteredThenPriority) {
  Network network;
  connect_two_links(network, Policy::backup);
  network.on_packet = same_link;
  Uplink first = network.hosts[0]->uplinks[0];
  first.metered = true;
  network.set_uplink(0, first);
  network.run_for(seconds(5));
  EXPECT_EQ(sending_to(network, 0), std::set<std::string>{"10.2.0.2:5820"});
}

TEST(Path, OnePathThatIsTamperedWithHarmsNoOther) {
  Network network;
  network.add_host();
  network.add_host();
  for (const UplinkId id : {UplinkId{0}, UplinkId{1}}) {
    network.set_uplink(0, id, {"10." + std::to_string(id + 1) + ".0.1"});
    network.set_uplink(1, id, {"10." + std::to_string(id + 1) + ".0.2"});
  }
  network.add_peer(1, 0, {});
  network.add_peer(0, 1, {at("10.1.0.2"), at("10.2.0.2")});
  network.run_for(seconds(2));
  ASSERT_TRUE(network.agreed());
  const auto session = network.session(0);
  // Every packet from or to 10.1.0.x has one byte changed from now on.
  network.on_packet = [&](Packet& packet) {
    const auto hostile = [](const Endpoint& end) { return end.address.text().starts_with("10.1."); };
    if (hostile(packet.source) || hostile(packet.destination))
      packet.bytes[network.random.below(packet.bytes.size())] ^= 0x40;
    return true;
  };
  network.run_for(seconds(60));
  EXPECT_EQ(network.session(0), session);
  for (const size_t host : {0, 1}) {
    const PeerStatus status = network.status(host);
    for (const PathStatus& path : status.paths) {
      const bool honest = path.local.text().starts_with("10.2.") && path.remote.address.text().starts_with("10.2.");
      EXPECT_EQ(path.state == PathState::active, honest) << path.remote.text();
      EXPECT_EQ(path.sending, honest) << path.remote.text();
    }
  }
  network.run_for(seconds(600));  // over five replacements of the session
  EXPECT_TRUE(network.agreed());
}

TEST(Path, UnvalidatedPathNeverCarriesData) {
  Network network;
  network.on_packet = [](Packet& packet) { return !(packet.from == 1 && packet.is_control_lane()); };
  connect_two(network, true, false);
  network.run_for(seconds(30));
  ASSERT_NE(network.session(0), nullptr);
  EXPECT_TRUE(sending_to(network, 0).empty());
  EXPECT_TRUE(sending_to(network, 1).empty());
}

TEST(Path, LinkLocalAddressesPairOnlyWithLinkLocalEndpoints) {
  Network network;
  network.add_host();
  network.set_uplink(0, 0, {"fe80::1", "2001:db8::1", "10.0.0.1"});
  network.add_peer(0, 1, {at("fe80::2"), at("2001:db8::2")});
  EXPECT_EQ(network.status(0).paths.size(), 2U);
}

TEST(Path, SixteenCandidatesAtMostAndEveryUplinkIsAmongThem) {
  Network network;
  network.add_host();
  for (UplinkId id = 0; id < 5; ++id) {
    std::vector<std::string> addresses;
    for (int last = 1; last <= 5; ++last)
      addresses.push_back("10." + std::to_string(id) + ".0." + std::to_string(last));
    network.set_uplink(0, id, addresses);
  }
  network.add_peer(0, 1, {at("192.0.2.1"), at("192.0.2.2")});
  const PeerStatus status = network.status(0);
  EXPECT_EQ(status.paths.size(), 16U);
  std::set<UplinkId> uplinks;
  for (const PathStatus& path : status.paths)
    uplinks.insert(path.uplink);
  EXPECT_EQ(uplinks.size(), 5U);
}

TEST(Path, WhatOnlyOnePathDeliveredIsALowerBound) {
  Network network;
  connect_two_links(network);
  network.on_packet = same_link;
  network.run_for(seconds(2));
  const auto peer = network.peer(0);
  ASSERT_EQ(peer->send_paths.size(), 2U);
  add_relaxed(peer->send_paths[0].counters->row(0).first_packets, 100);
  add_relaxed(peer->send_paths[1].counters->row(0).duplicate_packets, 60);
  peer->send_paths[1].counters->dropped_early.store(10);
  const PeerStatus status = network.status(0);
  const auto row = [&](size_t index) {
    return *std::ranges::find(status.paths, peer->send_paths[index].id, &PathStatus::id);
  };
  EXPECT_EQ(row(0).only_here, 30U);
  EXPECT_EQ(row(1).only_here, 0U);
  EXPECT_EQ(row(1).duplicates_early, 10U);
}

TEST(Path, WhatOnlyItDeliveredIsAsWellKnownWhenOthersHaveGoneOrWereThereBefore) {
  Network network;
  connect_two_links(network);
  network.on_packet = same_link;
  network.run_for(seconds(2));
  const auto only_here = [&](const DataPath& path) {
    const PeerStatus status = network.status(0);
    return std::ranges::find(status.paths, path.id, &PathStatus::id)->only_here;
  };
  const auto before = network.peer(0);
  ASSERT_EQ(before->send_paths.size(), 2U);
  add_relaxed(before->send_paths[0].counters->row(0).first_packets, 100);
  add_relaxed(before->send_paths[0].counters->row(0).duplicate_packets, 40);
  add_relaxed(before->send_paths[1].counters->row(0).duplicate_packets, 60);
  network.remove_uplink(0, before->send_paths[1].uplink);
  EXPECT_EQ(only_here(before->send_paths[0]), 40U) << "the 60 copies have come";
  network.set_uplink(0, 1, {"10.2.0.1"});
  network.run_for(seconds(2));
  const auto after = network.peer(0);
  ASSERT_EQ(after->send_paths.size(), 2U);
  add_relaxed(after->send_paths[1].counters->row(0).first_packets, 7);
  add_relaxed(after->send_paths[0].counters->row(0).duplicate_packets, 2);
  EXPECT_EQ(only_here(after->send_paths[1]), 5U) << "the 40 copies were of others";
}

}  // namespace
}  // namespace centipede::control::test
