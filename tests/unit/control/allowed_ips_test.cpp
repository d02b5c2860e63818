#include "control/allowed_ips.h"

#include <gtest/gtest.h>

#include <random>

namespace centipede::control {
namespace {

Prefix net(const char* text) {
  return *Prefix::parse(text);
}

std::optional<PeerId> look_up(const AllowedIps& table, const char* text) {
  const IpAddress address = *IpAddress::parse(text);
  return address.is_v4() ? table.lookup_v4(address.bytes().data()) : table.lookup_v6(address.bytes().data());
}

TEST(AllowedIps, EmptyTableKnowsNobody) {
  const AllowedIps table;
  EXPECT_EQ(look_up(table, "10.0.0.1"), std::nullopt);
  EXPECT_EQ(look_up(table, "fd00::1"), std::nullopt);
}

TEST(AllowedIps, LongestPrefixWinsInEitherOrderOfInsertion) {
  for (const bool wide_first : {true, false}) {
    AllowedIps table;
    if (wide_first) {
      EXPECT_TRUE(table.insert(net("10.0.0.0/8"), 1));
    }
    EXPECT_TRUE(table.insert(net("10.1.0.0/16"), 2));
    EXPECT_TRUE(table.insert(net("10.1.2.3/32"), 3));
    if (!wide_first) {
      EXPECT_TRUE(table.insert(net("10.0.0.0/8"), 1));
    }
    EXPECT_EQ(look_up(table, "10.9.9.9"), 1U);
    EXPECT_EQ(look_up(table, "10.1.9.9"), 2U);
    EXPECT_EQ(look_up(table, "10.1.2.3"), 3U);
    EXPECT_EQ(look_up(table, "10.1.2.2"), 2U);
    EXPECT_EQ(look_up(table, "11.0.0.0"), std::nullopt);
  }
}

TEST(AllowedIps, FamiliesAreApart) {
  AllowedIps table;
  EXPECT_TRUE(table.insert(net("0.0.0.0/0"), 1));
  EXPECT_EQ(look_up(table, "255.255.255.255"), 1U);
  EXPECT_EQ(look_up(table, "::"), std::nullopt);
  EXPECT_TRUE(table.insert(net("::/0"), 2));
  EXPECT_TRUE(table.insert(net("fd00:1::/32"), 3));
  EXPECT_TRUE(table.insert(net("fd00:1::7/128"), 4));
  EXPECT_EQ(look_up(table, "2001:db8::1"), 2U);
  EXPECT_EQ(look_up(table, "fd00:1::8"), 3U);
  EXPECT_EQ(look_up(table, "fd00:1::7"), 4U);
}

TEST(AllowedIps, TheSameNetworkBelongsToOnePeer) {
  AllowedIps table;
  EXPECT_TRUE(table.insert(net("10.0.0.0/8"), 0));
  EXPECT_TRUE(table.insert(net("10.0.0.0/8"), 0));
  EXPECT_FALSE(table.insert(net("10.0.0.0/8"), 1));
  EXPECT_EQ(look_up(table, "10.0.0.1"), 0U);
}

TEST(AllowedIps, HostBitsDoNotMatter) {
  AllowedIps table;
  EXPECT_TRUE(table.insert(net("10.0.0.7/8"), 1));
  EXPECT_EQ(look_up(table, "10.200.0.0"), 1U);
  EXPECT_FALSE(table.insert(net("10.0.0.0/8"), 2));
}

TEST(AllowedIps, ImpossibleLengthIsRefused) {
  AllowedIps table;
  EXPECT_FALSE(table.insert({*IpAddress::parse("10.0.0.0"), 33}, 1));
  EXPECT_FALSE(table.insert({IpAddress{}, 0}, 1));
}

TEST(AllowedIps, RemovingAPeerLeavesTheOthersAndItsNetworksFree) {
  AllowedIps table;
  EXPECT_TRUE(table.insert(net("10.0.0.0/8"), 1));
  EXPECT_TRUE(table.insert(net("10.1.0.0/16"), 2));
  EXPECT_TRUE(table.insert(net("10.1.2.0/24"), 1));
  EXPECT_TRUE(table.insert(net("::/0"), 1));
  table.remove(1);
  EXPECT_EQ(look_up(table, "10.9.9.9"), std::nullopt);
  EXPECT_EQ(look_up(table, "10.1.2.3"), 2U);
  EXPECT_EQ(look_up(table, "fd00::1"), std::nullopt);
  EXPECT_TRUE(table.insert(net("10.0.0.0/8"), 3));
  EXPECT_EQ(look_up(table, "10.9.9.9"), 3U);
}

TEST(AllowedIps, RandomTablesAgreeWithTheSlowWay) {
  uint32_t state = 7;
  const auto random = [&] { return state = state * 1664525 + 1013904223; };
  for (int round = 0; round < 200; ++round) {
    AllowedIps table;
    std::vector<std::pair<Prefix, PeerId>> rows;
    for (PeerId peer = 0; peer < 20; ++peer) {
      const uint8_t bytes[4] = {10, static_cast<uint8_t>(random() >> 30), static_cast<uint8_t>(random() >> 29), 0};
      const Prefix network = Prefix{IpAddress::v4(bytes), random() >> 27}.network();
      if (table.insert(network, peer)) rows.emplace_back(network, peer);
    }
    if (round % 2 == 0) {
      table.remove(3);
      std::erase_if(rows, [](const auto& row) { return row.second == 3; });
    }
    for (int probe = 0; probe < 100; ++probe) {
      const uint8_t bytes[4] = {10, static_cast<uint8_t>(random() >> 30), static_cast<uint8_t>(random() >> 29), 1};
      std::optional<PeerId> expected;
      unsigned longest = 0;
      for (const auto& [network, peer] : rows) {
        if (!network.contains(IpAddress::v4(bytes)) || (expected && network.length < longest)) continue;
        expected = peer;
        longest = network.length;
      }
      ASSERT_EQ(table.lookup_v4(bytes), expected);
    }
  }
}

TEST(AllowedIps, ManyHostsOfBothFamiliesAreFoundBeforeTheNetworksAroundThem) {
  AllowedIps table;
  EXPECT_TRUE(table.insert(net("10.0.0.0/8"), 7));
  EXPECT_TRUE(table.insert(net("fd00::/16"), 7));
  std::array<uint8_t, 4> v4{10, 64, 0, 0};
  std::array<uint8_t, 16> v6{0xfd};
  constexpr PeerId first = 100;
  constexpr PeerId hosts = 5000;
  const auto aim = [&](PeerId host) {
    for (const size_t byte : {0U, 1U})
      v4[2 + byte] = v6[14 + byte] = static_cast<uint8_t>(host >> (8 - 8 * byte));
  };
  for (PeerId host = 0; host < hosts; ++host) {
    aim(host);
    EXPECT_TRUE(table.insert({IpAddress::v4(v4.data()), 32}, first + host));
    EXPECT_TRUE(table.insert({IpAddress::v6(v6.data()), 128}, first + host));
    EXPECT_FALSE(table.insert({IpAddress::v6(v6.data()), 128}, first + host + 1));
  }
  for (const PeerId removed : {PeerId{0}, PeerId{2500}, hosts - 1})
    table.remove(first + removed);
  for (PeerId host = 0; host < hosts + 100; ++host) {
    aim(host);
    const bool there = host < hosts && host != 0 && host != 2500 && host != hosts - 1;
    ASSERT_EQ(table.lookup_v4(v4.data()), there ? first + host : 7U) << host;
    ASSERT_EQ(table.lookup_v6(v6.data()), there ? first + host : 7U) << host;
  }
  table.remove(7);
  aim(hosts);
  EXPECT_EQ(table.lookup_v4(v4.data()), std::nullopt);
}

// Regular address plans: a host in each network of some size.
TEST(AllowedIps, HostsOfRegularPlansAreFoundWithoutALongSearch) {
  for (const unsigned shift : {0U, 4U, 8U, 12U, 16U, 20U}) {
    AllowedIps table;
    constexpr PeerId hosts = 4096;
    for (PeerId host = 0; host < hosts; ++host) {
      std::array<uint8_t, 4> v4;
      std::array<uint8_t, 16> v6{};
      store_be<uint32_t>(v4.data(), (host << shift) + 1);
      store_be<uint64_t>(v6.data(), 0x20010db800000000ULL + (uint64_t{host} << shift));
      v6[15] = 1;
      ASSERT_TRUE(table.insert({IpAddress::v4(v4.data()), 32}, host));
      ASSERT_TRUE(table.insert({IpAddress::v6(v6.data()), 128}, host));
    }
    EXPECT_LT(table.longest_host_search(), 64U) << "one in each 2^" << shift;
  }
}

// Networks of every length that have most of their bits in common with one another, so that paths part everywhere.
TEST(AllowedIps, NetworksThatPartAtEveryBitAgreeWithTheSlowWay) {
  std::mt19937 random(8);
  for (const bool v6 : {false, true}) {
    const unsigned bits = v6 ? 128 : 32;
    const auto address = [&](const std::vector<uint8_t>& bytes) {
      return v6 ? IpAddress::v6(bytes.data()) : IpAddress::v4(bytes.data());
    };
    for (int round = 0; round < 100; ++round) {
      std::vector<uint8_t> bytes(bits / 8, static_cast<uint8_t>(random()));
      const auto flip = [&] {
        const unsigned position = static_cast<unsigned>(random()) % bits;
        bytes[position / 8] ^= static_cast<uint8_t>(1U << position % 8);
      };
      AllowedIps table;
      std::vector<std::pair<Prefix, PeerId>> rows;
      for (unsigned i = 0; i < 100; ++i) {
        if (random() % 2 == 0) flip();
        const Prefix network = Prefix{address(bytes), static_cast<unsigned>(random()) % (bits + 1)}.network();
        if (table.insert(network, i % 30)) rows.emplace_back(network, i % 30);
      }
      for (PeerId removed = 0; removed < static_cast<PeerId>(round % 3); ++removed) {
        table.remove(removed);
        std::erase_if(rows, [&](const auto& row) { return row.second == removed; });
      }
      for (int probe = 0; probe < 100; ++probe) {
        flip();
        const IpAddress wanted = address(bytes);
        std::optional<PeerId> expected;
        unsigned longest = 0;
        for (const auto& [network, peer] : rows) {
          if (!network.contains(wanted) || (expected && network.length < longest)) continue;
          expected = peer;
          longest = network.length;
        }
        ASSERT_EQ(v6 ? table.lookup_v6(bytes.data()) : table.lookup_v4(bytes.data()), expected) << wanted.text();
      }
    }
  }
}

}  // namespace
}  // namespace centipede::control
