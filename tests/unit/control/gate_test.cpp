#include "control/gate.h"

#include <gtest/gtest.h>

#include "network.h"

namespace centipede::control {
namespace {

using test::at;
using test::identity;
using test::SeededRandomness;

constexpr Instant start{seconds(1000)};

class GateTest : public testing::Test {
 protected:
  GateTest() : gate(identity(1), limits, randomness) { (void)gate.rotate(start); }

  static crypto::InitiationBytes call() {
    crypto::SecretKey ephemeral;
    ephemeral.data()[0] = 7;
    return crypto::Initiator::start({.self = identity(0),
                                     .responder = identity(1).public_key(),
                                     .sid = 5,
                                     .timestamp_ns = crypto::timestamp_quantum_ns,
                                     .params = {},
                                     .ephemeral_secret = ephemeral})
        ->message();
  }
  // As a caller does that is answered with a cookie.
  crypto::InitiationBytes with_cookie(const Endpoint& source) {
    crypto::InitiationBytes copy = initiation;
    const auto cookie = crypto::open_cookie(crypto::receiver_keys(identity(1).public_key()), initiation,
                                            gate.challenge(initiation, source));
    EXPECT_TRUE(cookie);
    crypto::write_mac2(cookie.value_or(crypto::Cookie{}), copy);
    return copy;
  }
  void use_up_the_unproven_rate(Instant now) {
    while (gate.judge(initiation, at("192.0.2.200"), now) == Gate::Verdict::admit) {
    }
  }

  GateLimits limits;
  SeededRandomness randomness{1};
  crypto::InitiationBytes initiation = call();
  Gate gate;
};

TEST_F(GateTest, InQuietTimesEverybodyGetsInAtOnce) {
  for (unsigned i = 0; i < limits.unproven_burst; ++i)
    EXPECT_EQ(gate.judge(initiation, at("10.0.0.1"), start), Gate::Verdict::admit);
}

TEST_F(GateTest, AboveTheSharedRateUnprovenCallersAreChallenged) {
  use_up_the_unproven_rate(start);
  EXPECT_EQ(gate.judge(initiation, at("10.0.0.1"), start), Gate::Verdict::challenge);
  int admitted = 0;
  for (int i = 0; i < 1000; ++i)
    admitted += gate.judge(initiation, at("10.0.0.1"), start + milliseconds(i)) == Gate::Verdict::admit ? 1 : 0;
  EXPECT_EQ(admitted, 999 / (limits.unproven_period / milliseconds(1)));
}

TEST_F(GateTest, WrongMac1IsNeverAnswered) {
  use_up_the_unproven_rate(start);
  for (size_t bit = 0; bit < CP_INITIATION_OFFSET_MAC2 * 8; ++bit) {
    crypto::InitiationBytes damaged = initiation;
    damaged[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    EXPECT_EQ(gate.judge(damaged, at("10.0.0.1"), start), Gate::Verdict::bad_mac1) << bit;
  }
}

TEST_F(GateTest, ProvenCallersAreNeverStarvedByUnknownOnes) {
  const Endpoint home = at("10.0.0.1", 40'000);
  const auto proven = with_cookie(home);
  for (int i = 0; i < 100'000; ++i)
    (void)gate.judge(initiation, {test::ip("198.51.100.7"), static_cast<uint16_t>(i)}, start);
  EXPECT_EQ(gate.judge(proven, home, start), Gate::Verdict::admit);
}

TEST_F(GateTest, ACookieProvesOneAddressAndPort) {
  use_up_the_unproven_rate(start);
  const auto proven = with_cookie(at("10.0.0.1", 40'000));
  EXPECT_EQ(gate.judge(proven, at("10.0.0.1", 40'001), start), Gate::Verdict::challenge);
  EXPECT_EQ(gate.judge(proven, at("10.0.0.2", 40'000), start), Gate::Verdict::challenge);
  EXPECT_EQ(gate.judge(proven, at("10.0.0.1", 40'000), start), Gate::Verdict::admit);
}

TEST_F(GateTest, AProvenSourceHasItsRateAndItsNeighboursHaveTheirs) {
  const Endpoint v6 = at("2001:db8::1");
  for (const Endpoint& source : {at("10.0.0.1"), at("10.0.0.2"), v6}) {
    const auto proven = with_cookie(source);
    for (unsigned i = 0; i < limits.source_burst; ++i)
      ASSERT_EQ(gate.judge(proven, source, start), Gate::Verdict::admit) << source.text();
    EXPECT_EQ(gate.judge(proven, source, start), Gate::Verdict::source_limited);
  }
  const Endpoint same_network = at("2001:db8::2");
  EXPECT_EQ(gate.judge(with_cookie(same_network), same_network, start), Gate::Verdict::source_limited);
  const Endpoint next_network = at("2001:db8:0:1::1");
  EXPECT_EQ(gate.judge(with_cookie(next_network), next_network, start), Gate::Verdict::admit);
  EXPECT_EQ(gate.judge(with_cookie(v6), v6, start + limits.source_period), Gate::Verdict::admit);
}

TEST_F(GateTest, ManyProvenSourcesAreAllServed) {
  for (uint32_t i = 0; i < 20'000; ++i) {
    const Endpoint source{*IpAddress::parse("10.1." + std::to_string(i >> 8 & 255) + "." + std::to_string(i & 255)),
                          static_cast<uint16_t>(1 + (i >> 16))};
    ASSERT_EQ(gate.judge(with_cookie(source), source, start), Gate::Verdict::admit) << i;
  }
}

TEST_F(GateTest, ACookieIsGoodForOneToTwoLivesOfASecret) {
  const Endpoint home = at("10.0.0.1");
  const auto proven = with_cookie(home);
  const auto verdict = [&](Instant now) {
    (void)gate.rotate(now);
    use_up_the_unproven_rate(now);
    return gate.judge(proven, home, now);
  };
  EXPECT_FALSE(gate.rotate(start + limits.cookie_life - nanoseconds(1)));
  EXPECT_EQ(verdict(start + limits.cookie_life), Gate::Verdict::admit);
  EXPECT_EQ(verdict(start + 2 * limits.cookie_life - nanoseconds(1)), Gate::Verdict::admit);
  EXPECT_EQ(verdict(start + 2 * limits.cookie_life), Gate::Verdict::challenge);
}

TEST_F(GateTest, AfterALongSilenceNoOldCookieIsGood) {
  const Endpoint home = at("10.0.0.1");
  const auto proven = with_cookie(home);
  const Instant much_later = start + 10 * limits.cookie_life;
  EXPECT_TRUE(gate.rotate(much_later));
  use_up_the_unproven_rate(much_later);
  EXPECT_EQ(gate.judge(proven, home, much_later), Gate::Verdict::challenge);
}

TEST_F(GateTest, AChallengeIsSmallerThanWhatItAnswers) {
  EXPECT_LT(gate.challenge(initiation, at("10.0.0.1")).size(), initiation.size());
}

}  // namespace
}  // namespace centipede::control
