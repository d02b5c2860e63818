#include "crypto/session.h"

#include <gtest/gtest.h>

#include <functional>
#include <type_traits>

#include "test_support.h"

namespace centipede::crypto {
namespace {

static_assert(!std::is_copy_constructible_v<Session> && !std::is_move_constructible_v<Session>);

class SessionTest : public HandshakeTest {
 protected:
  using Failure = Session::ControlFailure;

  void SetUp() override {
    HandshakeTest::SetUp();
    const Initiator initiator = start();
    auto response = respond(initiator.message());
    auto established = initiator.finish(alice, psk, response.message).value();
    a = std::make_unique<Session>(sid_i, params_i, std::move(established));
    b = std::make_unique<Session>(sid_r, params_r, std::move(response.established));
  }
  [[nodiscard]] std::vector<uint8_t> from_a(std::string_view text) { return a->seal_control(*aead, as_bytes(text)); }

  std::unique_ptr<AeadProvider> aead = make_sodium_aead();
  std::unique_ptr<Session> a;
  std::unique_ptr<Session> b;
};

std::vector<uint8_t> plain(std::string_view text) {
  return {text.begin(), text.end()};
}

TEST_F(SessionTest, ControlPacketsPassInBothDirections) {
  const auto there = from_a("there");
  EXPECT_EQ(there.size(), CP_DATA_HEADER_SIZE + 5U);
  EXPECT_EQ(wire::parse_data_header(there)->number, (wire::PacketNumber{CP_CONTROL_LANE, 0}));
  EXPECT_EQ(wire::parse_data_header(there)->sid, sid_r);
  EXPECT_EQ(b->open_control(*aead, there), plain("there"));
  EXPECT_EQ(a->open_control(*aead, b->seal_control(*aead, as_bytes("back"))), plain("back"));
  EXPECT_EQ(b->open_control(*aead, from_a("")), plain(""));
}

TEST_F(SessionTest, EachControlPacketIsTakenOnceInAnyOrder) {
  std::vector<std::vector<uint8_t>> packets;
  for (int i = 0; i < 100; ++i)
    packets.push_back(from_a("x" + std::to_string(i)));
  for (size_t i = packets.size(); i-- > 0;)
    EXPECT_TRUE(b->open_control(*aead, packets[i])) << i;
  for (const auto& packet : packets)
    EXPECT_EQ(b->open_control(*aead, packet).error(), Failure::duplicate);
}

// Opens another copy of a packet between this one's look at the window and its own end.
class Interrupted final : public AeadProvider {
 public:
  Interrupted(AeadProvider& inner, std::function<void()> interruption)
      : inner_(inner), interruption_(std::move(interruption)) {}
  [[nodiscard]] std::string_view name() const override { return "interrupted"; }
  void seal(const TrafficKey& key, std::span<AeadJob> jobs) override { inner_.seal(key, jobs); }
  void open(const TrafficKey& key, std::span<AeadJob> jobs) override {
    interruption_();
    inner_.open(key, jobs);
  }

