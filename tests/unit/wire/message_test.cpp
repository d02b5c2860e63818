#include "wire/message.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <initializer_list>
#include <vector>

namespace centipede::wire {
namespace {

std::vector<uint8_t> control(uint8_t type, size_t size) {
  std::vector<uint8_t> datagram(size, 0xaa);
  const std::array<uint8_t, 8> header{static_cast<uint8_t>(0x80 | type), 1};
  std::copy_n(header.begin(), std::min(size, header.size()), datagram.begin());
  return datagram;
}

TEST(DataHeader, RoundTripsAtItsDocumentedOffsets) {
  std::array<uint8_t, CP_DATA_HEADER_SIZE> raw;
  raw.fill(0xee);
  write_data_header({.number = {.lane = 0x7f, .counter = 0x010203040506}, .sid = 0x1112131415161718}, raw.data());
  const std::array<uint8_t, 16> expected{0x7f, 0, 1, 2, 3, 4, 5, 6, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18};
  EXPECT_TRUE(std::equal(expected.begin(), expected.end(), raw.begin()));
  EXPECT_TRUE(std::all_of(raw.begin() + CP_OFFSET_TAG, raw.end(), [](uint8_t byte) { return byte == 0xee; }));

  const auto header = parse_data_header(raw);
  ASSERT_TRUE(header);
  EXPECT_EQ(header->number, (PacketNumber{0x7f, 0x010203040506}));
  EXPECT_EQ(header->sid, 0x1112131415161718U);
}

TEST(DataHeader, EveryLaneAndTheWholeCounterSurvive) {
  for (unsigned lane = 0; lane < 128; ++lane) {
    for (const uint64_t counter : std::initializer_list<uint64_t>{0, 1, CP_COUNTER_LIMIT - 1, CP_COUNTER_MASK}) {
      const PacketNumber number{static_cast<uint8_t>(lane), counter};
      EXPECT_EQ(PacketNumber::from(number.value()), number);
      EXPECT_EQ(number.value() >> 63, 0U);
    }
  }
}

TEST(DataHeader, ShortOrControlDatagramsHaveNone) {
  std::vector<uint8_t> datagram(CP_DATA_HEADER_SIZE, 0);
  EXPECT_TRUE(parse_data_header(datagram));
  for (size_t size = 0; size < CP_DATA_HEADER_SIZE; ++size) {
    EXPECT_FALSE(parse_data_header(ConstBytes(datagram).first(size))) << size;
  }
  datagram[0] = CP_CONTROL_BIT;
  EXPECT_FALSE(parse_data_header(datagram));
}

struct Kind {
  MessageType type;
  uint8_t number;
  size_t size;
};
constexpr Kind kinds[] = {{MessageType::initiation, CP_TYPE_INITIATION, CP_INITIATION_SIZE},
                          {MessageType::response, CP_TYPE_RESPONSE, CP_RESPONSE_SIZE},
                          {MessageType::cookie, CP_TYPE_COOKIE, CP_COOKIE_SIZE}};

TEST(Classify, TakesEachControlMessageAtExactlyItsSize) {
  for (const Kind& kind : kinds) {
    for (size_t size = 0; size <= 2 * CP_INITIATION_SIZE; ++size) {
      const MessageType expected = size == kind.size ? kind.type : MessageType::malformed;
      EXPECT_EQ(classify(control(kind.number, size)), expected) << int{kind.number} << " " << size;
    }
  }
}

TEST(Classify, RefusesEveryFlippedBitOfAControlHeader) {
  for (const Kind& kind : kinds) {
    for (size_t bit = 1; bit < CP_CONTROL_HEADER_SIZE * 8; ++bit) {
      auto datagram = control(kind.number, kind.size);
      datagram[bit / 8] ^= static_cast<uint8_t>(0x80 >> bit % 8);
      EXPECT_EQ(classify(datagram), MessageType::malformed) << int{kind.number} << " " << bit;
    }
  }
}

TEST(Classify, UnknownTypesAreMalformed) {
  for (unsigned type = 0; type < 128; ++type) {
    for (const size_t size : {8U, 72U, 184U, 216U, 1500U}) {
      const bool known = std::ranges::any_of(kinds, [&](const Kind& k) { return k.number == type && k.size == size; });
      EXPECT_EQ(classify(control(static_cast<uint8_t>(type), size)) == MessageType::malformed, !known) << type;
    }
  }
}

TEST(Classify, AClearControlBitIsDataFromAHeaderUp) {
  const std::vector<uint8_t> datagram(100, 0x7f);
  EXPECT_EQ(classify(ConstBytes(datagram).first(CP_DATA_HEADER_SIZE - 1)), MessageType::malformed);
  EXPECT_EQ(classify(ConstBytes(datagram).first(CP_DATA_HEADER_SIZE)), MessageType::data);
  EXPECT_EQ(classify(datagram), MessageType::data);
  EXPECT_EQ(classify({}), MessageType::malformed);
}

using RawParams = std::array<uint8_t, params_size>;

RawParams raw_params(const Params& params) {
  RawParams raw;
  raw.fill(0xff);
  write_params(params, raw.data());
  return raw;
}

TEST(Params, RoundTripAtTheirDocumentedOffsets) {
  const Params params{.lanes = 4, .window_bits = 16, .flags = 0x81, .heartbeat_ms = 1000, .mtu = 1420};
  const RawParams raw = raw_params(params);
  EXPECT_EQ(raw, (RawParams{1, 4, 16, 0x81, 0, 0, 0x03, 0xe8, 0x05, 0x8c}));
  EXPECT_EQ(read_params(raw), params);
}

TEST(Params, EveryOtherLengthIsRefused) {
  std::vector<uint8_t> raw(64, 0);
  write_params(Params{}, raw.data());
  for (size_t size = 0; size <= raw.size(); ++size) {
    EXPECT_EQ(read_params(ConstBytes(raw).first(size)).has_value(), size == params_size) << size;
  }
}

TEST(Params, WhatMayBeClampedIsClamped) {
  const struct {
    uint32_t sent, read;
  } heartbeats[] = {{0, 100}, {99, 100}, {100, 100}, {60'000, 60'000}, {60'001, 60'000}, {UINT32_MAX, 60'000}};
  for (const auto& row : heartbeats) {
    EXPECT_EQ(read_params(raw_params({.heartbeat_ms = row.sent}))->heartbeat_ms, row.read);
  }
  const struct {
    uint8_t sent, read;
  } windows[] = {{0, 10}, {9, 10}, {10, 10}, {20, 20}, {21, 20}, {255, 20}};
  for (const auto& row : windows) {
    EXPECT_EQ(read_params(raw_params({.window_bits = row.sent}))->window_bits, row.read);
  }
}

TEST(Params, OtherVersionsAndImpossibleLanesAreRefused) {
  for (unsigned value = 0; value < 256; ++value) {
    const auto byte = static_cast<uint8_t>(value);
    EXPECT_EQ(read_params(raw_params({.version = byte})).has_value(), value == 1) << value;
    EXPECT_EQ(read_params(raw_params({.lanes = byte})).has_value(), value >= 1 && value <= 127) << value;
  }
}

TEST(Params, NonzeroPaddingIsRefused) {
  for (size_t bit = 10 * 8; bit < params_size * 8; ++bit) {
    RawParams raw = raw_params({});
    raw[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    EXPECT_FALSE(read_params(raw)) << bit;
  }
}

}  // namespace
}  // namespace centipede::wire
