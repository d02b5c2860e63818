// Under a flood, somebody on one link forges cookie replies for another: in the name of the peer's honest address, made
// from all that he has seen.
#include <gtest/gtest.h>

#include "network.h"

namespace centipede::control::test {
namespace {

constexpr Duration tick = milliseconds(1);

uint8_t link_of(const Endpoint& end) {
  return end.address.bytes()[1];
}

class ForgedCookies : public testing::Test {
 protected:
  // Host 0 calls host 1, which has an address on link 1, the hostile one, and one on link 2.
  void connect(Network& network, const std::vector<std::string>& own_addresses) {
    network.gate.unproven_burst = 1;
    network.gate.unproven_period = seconds(100'000);  // the flood has it
    network.add_host();
    network.add_host();
    for (UplinkId id = 0; id < own_addresses.size(); ++id)
      network.set_uplink(0, id, {own_addresses[id]});
    network.set_uplink(1, 0, {"10.1.0.2"});
    network.set_uplink(1, 1, {"10.2.0.2"});
    network.add_peer(1, 0, {});
    Packet flood{.source = at("192.0.2.1"), .destination = at("10.1.0.2"), .bytes = std::vector<uint8_t>(216)};
    flood.bytes[0] = CP_CONTROL_BIT | CP_TYPE_INITIATION;
    flood.bytes[1] = CP_PROTOCOL_VERSION;
    crypto::write_mac1(identity(1).receiver_keys(), flood.bytes);
    network.deliver(flood);
    ASSERT_EQ(network.controller(1).counters().cookies_sent, 0U);
    network.add_peer(0, 1, {at("10.1.0.2"), at("10.2.0.2")});
  }

  // One tick long, to addresses of host 0, as if from both of host 1's: replies to the copy as he saw it, to what it is
  // with the genuine cookie, should he know it, and to what it is with the cookie that he sent last.
  void forge(Network& network, const std::vector<std::string>& victims) {
    if (!copies_.empty()) {
      const crypto::ReceiverKeys& keys = identity(1).receiver_keys();
      std::array copies{copies_.back().bytes, copies_.back().bytes, copies_.back().bytes};
      crypto::write_mac2(genuine_, copies[1]);
      crypto::write_mac2(forged_, copies[2]);
      store_be(forged_.data(), copies_.size());  // another one whenever the last has been taken
      for (const auto& copy : copies) {
        const auto reply = crypto::seal_cookie(keys, forged_, copy, ++nonce_);
        for (const char* name : {"10.1.0.2", "10.2.0.2"})
          for (const std::string& victim : victims)
            network.deliver(
                {.from = 1, .source = at(name), .destination = at(victim), .bytes = {reply.begin(), reply.end()}});
      }
    }
    network.run_for(tick);
  }

  void see(const Packet& packet) {
    if (packet.is_initiation()) copies_.push_back(packet);
    if (!packet.is(CP_TYPE_COOKIE)) return;
    for (const Packet& copy : copies_)
      if (const auto cookie = crypto::open_cookie(identity(1).receiver_keys(), copy.bytes, packet.bytes))
        genuine_ = *cookie;
  }

  std::vector<Packet> copies_;
  crypto::Cookie genuine_{};
  crypto::Cookie forged_{};
  uint64_t nonce_ = 0;
};

TEST_F(ForgedCookies, FromWhatAHostileLinkSawDoNotKeepTheHonestOneOut) {
  Network network;
  network.on_packet = [&](Packet& packet) {
    if (link_of(packet.source) != link_of(packet.destination)) return false;
    if (link_of(packet.source) == 2) return true;
    see(packet);
    return false;
  };
  connect(network, {"10.1.0.1", "10.2.0.1"});
  const Instant called = network.now;
  while (!network.agreed() && network.now < called + seconds(10))
    forge(network, {"10.1.0.1", "10.2.0.1"});
  EXPECT_TRUE(network.agreed());
  EXPECT_LE(network.now - called, 5 * network.delay + tick) << "call, cookie, call, response, confirmation";
}

// Both ways to host 1 begin at one address, so they have one cookie, and he sees it: mac2 is no secret from him then.
TEST_F(ForgedCookies, FromACookieSeenOnAHostileLinkDoNotEither) {
  Network network(1, {.rekey_after = seconds(5), .reject_after = seconds(10)});
  network.on_packet = [&](Packet& packet) {
    if (packet.is_initiation() && packet.from == 1) return false;  // host 1 gets nowhere by calling back
    if (link_of(packet.source) == 2 || link_of(packet.destination) == 2) return true;
    see(packet);
    return packet.is_initiation() || packet.is(CP_TYPE_COOKIE);
  };
  connect(network, {"10.1.0.1"});
  Duration longest{};
  Instant agreed_at = network.now;
  for (const Instant end = network.now + seconds(60); network.now < end;) {
    forge(network, {"10.1.0.1"});
    if (network.agreed()) agreed_at = network.now;
    longest = std::max(longest, network.now - agreed_at);
  }
  EXPECT_GT(network.controller(0).counters().responses_accepted, 10U);
  EXPECT_LE(longest, milliseconds(700)) << "one attempt fails at most";
  EXPECT_NE(genuine_, crypto::Cookie{}) << "he knows it";
}

}  // namespace
}  // namespace centipede::control::test
