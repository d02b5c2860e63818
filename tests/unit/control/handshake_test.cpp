// Who calls whom, when, and which session both sides end up with.
#include "network.h"
#include "rounds.h"

namespace centipede::control::test {
namespace {

TEST(Handshake, CallerAndListenerAgreeOnASessionInThreeTrips) {
  Network network;
  connect_two(network, true, false);
  EXPECT_TRUE(network.run_until([&] { return network.agreed(); }, milliseconds(31)));
  EXPECT_TRUE(network.run_until([&] { return network.paths_in(0, PathState::active) == 1; }, milliseconds(31)));
  EXPECT_TRUE(network.run_until([&] { return network.paths_in(1, PathState::active) == 1; }, milliseconds(31)));
  EXPECT_EQ(network.status(0).handshakes, 1U);
  EXPECT_EQ(network.status(1).handshakes, 1U);
}

TEST(Handshake, ListenerSendsNothingByItself) {
  Network network;
  connect_two(network, false, false);
  network.record = true;
  network.run_for(seconds(600));
  EXPECT_TRUE(network.sent.empty());
}

TEST(Handshake, SessionIsReceivableBeforeTheResponseLeaves) {
  Network network;
  bool checked = false;
  network.on_packet = [&](Packet& packet) {
    if (packet.is_response()) checked = network.hosts[1]->receivable.size() == 1;
    return true;
  };
  connect_two(network, true, false);
  network.run_for(milliseconds(100));
  EXPECT_TRUE(checked);
}

TEST(Handshake, ResponderSendsNothingOnTheSessionBeforeItIsConfirmed) {
  Network network;
  network.record = true;
  network.on_packet = [&](Packet& packet) { return packet.from == 1 || !packet.is_control_lane(); };
  connect_two(network, true, false);
  network.run_for(seconds(9));
  EXPECT_EQ(network.session(1), nullptr);
  EXPECT_FALSE(network.controller(1).sessions().empty());
  for (const Packet& packet : network.sent)
    EXPECT_FALSE(packet.from == 1 && packet.is_control_lane());
}

TEST(Handshake, UnconfirmedSessionIsDroppedAfterTenSeconds) {
  Network network;
  bool calls_pass = true;
  network.on_packet = [&](Packet& packet) { return packet.is_initiation() && calls_pass; };
  connect_two(network, true, false);
  network.run_for(milliseconds(15));
  calls_pass = false;
  EXPECT_EQ(network.hosts[1]->receivable.size(), 1U);
  network.run_for(milliseconds(9990));
  EXPECT_EQ(network.hosts[1]->receivable.size(), 1U);
  network.run_for(milliseconds(20));
  EXPECT_EQ(network.hosts[1]->receivable.size(), 0U);
}

TEST(Handshake, TenLostResponsesOnlyDelayIt) {
  Network network;
  int lost = 0;
  network.on_packet = [&](Packet& packet) { return !packet.is_response() || ++lost > 10; };
  connect_two(network, true, false);
  EXPECT_TRUE(network.run_until([&] { return network.agreed(); }, seconds(300)));
  EXPECT_EQ(lost, 11);
}

TEST(Handshake, RetransmissionBacksOffToThirtySecondsForEver) {
  Network network;
  std::vector<Instant> calls;
  network.on_packet = [&](Packet&) {
    calls.push_back(network.now);
    return false;
  };
  connect_two(network, true, false);
  network.run_for(seconds(3600));
  ASSERT_GT(calls.size(), 100U);
  EXPECT_GE(calls[1] - calls[0], milliseconds(400));
  EXPECT_LE(calls[1] - calls[0], milliseconds(600));
  for (size_t i = 10; i < calls.size(); ++i) {
    EXPECT_GE(calls[i] - calls[i - 1], seconds(24));
    EXPECT_LE(calls[i] - calls[i - 1], seconds(36));
  }
}

TEST(Handshake, EveryRoundTripUpToFiveSecondsConnects) {
  for (const int one_way_ms : {50, 300, 600, 1000, 1500, 2500}) {
    Network network(static_cast<uint64_t>(one_way_ms));
    connect_two(network, true, false);
    network.delay = milliseconds(one_way_ms);
    EXPECT_TRUE(
        network.run_until([&] { return network.agreed() && network.paths_in(0, PathState::active) == 1; }, seconds(60)))
        << one_way_ms;
    network.run_for(seconds(30));
    EXPECT_TRUE(network.agreed()) << one_way_ms;
    EXPECT_EQ(network.paths_in(0, PathState::active), 1U) << one_way_ms;
    EXPECT_EQ(network.paths_in(1, PathState::active), 1U) << one_way_ms;
  }
}

TEST(Handshake, AClockThatJumpsBackStillCalls) {
  Network network;
  connect_two(network, true, false);
  ASSERT_TRUE(network.run_until([&] { return network.agreed(); }));
  network.hosts[0]->wall_offset_ns -= 365LL * 24 * 3600 * 1'000'000'000;
  network.restart(1);
  network.add_peer(1, 0, {});
  EXPECT_TRUE(network.run_until([&] { return network.agreed(); }, seconds(5)));
  // And against a peer that remembers: its calls are accepted after another jump.
  network.hosts[0]->wall_offset_ns -= 365LL * 24 * 3600 * 1'000'000'000;
  const uint64_t accepted = network.controller(0).counters().responses_accepted;
  EXPECT_TRUE(
      network.run_until([&] { return network.controller(0).counters().responses_accepted > accepted; }, seconds(121)));
  EXPECT_EQ(network.controller(1).counters().stale_timestamp, 0U);
}

TEST(Handshake, RestartedPeerWithItsClockAYearBackConnects) {
  Network network;
  connect_two(network, true, true);
  ASSERT_TRUE(network.run_until([&] { return network.agreed(); }));
  network.run_for(seconds(10));
  network.hosts[1]->wall_offset_ns = -365LL * 24 * 3600 * 1'000'000'000;
  network.restart(1);
  network.add_peer(1, 0, {at("10.1.0.1")});
  EXPECT_TRUE(network.run_until([&] { return network.agreed(); }, seconds(5)));
  EXPECT_GE(network.controller(0).counters().stale_timestamp, 1U);
}

TEST(Handshake, RestartedCallerIsBelievedAtOnce) {
  Network network;
  connect_two(network, true, false);
  ASSERT_TRUE(network.run_until([&] { return network.agreed(); }));
  network.run_for(seconds(10));
  network.restart(0);
  network.add_peer(0, 1, {at("10.1.0.2")});
  EXPECT_TRUE(network.run_until([&] { return network.agreed(); }, milliseconds(50)));
}

TEST(Handshake, RestartedListenerIsCalledWithinFourSeconds) {
  Network network;
  connect_two(network, true, false);
  ASSERT_TRUE(network.run_until([&] { return network.agreed(); }));
  network.run_for(seconds(10));
  network.restart(1);
  network.add_peer(1, 0, {});
  EXPECT_TRUE(network.run_until([&] { return network.agreed(); }, seconds(4)));
}

TEST(Handshake, ListenerCallsAVanishedCallerOnItsLastPath) {
  Network network;
  connect_two(network, true, false);
  ASSERT_TRUE(network.run_until([&] { return network.paths_in(1, PathState::active) == 1; }));
  bool called = false;
  network.on_packet = [&](Packet& packet) {
    called = called || (packet.from == 1 && packet.is_initiation());
    return packet.from == 1;
  };
  network.restart(0);
  network.run_for(seconds(4));
  EXPECT_TRUE(called);
}

TEST(Handshake, CopiesOverTwoPathsMakeOneSession) {
  Network network;
  network.add_host();
  network.add_host();
  network.set_uplink(0, 0, {"10.1.0.1"});
  network.set_uplink(0, 1, {"10.2.0.1"});
  network.set_uplink(1, 0, {"10.1.0.2"});
  network.set_uplink(1, 1, {"10.2.0.2"});
  network.add_peer(1, 0, {});
  network.record = true;
  network.add_peer(0, 1, {at("10.1.0.2"), at("10.2.0.2")});
  network.run_for(milliseconds(200));
  const auto count = [&](auto kind) { return std::ranges::count_if(network.sent, kind); };
  EXPECT_EQ(count([](const Packet& packet) { return packet.is_initiation(); }), 4);
  EXPECT_EQ(count([](const Packet& packet) { return packet.is_response(); }), 4);
  EXPECT_EQ(network.hosts[1]->receivable.size(), 1U);
  EXPECT_EQ(network.hosts[0]->receivable.size(), 1U);
  EXPECT_EQ(network.controller(0).counters().unexpected_response, 3U);
  EXPECT_TRUE(network.agreed());
  EXPECT_EQ(network.paths_in(0, PathState::active), 4U);
  EXPECT_EQ(network.paths_in(1, PathState::active), 4U);
}

TEST(Handshake, CopiesFromAThousandSourcesDoNotUseUpTheAnswerOfTheGenuineOne) {
  Network network;
  network.gate.unproven_burst = 10'000;  // this is about what comes behind the gate
  Packet call;
  network.on_packet = [&](Packet& packet) {
    if (packet.is_initiation()) call = packet;
    return !packet.is_response() && !packet.is_control_lane();
  };
  connect_two(network, true, false);
  network.run_for(milliseconds(15));
  network.record = true;
  for (uint16_t source = 0; source < 1000; ++source) {
    call.source.port = static_cast<uint16_t>(1000 + source);
    network.deliver(call);
    network.deliver(call);
  }
  const auto answers = [&] {
    return std::ranges::count_if(network.sent, [](const Packet& packet) { return packet.is_response(); });
  };
  EXPECT_EQ(answers(), 1000) << "each pair once";
  call.source = at("10.2.0.1");  // the genuine copy over the slow, honest link
  network.deliver(call);
  EXPECT_EQ(answers(), 1001);
  EXPECT_EQ(network.hosts[1]->receivable.size(), 1U);
}

TEST(Handshake, CopyOfAConfirmedCallIsSilence) {
  Network network;
  Packet call;
  network.on_packet = [&](Packet& packet) {
    if (packet.is_initiation()) call = packet;
    return true;
  };
  connect_two(network, true, false);
  network.run_for(seconds(1));
  network.record = true;
  call.source = at("192.0.2.9");
  network.deliver(call);
  EXPECT_TRUE(network.sent.empty());
  EXPECT_EQ(network.controller(1).counters().stale_timestamp, 1U);
}

TEST(Handshake, ReplayedInitiationIsSilence) {
  Network network;
  std::vector<Packet> calls;
  network.on_packet = [&](Packet& packet) {
    if (packet.is_initiation()) calls.push_back(packet);
    return !packet.is_response() || calls.size() > 1;
  };
  connect_two(network, true, false);
  ASSERT_TRUE(network.run_until([&] { return network.agreed(); }));
  network.run_for(seconds(1));
  network.record = true;
  const auto sessions = network.hosts[1]->receivable.size();
  calls[0].source = at("192.0.2.9");
  network.deliver(calls[0]);  // older than the last accepted
  EXPECT_EQ(network.controller(1).counters().stale_timestamp, 1U);
  EXPECT_TRUE(network.sent.empty());
  EXPECT_EQ(network.hosts[1]->receivable.size(), sessions);
}

TEST(Handshake, UnknownPeerGetsNotOneByte) {
  Network network;
  network.add_host();
  network.add_host();
  network.set_uplink(0, 0, {"10.1.0.1"});
  network.set_uplink(1, 0, {"10.1.0.2"});
  network.record = true;
  network.add_peer(0, 1, {at("10.1.0.2")});
  network.run_for(seconds(120));
  EXPECT_GT(network.controller(1).counters().unknown_peer, 5U);
  EXPECT_TRUE(std::ranges::none_of(network.sent, [](const Packet& packet) { return packet.from == 1; }));
}

TEST(Handshake, EveryFlippedBitIsSilenceAndChangesNothing) {
  Network network;
  Packet call, answer;
  network.on_packet = [&](Packet& packet) {
    if (packet.is_initiation()) call = packet;
    if (packet.is_response()) answer = packet;
    return packet.is_initiation();
  };
  connect_two(network, true, false);
  // A fresh responder for the flipped initiations, so that its timestamp check does not hide anything.
  network.run_for(milliseconds(15));
  network.restart(1);
  network.add_peer(1, 0, {});
  network.record = true;
  const size_t before_mac2 = CP_INITIATION_SIZE - 16;
  for (size_t bit = 0; bit < before_mac2 * 8; ++bit) {
    Packet bad = call;
    bad.bytes[bit / 8] = static_cast<uint8_t>(bad.bytes[bit / 8] ^ (1U << bit % 8));
    network.deliver(bad);
  }
  EXPECT_TRUE(network.sent.empty());
  EXPECT_TRUE(network.hosts[1]->receivable.empty());
  for (size_t bit = 0; bit < (CP_RESPONSE_SIZE - 16) * 8; ++bit) {
    Packet bad = answer;
    bad.bytes[bit / 8] = static_cast<uint8_t>(bad.bytes[bit / 8] ^ (1U << bit % 8));
    network.deliver(bad);
  }
  EXPECT_TRUE(network.hosts[0]->receivable.empty());
  network.deliver(call);
  EXPECT_EQ(network.hosts[1]->receivable.size(), 1U);
  network.deliver(answer);
  EXPECT_EQ(network.hosts[0]->receivable.size(), 1U);
}

TEST(Handshake, FloodOfGenuineCallsIsLimitedAndBlocksNobodyForEver) {
  Network network;
  connect_two(network, false, false);
  // Somebody with the peer's key calls without end.
  SeededRandomness random(9);
  const auto call = [&](uint64_t count) {
    crypto::SecretKey secret;
    random.fill({secret.data(), secret.size});
    const auto made = crypto::Initiator::start({.self = identity(0),
                                                .responder = identity(1).public_key(),
                                                .sid = random.next(),
                                                .timestamp_ns = network.time(0).wall.ns + (count << 24),
                                                .params = {},
                                                .ephemeral_secret = secret});
    Packet packet{.source = at("10.1.0.1"), .destination = at("10.1.0.2")};
    packet.bytes.assign(made->message().begin(), made->message().end());
    network.deliver(packet);
  };
  for (uint64_t i = 0; i < 100; ++i)
    call(i);
  EXPECT_EQ(network.controller(1).counters().initiations_answered, 5U);
  EXPECT_EQ(network.controller(1).counters().rate_limited, 95U);
  EXPECT_LE(network.hosts[1]->receivable.size(), 3U);
  network.run_for(milliseconds(200));
  call(1000);
  EXPECT_EQ(network.controller(1).counters().initiations_answered, 6U);
}

TEST(Handshake, AnsweringHoldsBackOurOwnCall) {
  Network network;
  network.delay = milliseconds(300);
  int calls_of_the_answerer = 0;
  network.on_packet = [&](Packet& packet) {
    const bool call = packet.from == 1 && packet.is_initiation();
    calls_of_the_answerer += call;
    return !call;
  };
  connect_two(network, true, true);
  // Its repetition would be due at 0.5 s; it has answered at 0.3 s and is confirmed at 0.9 s.
  network.run_for(seconds(20));
  EXPECT_TRUE(network.agreed());
  EXPECT_EQ(calls_of_the_answerer, 1);
}

TEST(Handshake, BothAreAnsweredSoThatOneWayBlockedCallsStillConnect) {
  // Initiations from host 0 never arrive; its responses and heartbeats do.
  Network network;
  network.on_packet = [](Packet& packet) { return !(packet.from == 0 && packet.is_initiation()); };
  connect_two(network, true, true);
  EXPECT_TRUE(network.run_until([&] { return network.agreed(); }, seconds(3)));
}

TEST(Handshake, CallsAtTheSameInstantAreSettledByRankWithoutWaiting) {
  for (const bool second_is_ahead : {false, true}) {
    Network network;
    network.add_host();
    network.add_host();
    network.hosts[1]->wall_offset_ns = second_is_ahead ? 1'000'000'000 : -1'000'000'000;
    network.set_uplink(0, 0, {"10.1.0.1"});
    network.set_uplink(1, 0, {"10.1.0.2"});
    network.add_peer(0, 1, {at("10.1.0.2")});
    network.add_peer(1, 0, {at("10.1.0.1")});
    network.run_for(milliseconds(40));
    ASSERT_TRUE(network.agreed());
    const size_t winner = second_is_ahead ? 1 : 0;
    EXPECT_TRUE(network.logged(winner, "from our call"));
    const auto session = network.session(0);
    network.run_for(seconds(20));
    EXPECT_EQ(network.session(0), session);
    EXPECT_TRUE(network.agreed());
  }
}

TEST(Handshake, EqualTimestampsAreSettledByTheHigherKey) {
  Network network;
  std::array<uint64_t, 2> timestamps{};
  network.on_packet = [&](Packet& packet) {
    if (packet.is_initiation() && timestamps[packet.from] == 0) {
      const auto opened = crypto::OpenedInitiation::open(identity(1 - packet.from), packet.bytes);
      timestamps[packet.from] = opened->claimed_timestamp_ns();
    }
    return true;
  };
  connect_two(network, true, true);
  network.run_for(milliseconds(40));
  ASSERT_TRUE(network.agreed());
  ASSERT_EQ(timestamps[0], timestamps[1]);
  const size_t higher = identity(0).public_key() < identity(1).public_key() ? 1 : 0;
  EXPECT_TRUE(network.logged(higher, "from our call"));
  EXPECT_TRUE(network.logged(1 - higher, "from the peer's call"));
  const auto session = network.session(0);
  network.run_for(seconds(20));
  EXPECT_EQ(network.session(0), session);
}

TEST(Handshake, MessagesReflectedToTheirSenderAreSilence) {
  Network network;
  std::vector<Packet> messages;
  network.on_packet = [&](Packet& packet) {
    if (!packet.is_control_lane()) messages.push_back(packet);
    return true;
  };
  connect_two(network, true, false);
  network.run_for(seconds(1));
  ASSERT_EQ(messages.size(), 2U);
  network.record = true;
  for (Packet message : messages) {
    std::swap(message.source, message.destination);
    network.deliver(message);
  }
  EXPECT_TRUE(network.sent.empty());
  EXPECT_EQ(network.controller(0).counters().bad_mac1, 1U);
  EXPECT_EQ(network.controller(1).counters().unexpected_response, 1U);
  EXPECT_TRUE(network.agreed());
}

// A network that holds an answer back until the peer has let go of the session in it must not make us send on that.
TEST(Handshake, AResponseThatWasHeldBackReplacesNoSession) {
  for (const bool second_is_ahead : {false, true}) {
    for (const Duration held : {milliseconds(100), milliseconds(2000), milliseconds(9900), milliseconds(11000)}) {
      Network network;
      std::optional<Packet> response;
      network.on_packet = [&](Packet& packet) {
        if (packet.from == 0 || !packet.is_response()) return true;
        if (!response) response = packet;
        return false;
      };
      network.add_host();
      network.add_host();
      network.hosts[1]->wall_offset_ns = second_is_ahead ? 1'000'000'000 : -1'000'000'000;
      network.set_uplink(0, 0, {"10.1.0.1"});
      network.set_uplink(1, 0, {"10.1.0.2"});
      network.add_peer(0, 1, {at("10.1.0.2")});
      network.add_peer(1, 0, {at("10.1.0.1")});
      ASSERT_TRUE(network.run_until([&] { return response && network.agreed(); }, seconds(5)));
      network.run_for(held);
      ASSERT_TRUE(network.agreed());
      const auto session = network.session(0);
      network.deliver(*response);
      network.run_for(milliseconds(25));
      EXPECT_EQ(network.session(0), session) << held.count() << " ns, second ahead: " << second_is_ahead;
      EXPECT_TRUE(network.agreed());
    }
  }
}

class Simultaneous : public testing::TestWithParam<uint64_t> {};

TEST_P(Simultaneous, InitiationsConvergeOnOneSession2500Times) {
  for (uint64_t round = 0; round < centipede::test::rounds(2500); ++round) {
    const uint64_t seed = GetParam() * 2500 + round;
    Network network(seed);
    network.add_host();
    network.add_host();
    network.hosts[1]->wall_offset_ns = static_cast<int64_t>(network.random.below(2'000'000'000)) - 1'000'000'000;
    const uint64_t slowest_ms = 1 + network.random.below(300);
    const uint64_t loss_percent = seed % 2 == 0 ? 0 : 20;
    network.delay = Duration::zero();
    network.on_packet = [&](Packet& packet) {
      packet.extra_delay = microseconds(network.random.below(slowest_ms * 1000));
      return network.random.below(100) >= loss_percent;
    };
    network.set_uplink(0, 0, {"10.1.0.1"});
    network.set_uplink(1, 0, {"10.1.0.2"});
    network.add_peer(0, 1, {at("10.1.0.2")});
    network.run_for(milliseconds(network.random.below(2 * slowest_ms)));
    network.add_peer(1, 0, {at("10.1.0.1")});
    // Within this time, and then for good.
    const auto end = network.now + seconds(loss_percent == 0 ? 4 : 15);
    network.run_until(end, [&] { return loss_percent != 0 && network.agreed(); });
    ASSERT_TRUE(network.agreed()) << "seed " << seed;
  }
}

INSTANTIATE_TEST_SUITE_P(TenThousand, Simultaneous, testing::Values(0, 1, 2, 3));

}  // namespace
}  // namespace centipede::control::test
