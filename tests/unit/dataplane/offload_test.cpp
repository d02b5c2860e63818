#include "dataplane/offload.h"

#include "offload_packets.h"

namespace centipede::test {
namespace {

TEST(VirtioHeader, TenBytesLittleEndian) {
  const std::array<uint8_t, 10> bytes{1, 4, 0x36, 0x00, 0xa8, 0x05, 0x28, 0x00, 0x10, 0x01};
  const VirtioHeader header = VirtioHeader::load(bytes.data());
  EXPECT_EQ(header, (VirtioHeader{1, 4, 54, 1448, 40, 272}));
  std::array<uint8_t, 10> stored{};
  header.store(stored.data());
  EXPECT_EQ(stored, bytes);
}

TEST(VirtioHeader, EcnBitIsNotPartOfTheType) {
  const VirtioHeader header{.gso = 0x81};
  EXPECT_EQ(header.gso_type(), GsoType::tcp_v4);
}

TEST(InspectIp, LengthMustBeThatOfThePacket) {
  for (const bool v6 : {false, true}) {
    PacketSpec spec;
    spec.v6 = v6;
    Packet packet = build(spec);
    EXPECT_TRUE(inspect_ip(packet));
    packet.push_back(0);
    EXPECT_FALSE(inspect_ip(packet));
    for (size_t length = 0; length + 1 < packet.size(); ++length) {
      EXPECT_FALSE(inspect_ip(ConstBytes(packet).first(length))) << length;
    }
  }
}

TEST(InspectIp, VersionAndHeaderLength) {
  Packet packet = build(PacketSpec{});
  for (unsigned first = 0; first < 256; ++first) {
    packet[0] = static_cast<uint8_t>(first);
    const bool good = first >= 0x45 && first <= 0x4a;  // 20 to 40 bytes of header in a packet of 40
    EXPECT_EQ(inspect_ip(packet).has_value(), good) << first;
  }
}

TEST(InspectIp, Ipv4OptionsAndFragmentsAreMarked) {
  Packet packet = build(PacketSpec{});
  EXPECT_TRUE(inspect_ip(packet)->plain);
  packet[0] = 0x46;
  EXPECT_FALSE(inspect_ip(packet)->plain);
  EXPECT_EQ(inspect_ip(packet)->transport_offset, 24);
  packet[0] = 0x45;
  for (const uint8_t high : std::array<uint8_t, 3>{0x20, 0x1f, 0x01}) {
    packet[6] = high;
    EXPECT_TRUE(inspect_ip(packet)->fragment);
  }
  packet[6] = 0;
  packet[7] = 1;
  EXPECT_TRUE(inspect_ip(packet)->fragment);
}

TEST(InspectIp, Ipv6ExtensionHeadersAreWalked) {
  PacketSpec spec;
  spec.v6 = true;
  spec.extensions = Packet(16);
  spec.extensions[1] = 1;
  Packet packet = build(spec);
  auto layout = inspect_ip(packet);
  ASSERT_TRUE(layout);
  EXPECT_FALSE(layout->plain);
  EXPECT_EQ(layout->transport_offset, 56);
  EXPECT_EQ(layout->protocol, protocol_tcp);

  packet[41] = 200;  // longer than the packet
  layout = inspect_ip(packet);
  ASSERT_TRUE(layout);
  EXPECT_TRUE(layout->chain_broken);
  EXPECT_LE(layout->transport_offset, packet.size());

  packet[6] = 44;
  layout = inspect_ip(packet);
  ASSERT_TRUE(layout);
  EXPECT_TRUE(layout->fragment);
  EXPECT_EQ(layout->transport_offset, 48);
}

TEST(InspectIp, EndlessChainOfExtensionHeadersEnds) {
  PacketSpec spec;
  spec.v6 = true;
  Packet packet = build(spec);
  packet.resize(65535, 0);  // every header says: another hop-by-hop header of 8 bytes
  put16(packet, 4, packet.size() - 40);
  packet[6] = 0;
  std::fill(packet.begin() + 40, packet.end(), uint8_t{0});
  const auto layout = inspect_ip(packet);
  ASSERT_TRUE(layout);
  EXPECT_TRUE(layout->chain_broken);
}

}  // namespace
}  // namespace centipede::test
