#include "wire/frame.h"

#include <centipede/wire.h>
#include <gtest/gtest.h>

#include <array>
#include <random>
#include <vector>

namespace centipede::wire {
namespace {

constexpr Heartbeat sample{.path_id = 0x0203,
                           .number = 0x04050607,
                           .send_time_us = 0x08090a0b0c0d0e0f,
                           .echoed_number = 0x10111213,
                           .echo_delay_us = 0x14151617,
                           .token = 0x18191a1b1c1d1e1f,
                           .token_echo = 0x2021222324252627,
                           .packets_sent = 0x28292a2b2c2d2e2f,
                           .packets_received = 0x3031323334353637,
                           .heartbeats_received = 0x38393a3b,
                           .flags = 0x3c};

std::vector<uint8_t> bytes_of(const Heartbeat& heartbeat) {
  std::vector<uint8_t> raw(CP_HEARTBEAT_SIZE, 0xff);
  write_frame(heartbeat, raw.data());
  return raw;
}
std::vector<uint8_t> bytes_of(const Close& close) {
  std::vector<uint8_t> raw(CP_CLOSE_SIZE, 0xff);
  write_frame(close, raw.data());
  return raw;
}

TEST(Frame, AHeartbeatLiesAtItsDocumentedOffsets) {
  // The sample numbers each byte by its offset.
  std::vector<uint8_t> expected(CP_HEARTBEAT_SIZE);
  for (size_t i = 2; i < 61; ++i)
    expected[i] = static_cast<uint8_t>(i);
  expected[1] = CP_FRAME_HEARTBEAT;
  EXPECT_EQ(bytes_of(sample), expected);
}

TEST(Frame, BothKindsRoundTrip) {
  EXPECT_EQ(read_frame(bytes_of(sample)), Frame(sample));
  EXPECT_EQ(read_frame(bytes_of(Heartbeat{})), Frame(Heartbeat{}));
  EXPECT_EQ(read_frame(bytes_of(Close{})), Frame(Close{}));
}

TEST(Frame, EveryOtherLengthIsRefused) {
  for (std::vector<uint8_t> raw : {bytes_of(sample), bytes_of(Close{})}) {
    const size_t right = raw.size();
    raw.resize(200, 0);
    for (size_t size = 0; size <= raw.size(); ++size) {
      EXPECT_EQ(read_frame(ConstBytes(raw).first(size)).has_value(), size == right) << size;
    }
  }
}

TEST(Frame, NonzeroPaddingIsRefused) {
  const auto refused = [](std::vector<uint8_t> raw, size_t from) {
    for (size_t bit = from * 8; bit < raw.size() * 8; ++bit) {
      auto damaged = raw;
      damaged[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
      EXPECT_FALSE(read_frame(damaged)) << bit;
    }
  };
  refused(bytes_of(sample), 61);
  refused(bytes_of(Close{}), 2);
}

TEST(Frame, AnIpPacketOrAnUnknownTypeIsNoFrame) {
  for (unsigned value = 0; value < 256; ++value) {
    auto raw = bytes_of(sample);
    raw[0] = static_cast<uint8_t>(value);
    EXPECT_EQ(read_frame(raw).has_value(), value == 0) << value;
    raw = bytes_of(sample);
    raw[1] = static_cast<uint8_t>(value);
    EXPECT_EQ(read_frame(raw).has_value(), value == CP_FRAME_HEARTBEAT) << value;
  }
}

TEST(Frame, WhatIsReadFromNoiseWritesBackTheSameBytes) {
  std::mt19937_64 random(1);
  unsigned read = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::vector<uint8_t> raw(random() % 2 == 0 ? CP_HEARTBEAT_SIZE : CP_CLOSE_SIZE);
    for (uint8_t& byte : raw)
      byte = static_cast<uint8_t>(random() % 16 < 12 ? 0 : random());
    raw[1] = static_cast<uint8_t>(random() % 3);
    const auto frame = read_frame(raw);
    if (!frame) continue;
    ++read;
    std::visit([&](const auto& kind) { EXPECT_EQ(bytes_of(kind), raw); }, *frame);
  }
  EXPECT_GT(read, 100U);
}

}  // namespace
}  // namespace centipede::wire
