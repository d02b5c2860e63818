// Rekeying, old age, goodbye, and peers that come and go.
#include "network.h"

namespace centipede::control::test {
namespace {

TEST(SessionLife, CallerRekeysBeforeTwoMinutesAndTheOldSessionOverlaps) {
  Network network;
  connect_two(network, true, false);
  ASSERT_TRUE(network.run_until([&] { return network.agreed(); }));
  const auto first = network.session(0);
  const auto first_sid_at_1 = network.session(1)->local_sid();
  int calls = 0;
  network.on_packet = [&](Packet& packet) {
    if (packet.is_initiation()) {
      ++calls;
      EXPECT_EQ(packet.from, 0U);
    }
    return true;
  };
  network.run_until([&] { return network.session(0) != first; }, seconds(121));
  const Instant replaced = network.now;
  EXPECT_NE(network.session(0), first);
  EXPECT_EQ(calls, 1);
  EXPECT_TRUE(network.run_until([&] { return network.agreed(); }, milliseconds(100)));
  const auto still_there = [&] { return network.hosts[1]->receivable.contains(first_sid_at_1); };
  EXPECT_TRUE(still_there());
  network.run_until([&] { return !still_there(); });
  EXPECT_GE(network.now - replaced, seconds(10));
  EXPECT_LE(network.now - replaced, seconds(11));
  EXPECT_EQ(network.paths_in(0, PathState::active), 1U) << "rekeying leaves paths alone";
}

TEST(SessionLife, RekeyingNeverLeavesASideWithoutASession) {
  Network network(5);
  connect_two(network, true, true);
  ASSERT_TRUE(network.run_until([&] { return network.agreed(); }));
  network.on_packet = [&](Packet& packet) {
    packet.extra_delay = milliseconds(network.random.below(300));
    return network.random.below(100) >= 10;
  };
  network.run_until(network.now + seconds(1200), [&] {
    EXPECT_TRUE(network.session(0) && network.session(1));
    // Whatever one side sends on, the other can receive.
    EXPECT_TRUE(network.hosts[1]->receivable.contains(network.session(0)->peer_sid()));
    EXPECT_TRUE(network.hosts[0]->receivable.contains(network.session(1)->peer_sid()));
    return testing::Test::HasFailure();
  });
  EXPECT_GE(network.status(0).handshakes, 9U);
}

TEST(SessionLife, ManyPacketsBringRekeyingForward) {
  Timing timing;
  timing.rekey_after_packets = 1000;
  Network network(1, timing);
  connect_two(network, true, false);
  ASSERT_TRUE(network.run_until([&] { return network.agreed(); }));
  const auto first = network.session(0);
  ASSERT_TRUE(first->take_counters(0, 1000).has_value());
  EXPECT_TRUE(network.run_until([&] { return network.session(0) != first && network.agreed(); }, seconds(1)));
}

TEST(SessionLife, ManyFailedTagsBringRekeyingForwardOnEitherSide) {
  for (const size_t side : {0, 1}) {
    Timing timing;
    timing.rekey_after_failed_tags = 1000;
    Network network(1, timing);
    connect_two(network, true, false);
    ASSERT_TRUE(network.run_until([&] { return network.agreed(); }));
    network.run_for(seconds(5));  // an answer holds one's own call back for a moment
    const auto first = network.session(0);
    network.session(side)->count_failed_tags(999);
    network.run_for(seconds(1));
    EXPECT_EQ(network.session(0), first);
    network.session(side)->count_failed_tags(1);
    EXPECT_TRUE(network.run_until([&] { return network.session(0) != first && network.agreed(); }, seconds(1)));
  }
}

TEST(SessionLife, TooManyFailedTagsEndTheKeyAtOnce) {
  Timing timing;
  timing.drop_after_failed_tags = 1000;
  Network network(1, timing);
  connect_two(network, true, false);
  ASSERT_TRUE(network.run_until([&] { return network.agreed(); }));
  network.run_for(seconds(5));
  const auto first = network.session(1);
  network.on_packet = [](Packet& packet) { return packet.is_control_lane(); };  // nothing to replace it with
  first->count_failed_tags(1000);
  EXPECT_TRUE(network.run_until([&] { return network.session(1) == nullptr; }, milliseconds(300)));
  EXPECT_FALSE(network.hosts[1]->receivable.contains(first->local_sid()));
  network.on_packet = nullptr;
  EXPECT_TRUE(network.run_until([&] { return network.agreed(); }, seconds(5)));
}

TEST(SessionLife, ResponderTakesOverWhenTheCallerDoesNotRekey) {
  Network network;
  connect_two(network, true, true);
  ASSERT_TRUE(network.run_until([&] { return network.agreed(); }));
  network.run_for(seconds(1));
  // Only calls of host 1 pass from now on; one of the two is the session's responder in either case.
  const auto first = network.session(0);
  network.on_packet = [](Packet& packet) { return !(packet.is_initiation() && packet.from == 0); };
  EXPECT_TRUE(network.run_until([&] { return network.session(0) != first && network.agreed(); }, seconds(150)));
}

TEST(SessionLife, FailedRekeyingUsesTheOldSessionUntilItIsTooOld) {
  Network network;
  connect_two(network, true, true);
  ASSERT_TRUE(network.run_until([&] { return network.agreed(); }));
  const Instant born = network.now;
  bool handshakes_pass = false;
  network.on_packet = [&](Packet& packet) { return packet.is_control_lane() || handshakes_pass; };
  network.run_until(born + seconds(178), [] { return false; });
  EXPECT_TRUE(network.agreed());
  network.run_until(born + seconds(181), [] { return false; });
  EXPECT_EQ(network.session(0), nullptr);
  EXPECT_EQ(network.session(1), nullptr);
  EXPECT_TRUE(network.hosts[0]->receivable.empty());
  EXPECT_TRUE(network.controller(0).sessions().empty());
  handshakes_pass = true;
  EXPECT_TRUE(network.run_until([&] { return network.agreed(); }, seconds(40)));
}

TEST(SessionLife, CloseEndsTheSessionOnTheOtherSideAndItCallsAfterTwoSeconds) {
  Network network;
  connect_two(network, true, false);
  network.run_for(seconds(3));
  int closes = 0;
  std::vector<Instant> calls;
  network.on_packet = [&](Packet& packet) {
    if (packet.from == 1 && packet.bytes.size() == CP_DATA_HEADER_SIZE + CP_CLOSE_SIZE) ++closes;
    if (packet.is_initiation()) calls.push_back(network.now);
    return closes < 3 || packet.is_initiation() || closes == 3;
  };
  const Instant closed = network.now;
  network.close(1);
  EXPECT_EQ(closes, 3);
  EXPECT_EQ(network.controller(1).next_deadline(), never);
  EXPECT_TRUE(network.hosts[1]->receivable.empty());
  EXPECT_EQ(network.session(1), nullptr);
  network.run_for(milliseconds(20));
  EXPECT_EQ(network.session(0), nullptr);
  EXPECT_TRUE(network.peer(0)->paths.empty() == false);
  network.run_for(seconds(10));
  ASSERT_FALSE(calls.empty());
  EXPECT_GE(calls[0] - closed, seconds(2));
  EXPECT_LE(calls[0] - closed, milliseconds(2100));
}

TEST(SessionLife, TwoOfThreeCloseFramesMayGetLost) {
  Network network;
  connect_two(network, true, false);
  network.run_for(seconds(3));
  int closes = 0;
  network.on_packet = [&](Packet&) { return ++closes == 3; };
  network.close(1);
  network.run_for(milliseconds(20));
  EXPECT_EQ(network.session(0), nullptr);
}

TEST(SessionLife, ListenerDoesNotCallAPeerThatSaidGoodbye) {
  Network network;
  connect_two(network, true, false);
  network.run_for(seconds(3));
  network.close(0);
  network.record = true;
  network.run_for(seconds(1000));
  EXPECT_TRUE(network.sent.empty());
  EXPECT_TRUE(network.status(1).paths.empty());
}

TEST(SessionLife, ReplayedCloseOfAnOldSessionEndsNothing) {
  Network network;
  connect_two(network, true, false);
  network.run_for(seconds(3));
  std::vector<Packet> closes;
  network.on_packet = [&](Packet& packet) {
    closes.push_back(packet);
    return false;
  };
  network.close(0);
  network.on_packet = nullptr;
  network.restart(0);
  network.add_peer(0, 1, {at("10.1.0.2")});
  ASSERT_TRUE(network.run_until([&] { return network.agreed(); }, seconds(5)));
  for (const Packet& packet : closes)
    network.deliver(packet);
  EXPECT_TRUE(network.agreed());
}

TEST(SessionLife, KeysAreForgottenAfterNineMinutesWithoutContact) {
  Timing timing;
  timing.reject_after = seconds(3600);
  timing.rekey_after = seconds(3000);
  Network network(1, timing);
  connect_two(network, true, false);
  network.run_for(seconds(3));
  bool heard_nothing = true;
  network.on_packet = [&](Packet&) { return !heard_nothing; };
  network.run_for(seconds(538));
  EXPECT_FALSE(network.hosts[0]->receivable.empty());
  network.run_for(seconds(3));
  EXPECT_TRUE(network.hosts[0]->receivable.empty());
  EXPECT_TRUE(network.hosts[1]->receivable.empty());
  EXPECT_TRUE(network.status(1).paths.empty());
  EXPECT_EQ(network.controller(1).next_deadline(), never);
  heard_nothing = false;
  EXPECT_TRUE(network.run_until([&] { return network.agreed(); }, seconds(40)));
}

TEST(SessionLife, LinksGoneForTenMinutesAreBackInThreeSeconds) {
  Network network;
  connect_two(network, true, false);
  network.run_for(seconds(3));
  Uplink uplink = network.hosts[0]->uplinks[0];
  uplink.usable = false;
  network.set_uplink(0, uplink);
  network.run_for(seconds(600));
  uplink.usable = true;
  network.set_uplink(0, uplink);
  EXPECT_TRUE(network.run_until([&] { return network.agreed(); }, seconds(3)));
}

TEST(SessionLife, AnOutageThatNobodyReportsIsOverThreeSecondsAfterItEnds) {
  for (const auto& [outage, bound] :
       {std::pair{seconds(5), seconds(3)}, std::pair{seconds(200), seconds(3)}, std::pair{seconds(600), seconds(3)},
        std::pair{seconds(3400), seconds(3)}, std::pair{seconds(7200), seconds(37)}}) {
    for (uint64_t seed = 0; seed < 4; ++seed) {
      Network network(seed);
      connect_two(network, true, seed % 2 == 0);
      network.run_for(seconds(3));
      ASSERT_TRUE(network.agreed());
      network.on_packet = [](Packet&) { return false; };
      network.run_for(outage + milliseconds(100 * seed));
      network.on_packet = nullptr;
      const auto both_send = [&] {
        return network.agreed() && !network.peer(0)->send_paths.empty() && !network.peer(1)->send_paths.empty();
      };
      EXPECT_TRUE(network.run_until(both_send, bound)) << outage.count() << " s, seed " << seed;
    }
  }
}

TEST(SessionLife, FlappingUplinkCallsAtMostFiveTimesASecond) {
  Network network;
  network.on_packet = [](Packet&) { return false; };
  connect_two(network, true, false);
  network.record = true;
  Uplink uplink = network.hosts[0]->uplinks[0];
  for (int flap = 0; flap < 1000; ++flap) {
    uplink.usable = !uplink.usable;
    network.set_uplink(0, uplink);
    network.run_for(milliseconds(10));
  }
  EXPECT_LE(network.sent.size(), 51U);
  EXPECT_GE(network.sent.size(), 20U);
}

TEST(SessionLife, RemovedPeerIsToldAndForgotten) {
  Network network;
  connect_two(network, true, false);
  network.run_for(seconds(3));
  EXPECT_TRUE(network.controller(0).remove_peer(0, network.time(0)));
  EXPECT_FALSE(network.controller(0).remove_peer(0, network.time(0)));
  network.settle(0);
  EXPECT_EQ(network.peer(0), nullptr);
  EXPECT_TRUE(network.hosts[0]->receivable.empty());
  network.run_for(milliseconds(20));
  EXPECT_EQ(network.session(1), nullptr);
  EXPECT_EQ(network.add_peer(0, 1, {at("10.1.0.2")}), 1U) << "a peer's number is never used again";
}

TEST(SessionLife, ImpossiblePeersAreRefusedWithAReason) {
  Network network;
  network.add_host();
  const auto add = [&](size_t key, std::vector<Prefix> networks) {
    PeerSettings peer{.name = "x", .public_key = identity(key).public_key(), .allowed_ips = std::move(networks)};
    return network.controller(0).add_peer(std::move(peer), network.time(0));
  };
  EXPECT_NE(add(0, {}).error().text.find("our own"), std::string::npos);
  ASSERT_TRUE(add(1, {*Prefix::parse("10.0.0.0/8")}).has_value());
  EXPECT_NE(add(1, {}).error().text.find("another peer has this public key"), std::string::npos);
  EXPECT_NE(add(2, {*Prefix::parse("10.9.0.0/16"), *Prefix::parse("10.0.0.0/8")}).error().text.find("10.0.0.0/8"),
            std::string::npos);
  ASSERT_TRUE(add(3, {*Prefix::parse("10.9.0.0/16")}).has_value()) << "a refused peer leaves nothing behind";
  const uint8_t inner[4] = {10, 9, 1, 1};
  EXPECT_EQ(network.controller(0).forwarding().routes->lookup_v4(inner), 1U);
}

TEST(SessionLife, DifferentPresharedKeysDoNotConnect) {
  Network network;
  network.add_host();
  network.add_host();
  network.set_uplink(0, 0, {"10.1.0.1"});
  network.set_uplink(1, 0, {"10.1.0.2"});
  crypto::SecretKey key;
  key.data()[0] = 1;
  PeerSettings peer{.name = "x",
                    .public_key = identity(1).public_key(),
                    .preshared_key = std::make_shared<const crypto::SecretKey>(std::move(key)),
                    .endpoints = {at("10.1.0.2")}};
  ASSERT_TRUE(network.controller(0).add_peer(std::move(peer), network.time(0)).has_value());
  network.settle(0);
  network.add_peer(1, 0, {});
  network.run_for(seconds(60));
  EXPECT_EQ(network.session(0), nullptr);
  EXPECT_EQ(network.session(1), nullptr);
  EXPECT_GT(network.controller(0).counters().bad_box, 0U);
}

TEST(SessionLife, RubbishIsCountedAndAnswersNothing) {
  Network network;
  connect_two(network, true, false);
  network.run_for(seconds(1));
  network.record = true;
  SeededRandomness random(4);
  for (int i = 0; i < 20'000; ++i) {
    std::vector<uint8_t> bytes(random.below(300));
    random.fill(bytes);
    const size_t sizes[] = {CP_INITIATION_SIZE, CP_RESPONSE_SIZE, CP_COOKIE_SIZE};
    if (i % 4 != 0) {
      bytes.assign(sizes[i % 3], static_cast<uint8_t>(i));
      std::fill_n(bytes.begin(), 8, uint8_t{0});
      bytes[0] = static_cast<uint8_t>(CP_CONTROL_BIT | (1 + i % 3));
      bytes[1] = CP_PROTOCOL_VERSION;
    }
    network.deliver({.source = at("192.0.2.1"), .destination = at("10.1.0.2"), .bytes = std::move(bytes)});
  }
  EXPECT_TRUE(network.sent.empty());
  EXPECT_TRUE(network.agreed());
  const ControlCounters& counters = network.controller(1).counters();
  EXPECT_GT(counters.bad_mac1, 1000U);
  EXPECT_GT(counters.unexpected_response, 1000U);
  EXPECT_GT(counters.unexpected_cookie, 1000U);
  EXPECT_GT(counters.malformed, 1000U);
}

}  // namespace
}  // namespace centipede::control::test
