// A host under a flood, seen from outside: whole controllers, one of them called from everywhere.
#include <gtest/gtest.h>

#include "network.h"
#include "wire/frame.h"

namespace centipede::control::test {
namespace {

// Initiations with a right mac1 and a mac2 that proves nothing, from made-up sources.
class Flood {
 public:
  explicit Flood(size_t target) : keys_(crypto::receiver_keys(identity(target).public_key())) {}
  Packet next(const std::string& destination) {
    Packet packet{.from = 0, .source = {}, .destination = at(destination), .bytes = std::vector<uint8_t>(216)};
    random_.fill(packet.bytes);
    std::fill_n(packet.bytes.begin(), 8, uint8_t{0});
    packet.bytes[0] = CP_CONTROL_BIT | CP_TYPE_INITIATION;
    packet.bytes[1] = CP_PROTOCOL_VERSION;
    crypto::write_mac1(keys_, packet.bytes);
    uint8_t address[4];
    random_.fill(address);
    address[0] = 198;
    packet.source = {IpAddress::v4(address), static_cast<uint16_t>(1024 + random_.below(60'000))};
    return packet;
  }

 private:
  crypto::ReceiverKeys keys_;
  SeededRandomness random_{99};
};

bool is_cookie(const Packet& packet) {
  return packet.is(CP_TYPE_COOKIE);
}

TEST(FloodOfInitiations, AGenuineCallTakesOneRoundTripMore) {
  Network network;
  network.gate.unproven_period = seconds(3600);  // whatever room there is, the flood has it
  Flood flood(1);
  network.add_host();
  network.add_host();
  network.set_uplink(0, 0, {"10.1.0.1"});
  network.set_uplink(1, 0, {"10.1.0.2"});
  network.add_peer(1, 0, {});
  for (int i = 0; i < 1000; ++i)
    network.deliver(flood.next("10.1.0.2"));
  const Instant called = network.now;
  network.add_peer(0, 1, {at("10.1.0.2")});
  ASSERT_TRUE(network.run_until([&] { return network.agreed(); }, seconds(2)));
  EXPECT_EQ(network.now - called, 5 * network.delay) << "call, cookie, call, response, confirmation";
  EXPECT_EQ(network.controller(0).counters().cookies_accepted, 1U);
}

TEST(FloodOfInitiations, EachPathGetsACookieOfItsOwn) {
  Network network;
  network.gate.unproven_burst = 1;
  network.gate.unproven_period = seconds(3600);
  network.add_host();
  network.add_host();
  network.set_uplink(0, 0, {"10.1.0.1"});
  network.set_uplink(0, 1, {"10.2.0.1"});
  network.set_uplink(1, 0, {"10.1.0.2"});
  network.set_uplink(1, 1, {"10.2.0.2"});
  network.deliver(Flood(1).next("10.1.0.2"));
  network.add_peer(1, 0, {});
  network.add_peer(0, 1, {at("10.1.0.2"), at("10.2.0.2")});
  network.run_for(milliseconds(300));
  EXPECT_TRUE(network.agreed());
  EXPECT_EQ(network.controller(0).counters().cookies_accepted, 4U);
  EXPECT_EQ(network.controller(0).counters().initiations_sent, 8U);
  // The next call carries the cookies from the start: no further challenge.
  network.run_for(seconds(115));
  const uint64_t before = network.controller(1).counters().cookies_sent;
  network.run_for(seconds(4));
  EXPECT_EQ(network.controller(1).counters().cookies_sent, before);
}

TEST(FloodOfInitiations, Over100000MadeUpSourcesNothingIsAmplified) {
  Network network;
  network.record = true;
  network.add_host();
  network.add_host();
  network.set_uplink(1, 0, {"10.1.0.2"});
  network.add_peer(1, 0, {});
  Flood flood(1);
  std::map<Endpoint, size_t> sent_to;
  uint64_t in = 0;
  uint64_t out = 0;
  for (int i = 0; i < 100'000; ++i) {
    const Packet forged = flood.next("10.1.0.2");
    in += forged.bytes.size();
    network.sent.clear();
    network.deliver(forged);
    for (const Packet& answer : network.sent) {
      out += answer.bytes.size();
      EXPECT_EQ(answer.destination, forged.source);
      EXPECT_TRUE(is_cookie(answer));
      EXPECT_LE(answer.bytes.size(), forged.bytes.size());
    }
    EXPECT_LE(network.sent.size(), 1U);
  }
  EXPECT_GT(out, 0U);
  const double amplification = static_cast<double>(out) / static_cast<double>(in);
  EXPECT_LE(amplification, 1.0);
  RecordProperty("amplification", std::to_string(amplification));
  EXPECT_TRUE(network.hosts[1]->receivable.empty());
  EXPECT_EQ(network.controller(1).counters().bad_box + network.controller(1).counters().bad_ephemeral,
            network.gate.unproven_burst);
}

TEST(FloodOfInitiations, AProvenSourceAboveItsRateGetsSilence) {
  Network network;
  network.gate.unproven_burst = 1;
  network.gate.unproven_period = seconds(3600);
  network.gate.source_burst = 1;
  network.add_host();
  network.add_host();
  network.set_uplink(0, 0, {"10.1.0.1"});
  network.set_uplink(1, 0, {"10.1.0.2"});
  network.deliver(Flood(1).next("10.1.0.2"));
  network.add_peer(1, 0, {});
  Packet call;
  network.on_packet = [&](Packet& packet) {
    if (packet.is_initiation()) call = packet;
    return true;
  };
  network.add_peer(0, 1, {at("10.1.0.2")});
  ASSERT_TRUE(network.run_until([&] { return network.controller(1).counters().initiations_answered == 1; }));
  network.record = true;
  network.deliver(call);
  EXPECT_EQ(network.controller(1).counters().source_limited, 1U);
  EXPECT_TRUE(network.sent.empty());
}

Packet cookie_for(const Packet& call, size_t callee, const Endpoint& from) {
  const auto bytes = crypto::seal_cookie(identity(callee).receiver_keys(), crypto::Cookie{1, 2, 3}, call.bytes, 77);
  return {.from = callee, .source = from, .destination = call.source, .bytes = {bytes.begin(), bytes.end()}};
}

// To host 1.
bool proves_its_source(Network& network, const Packet& call) {
  return std::ranges::any_of(network.controller(1).shield().secrets, [&](const crypto::CookieSecret& secret) {
    return crypto::mac2_is_valid(crypto::make_cookie(secret, call.source), call.bytes);
  });
}

// Whoever answers calls with cookies that are not the peer's, or the peer's to somebody else.
TEST(Cookie, ForgedOrMisdirectedOnesChangeNothing) {
  Network network;
  Packet call;
  network.on_packet = [&](Packet& packet) {
    if (packet.is_initiation()) call = packet;
    return !packet.is_response();
  };
  connect_two(network, true, false);
  network.run_for(milliseconds(50));
  const auto& counters = network.controller(0).counters();
  const uint64_t calls = counters.initiations_sent;
  const auto reply = [&](const crypto::ReceiverKeys& keys, const std::string& from) {
    const auto bytes = crypto::seal_cookie(keys, crypto::Cookie{1, 2, 3}, call.bytes, 77);
    return Packet{.from = 1, .source = at(from), .destination = call.source, .bytes = {bytes.begin(), bytes.end()}};
  };
  network.deliver(reply(identity(2).receiver_keys(), "10.1.0.2"));
  EXPECT_EQ(counters.bad_cookie, 1U);
  network.deliver(reply(identity(1).receiver_keys(), "192.0.2.66"));
  EXPECT_EQ(counters.unexpected_cookie, 1U) << "we called nobody there";
  Packet stray = reply(identity(1).receiver_keys(), "10.1.0.2");
  stray.bytes[CP_OFFSET_CALL_SID] ^= 1;
  network.deliver(stray);
  EXPECT_EQ(counters.unexpected_cookie, 2U);
  Packet to_another_copy = call;
  to_another_copy.bytes.back() ^= 1;
  network.deliver(cookie_for(to_another_copy, 1, at("10.1.0.2")));
  EXPECT_EQ(counters.bad_cookie, 2U);
  EXPECT_EQ(counters.initiations_sent, calls);
  EXPECT_EQ(counters.cookies_accepted, 0U);
}

TEST(Cookie, IsTakenOnALearnedPathThatHasBeenValidated) {
  Network network;
  connect_two(network, true, false);
  ASSERT_TRUE(network.run_until([&] { return network.paths_in(1, PathState::active) == 1; }));
  Packet call;
  network.on_packet = [&](Packet& packet) {
    if (packet.is_initiation()) call = packet;
    return false;
  };
  ASSERT_TRUE(network.run_until([&] { return call.from == 1; })) << "the listener calls on the path that it knows";
  const uint64_t calls = network.controller(1).counters().initiations_sent;
  network.deliver(cookie_for(call, 0, at("10.1.0.1")));
  EXPECT_EQ(network.controller(1).counters().cookies_accepted, 1U);
  EXPECT_EQ(network.controller(1).counters().initiations_sent, calls + 1);
}

TEST(Cookie, IsNotTakenFromAnAddressThatHasProvenNothing) {
  Network network;
  connect_two(network, true, false);
  ASSERT_TRUE(network.run_until([&] { return network.agreed(); }));
  Packet call;
  network.on_packet = [&](Packet& packet) {
    if (packet.is_initiation()) call = packet;
    return packet.is_control_lane();
  };
  ASSERT_TRUE(network.run_until([&] { return !call.bytes.empty(); }, seconds(125)));
  // A heartbeat of the peer's, come from elsewhere, makes a path that nobody has validated.
  std::array<uint8_t, CP_HEARTBEAT_SIZE> frame{};
  wire::write_frame(wire::Heartbeat{.path_id = 900, .number = 1}, frame.data());
  const auto aead = crypto::make_sodium_aead();
  const Endpoint elsewhere = at("192.0.2.66");
  network.deliver(
      {.source = elsewhere, .destination = at("10.1.0.1"), .bytes = network.session(1)->seal_control(*aead, frame)});
  ASSERT_EQ(network.status(0).paths.size(), 2U);
  const auto& counters = network.controller(0).counters();
  const uint64_t calls = counters.initiations_sent;
  network.deliver(cookie_for(call, 1, elsewhere));
  EXPECT_EQ(counters.unexpected_cookie, 1U);
  EXPECT_EQ(counters.cookies_accepted, 0U);
  EXPECT_EQ(counters.initiations_sent, calls);
}

// The copy that is sent again, with the cookie, cannot be answered: its mac2 is no secret from who knows the cookie.
TEST(Cookie, EachCopyOfACallIsAnsweredOnce) {
  Network network;
  std::vector<Packet> calls;
  network.on_packet = [&](Packet& packet) {
    if (packet.is_initiation()) calls.push_back(packet);
    return false;
  };
  connect_two(network, true, false);
  ASSERT_EQ(calls.size(), 1U);
  const auto& counters = network.controller(0).counters();
  for (uint8_t i = 0; i < 200; ++i) {
    const Packet& call = calls[i % calls.size()];
    const auto bytes = crypto::seal_cookie(identity(1).receiver_keys(), crypto::Cookie{i, 1}, call.bytes, i);
    network.deliver(
        {.from = 1, .source = at("10.1.0.2"), .destination = call.source, .bytes = {bytes.begin(), bytes.end()}});
  }
  EXPECT_EQ(counters.cookies_accepted, 1U);
  EXPECT_EQ(counters.unexpected_cookie, 199U);
  EXPECT_EQ(counters.initiations_sent, 2U);
  EXPECT_EQ(calls.size(), 2U);
}

// Over a slow link the answers to two attempts come one after the other.
TEST(Cookie, TheSameOneForTwoAttemptsSendsOneCopyOfTheNewest) {
  Network network;
  std::vector<Packet> calls;
  network.on_packet = [&](Packet& packet) {
    if (packet.is_initiation()) calls.push_back(packet);
    return false;
  };
  connect_two(network, true, false);
  ASSERT_TRUE(network.run_until([&] { return calls.size() == 2; }, seconds(2)));
  for (const size_t attempt : {0, 1}) {
    const auto bytes = crypto::seal_cookie(identity(1).receiver_keys(), crypto::Cookie{7}, calls[attempt].bytes, 1);
    network.deliver({.from = 1,
                     .source = at("10.1.0.2"),
                     .destination = calls[attempt].source,
                     .bytes = {bytes.begin(), bytes.end()}});
  }
  EXPECT_EQ(network.controller(0).counters().cookies_accepted, 2U);
  ASSERT_EQ(calls.size(), 3U);
  EXPECT_TRUE(std::equal(calls[2].bytes.begin(), calls[2].bytes.end() - CP_MAC_SIZE, calls[1].bytes.begin()));
}

TEST(Cookie, EachCopyWithoutOneHasARandomMac2) {
  Network network;
  std::set<std::vector<uint8_t>> mac2s;
  network.on_packet = [&](Packet& packet) {
    if (packet.is_initiation()) mac2s.insert({packet.bytes.end() - CP_MAC_SIZE, packet.bytes.end()});
    return false;
  };
  network.add_host();
  network.set_uplink(0, 0, {"10.1.0.1"});
  network.set_uplink(0, 1, {"10.2.0.1"});
  network.add_peer(0, 1, {at("10.1.0.2"), at("10.2.0.2")});
  network.run_for(seconds(20));
  EXPECT_GE(mac2s.size(), 16U);
  EXPECT_EQ(mac2s.size(), network.controller(0).counters().initiations_sent);
  EXPECT_FALSE(mac2s.contains(std::vector<uint8_t>(CP_MAC_SIZE, 0)));
}

TEST(Cookie, IsNotUsedLongerThanItsLife) {
  Network network;
  network.gate.unproven_burst = 1;
  network.gate.unproven_period = seconds(100'000);
  network.gate.cookie_life = seconds(30);
  network.add_host();
  network.add_host();
  network.set_uplink(0, 0, {"10.1.0.1"});
  network.set_uplink(1, 0, {"10.1.0.2"});
  network.deliver(Flood(1).next("10.1.0.2"));
  network.add_peer(1, 0, {});
  network.add_peer(0, 1, {at("10.1.0.2")});
  network.run_for(seconds(1));
  ASSERT_TRUE(network.agreed());
  EXPECT_EQ(network.controller(0).counters().cookies_accepted, 1U);
  std::vector<bool> proven;
  network.on_packet = [&](Packet& packet) {
    if (packet.is_initiation() && packet.from == 0) proven.push_back(proves_its_source(network, packet));
    return true;
  };
  ASSERT_TRUE(network.run_until([&] { return network.controller(0).counters().cookies_accepted > 1; }, seconds(125)));
  EXPECT_EQ(proven, (std::vector{false, true})) << "an old cookie is no better than none";
  network.run_for(seconds(1));
  EXPECT_TRUE(network.agreed());
}

// The responder has restarted under a flood, so the cookie that is held proves nothing: the attempt after that has none
// and gets a new one.
TEST(Cookie, ThatIsNoGoodAnyMoreCostsOneAttempt) {
  Network network;
  network.gate.unproven_burst = 1;
  network.gate.unproven_period = seconds(100'000);
  network.add_host();
  network.add_host();
  network.set_uplink(0, 0, {"10.1.0.1"});
  network.set_uplink(1, 0, {"10.1.0.2"});
  network.deliver(Flood(1).next("10.1.0.2"));
  network.add_peer(1, 0, {});
  network.add_peer(0, 1, {at("10.1.0.2")});
  network.run_for(seconds(1));
  ASSERT_TRUE(network.agreed());
  network.restart(1);
  network.deliver(Flood(1).next("10.1.0.2"));
  network.add_peer(1, 0, {});
  const auto& counters = network.controller(0).counters();
  const uint64_t calls = counters.initiations_sent;
  ASSERT_TRUE(network.run_until([&] { return counters.initiations_sent > calls; }));
  const Instant called = network.now;
  ASSERT_TRUE(network.run_until([&] { return network.agreed(); }, seconds(2)));
  EXPECT_EQ(counters.initiations_sent, calls + 3) << "with the old cookie, without, with the new one";
  EXPECT_EQ(counters.cookies_accepted, 2U);
  EXPECT_LE(network.now - called, milliseconds(600) + 5 * network.delay);
}

}  // namespace
}  // namespace centipede::control::test