 private:
  AeadProvider& inner_;
  std::function<void()> interruption_;
};

TEST_F(SessionTest, OfTwoCopiesThatBothLookedFreshOneIsTaken) {
  const auto packet = from_a("once");
  int taken = 0;
  Interrupted interrupted(*aead, [&] { taken += b->open_control(*aead, packet).has_value() ? 1 : 0; });
  EXPECT_EQ(b->open_control(interrupted, packet).error(), Failure::duplicate);
  EXPECT_EQ(taken, 1);
}

TEST_F(SessionTest, AControlPacketFromBeforeTheWindowIsTooOld) {
  const auto old = from_a("old");
  for (int i = 0; i < 1100; ++i)
    ASSERT_TRUE(b->open_control(*aead, from_a("new")));
  EXPECT_EQ(b->open_control(*aead, old).error(), Failure::too_old);
}

TEST_F(SessionTest, AForgeryIsCountedAndCostsTheGenuinePacketNothing) {
  const auto genuine = from_a("genuine");
  for (size_t bit = 0; bit < genuine.size() * 8; ++bit) {
    auto forged = genuine;
    flip(forged, bit);
    EXPECT_FALSE(b->open_control(*aead, forged)) << bit;
  }
  // Lane and sid are looked at before the tag, hence byte 0 (lane) and bytes 8..15 (sid) never reach a key. Of the
  // counter's 56 bits the 19 above the limit do not either.
  EXPECT_EQ(b->failed_tags(), (genuine.size() - 1 - 8) * 8 - 19);
  EXPECT_EQ(b->open_control(*aead, genuine), plain("genuine"));
}

TEST_F(SessionTest, AForgedFarFutureCounterDoesNotMoveTheWindow) {
  auto forged = from_a("x");
  wire::write_data_header({.number = {CP_CONTROL_LANE, CP_COUNTER_LIMIT - 1}, .sid = sid_r}, forged.data());
  EXPECT_EQ(b->open_control(*aead, forged).error(), Failure::bad_tag);
  EXPECT_EQ(b->open_control(*aead, from_a("y")), plain("y"));
}

TEST_F(SessionTest, HostileLengthsAndHeadersAreMalformed) {
  const auto genuine = from_a("genuine");
  for (size_t size = 0; size < CP_DATA_HEADER_SIZE; ++size) {
    EXPECT_EQ(b->open_control(*aead, ConstBytes(genuine).first(size)).error(), Failure::malformed) << size;
  }
  const auto with = [&](wire::DataHeader header) {
    auto packet = genuine;
    wire::write_data_header(header, packet.data());
    return b->open_control(*aead, packet).error();
  };
  EXPECT_EQ(with({.number = {0, 0}, .sid = sid_r}), Failure::malformed);
  EXPECT_EQ(with({.number = {126, 0}, .sid = sid_r}), Failure::malformed);
  EXPECT_EQ(with({.number = {CP_CONTROL_LANE, 0}, .sid = sid_r + 1}), Failure::malformed);
  EXPECT_EQ(with({.number = {CP_CONTROL_LANE, CP_COUNTER_LIMIT}, .sid = sid_r}), Failure::malformed);
  EXPECT_EQ(b->failed_tags(), 0U);
}

TEST_F(SessionTest, APacketReflectedToItsSenderIsRefused) {
  auto packet = from_a("mirror");
  EXPECT_EQ(a->open_control(*aead, packet).error(), Failure::malformed);
  // Even under the sid that the sender itself expects: the two directions have different keys.
  wire::write_data_header({.number = {CP_CONTROL_LANE, 0}, .sid = sid_i}, packet.data());
  EXPECT_EQ(a->open_control(*aead, packet).error(), Failure::bad_tag);
}

TEST_F(SessionTest, CountersNeverRepeatAndLanesAreApart) {
  EXPECT_EQ(a->take_counters(0, 1), 0U);
  EXPECT_EQ(a->take_counters(0, 64), 1U);
  EXPECT_EQ(a->take_counters(0, 1), 65U);
  EXPECT_EQ(a->take_counters(3, 5), 0U);
  EXPECT_EQ(a->take_counters(CP_CONTROL_LANE, 2), 0U);
  EXPECT_EQ(a->take_counters(3, 1), 5U);
  EXPECT_EQ(a->packets_sealed(), 66U + 6U + 2U);
}

TEST_F(SessionTest, ALaneThatWasNotAgreedHasNoCounters) {
  for (unsigned lane = 0; lane < 256; ++lane) {
    const bool exists = lane < params_i.lanes || lane == CP_CONTROL_LANE;
    EXPECT_EQ(a->take_counters(static_cast<uint8_t>(lane), 1).has_value(), exists) << lane;
  }
}

TEST_F(SessionTest, ALaneStopsAtTheLimitForGood) {
  uint64_t next = 0;
  while (CP_COUNTER_LIMIT - next > UINT32_MAX) {
    ASSERT_EQ(a->take_counters(CP_CONTROL_LANE, UINT32_MAX), next);
    next += UINT32_MAX;
  }
  const auto left = static_cast<uint32_t>(CP_COUNTER_LIMIT - next);
  EXPECT_EQ(a->take_counters(CP_CONTROL_LANE, left + 1), std::nullopt);
  ASSERT_EQ(a->take_counters(CP_CONTROL_LANE, left - 1), next);
  const auto last = from_a("last");
  EXPECT_EQ(wire::parse_data_header(last)->number.counter, CP_COUNTER_LIMIT - 1);
  EXPECT_EQ(b->open_control(*aead, last), plain("last"));
  EXPECT_EQ(a->take_counters(CP_CONTROL_LANE, 1), std::nullopt);
  EXPECT_TRUE(from_a("one too many").empty());
  EXPECT_EQ(a->packets_sealed(), CP_COUNTER_LIMIT);
  EXPECT_EQ(a->take_counters(0, 1), 0U) << "other lanes go on";
}

TEST_F(SessionTest, FailedTagsOfWorkersAddUp) {
  b->count_failed_tags(5);
  b->count_failed_tags(7);
  EXPECT_EQ(b->failed_tags(), 12U);
}

}  // namespace
}  // namespace centipede::crypto
