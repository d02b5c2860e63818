#include "link-emulator/frame.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/bytes.h"
#include "link-emulator/link_model.h"

namespace centipede::emulator {
namespace {

constexpr Instant begin_at{seconds(1)};

uint32_t sum_words(ConstBytes bytes, uint32_t sum) {
  for (size_t i = 0; i < bytes.size(); ++i)
    sum += uint32_t{bytes[i]} << (i % 2 == 0 ? 8 : 0);
  return sum;
}

uint16_t folded(uint32_t sum) {
  while (sum > 0xffff)
    sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}

// The sum a receiver computes: 0xffff means that the checksum holds.
uint16_t udp_sum(ConstBytes frame, size_t ip, bool v4) {
  const size_t udp = *udp_header_offset(frame);
  const ConstBytes addresses = frame.subspan(ip + (v4 ? 12 : 8), v4 ? 8 : 32);
  const auto length = static_cast<uint32_t>(frame.size() - udp);
  return folded(sum_words(frame.subspan(udp), sum_words(addresses, 17 + length)));
}

struct Packet {
  std::vector<uint8_t> frame;
  size_t ip;
  bool v4;
};

Packet udp_packet(bool v4, size_t tags, size_t payload) {
  Packet packet{{}, ethernet_header_bytes + tags * vlan_tag_bytes, v4};
  const size_t udp = packet.ip + (v4 ? 20 : 40);
  packet.frame.assign(udp + 8 + payload, 0);
  auto& f = packet.frame;
  for (size_t i = 0; i < tags; ++i)
    store_be(&f[12 + i * 4], static_cast<uint16_t>(i == 0 && tags == 2 ? 0x88a8 : 0x8100));
  store_be(&f[packet.ip - 2], static_cast<uint16_t>(v4 ? 0x0800 : 0x86dd));
  f[packet.ip] = v4 ? 0x45 : 0x60;
  f[packet.ip + (v4 ? 9 : 6)] = 17;
  for (size_t i = packet.ip + (v4 ? 12 : 8); i < udp; ++i)
    f[i] = static_cast<uint8_t>(i * 37);
  for (size_t i = udp + 8; i < f.size(); ++i)
    f[i] = static_cast<uint8_t>(i * 91);
  store_be(&f[udp], uint16_t{5820});
  store_be(&f[udp + 2], uint16_t{5821});
  store_be(&f[udp + 4], static_cast<uint16_t>(8 + payload));
  store_be(&f[udp + 6], static_cast<uint16_t>(~udp_sum(f, packet.ip, v4)));
  return packet;
}

TEST(Frame, LinkHeaderCountsUpToTwoVlanTags) {
  EXPECT_EQ(link_header_bytes(udp_packet(true, 0, 10).frame), 14U);
  EXPECT_EQ(link_header_bytes(udp_packet(true, 1, 10).frame), 18U);
  EXPECT_EQ(link_header_bytes(udp_packet(true, 2, 10).frame), 22U);
}

TEST(Frame, FindsUdpBehindTagsInBothFamilies) {
  for (size_t tags = 0; tags <= 2; ++tags) {
    EXPECT_EQ(udp_header_offset(udp_packet(true, tags, 10).frame), 34 + 4 * tags);
    EXPECT_EQ(udp_header_offset(udp_packet(false, tags, 10).frame), 54 + 4 * tags);
  }
}

TEST(Frame, WhatIsNotWholeUdpIsNotUdp) {
  const auto frame = udp_packet(true, 0, 0).frame;
  for (size_t length = 0; length < frame.size(); ++length)
    EXPECT_FALSE(udp_header_offset(ConstBytes(frame).first(length))) << length;
  auto tcp = frame;
  tcp[23] = 6;
  EXPECT_FALSE(udp_header_offset(tcp));
  auto fragment = frame;
  fragment[21] = 1;
  EXPECT_FALSE(udp_header_offset(fragment));
  auto arp = frame;
  store_be(&arp[12], uint16_t{0x0806});
  EXPECT_FALSE(udp_header_offset(arp));
}

TEST(Frame, RepairedChecksumHoldsForEverySummedBit) {
  for (const bool v4 : {true, false}) {
    const Packet packet = udp_packet(v4, 1, 33);
    ASSERT_EQ(udp_sum(packet.frame, packet.ip, v4), 0xffff);
    const size_t udp = *udp_header_offset(packet.frame);
    for (size_t position = packet.ip + (v4 ? 12 : 8); position < packet.frame.size(); ++position) {
      if (position >= udp + 4 && position < udp + 8) continue;  // the length and the checksum itself
      for (unsigned bit = 0; bit < 8; ++bit) {
        auto frame = packet.frame;
        flip_bit(frame, position, bit, true);
        ASSERT_EQ(frame[position] ^ packet.frame[position], 1 << bit);
        ASSERT_EQ(udp_sum(frame, packet.ip, v4), 0xffff) << position;
        flip_bit(frame, position, bit, false);
        ASSERT_NE(udp_sum(frame, packet.ip, v4), 0xffff) << position;
      }
    }
  }
}

TEST(Frame, AbsentChecksumStaysAbsent) {
  Packet packet = udp_packet(true, 0, 20);
  store_be(&packet.frame[40], uint16_t{0});
  flip_bit(packet.frame, 50, 3, true);
  EXPECT_EQ(load_be<uint16_t>(&packet.frame[40]), 0);
}

TEST(Frame, RepairNeverTurnsAChecksumIntoNone) {
  Packet packet = udp_packet(true, 0, 2);
  for (unsigned word = 0; word <= 0xffff; ++word) {
    auto frame = packet.frame;
    store_be(&frame[42], static_cast<uint16_t>(word));
    store_be(&frame[40], uint16_t{0});
    const auto checksum = static_cast<uint16_t>(~udp_sum(frame, packet.ip, true));
    store_be(&frame[40], checksum == 0 ? uint16_t{0xffff} : checksum);
    flip_bit(frame, 43, 0, true);
    ASSERT_NE(load_be<uint16_t>(&frame[40]), 0) << word;
    ASSERT_EQ(udp_sum(frame, packet.ip, true), 0xffff) << word;
  }
}

TEST(CorruptCopy, LeavesAtOnceWithTrueHeaderAndChecksumBeforeTheGenuinePacket) {
  const Packet packet = udp_packet(true, 0, 100);
  constexpr size_t offset = 42 + 16;
  LinkModel link({.delay = milliseconds(30), .corrupt_offset = offset, .corrupt_copy = true});
  for (int i = 0; i < 500; ++i)
    link.offer(packet.frame, begin_at);
  const auto copies = link.take_due(begin_at);
  ASSERT_EQ(copies.size(), 500U);
  for (const Departure& copy : copies) {
    EXPECT_EQ(copy.kind, DepartureKind::corrupt_copy);
    EXPECT_NE(copy.frame, packet.frame);
    EXPECT_EQ(udp_sum(copy.frame, packet.ip, true), 0xffff);
    for (size_t i = 0; i < offset; ++i) {
      if (i == 40 || i == 41) continue;  // the checksum
      ASSERT_EQ(copy.frame[i], packet.frame[i]);
    }
  }
  const auto genuine = link.take_due(begin_at + milliseconds(30));
  ASSERT_EQ(genuine.size(), 500U);
  for (const Departure& departure : genuine)
    EXPECT_EQ(departure.frame, packet.frame);
  EXPECT_EQ(link.counters().corrupt_copies, 500U);
  EXPECT_EQ(link.counters().reordered, 0U);
}

TEST(CorruptCopy, LossAndQueueDoNotStopIt) {
  LinkModel link({.loss = 1, .corrupt_copy = true});
  link.offer(udp_packet(false, 0, 100).frame, begin_at);
  EXPECT_EQ(link.take_due(begin_at).size(), 1U);
}

TEST(CorruptCopy, IsMadeOfUdpOnly) {
  auto frame = udp_packet(true, 0, 100).frame;
  frame[23] = 6;
  LinkModel link({.corrupt_copy = true});
  link.offer(frame, begin_at);
  EXPECT_EQ(link.take_due(begin_at).size(), 1U);
  EXPECT_EQ(link.counters().corrupt_copies, 0U);
}

}  // namespace
}  // namespace centipede::emulator
