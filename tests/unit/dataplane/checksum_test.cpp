#include "dataplane/checksum.h"

#include "offload_packets.h"

namespace centipede::test {
namespace {

TEST(Checksum, EqualsTheSlowSumForEveryLengthAndAlignment) {
  std::mt19937 random(1);
  const Packet bytes = bytes_from(random, 600);
  for (size_t start = 0; start < 9; ++start) {
    for (size_t length = 0; start + length < 590; ++length) {
      const ConstBytes part{bytes.data() + start, length};
      ASSERT_EQ(checksum_fold(checksum_sum(part)), slow_fold(slow_sum(part.data(), length))) << start << " " << length;
    }
  }
}

TEST(Checksum, SurvivesTheLargestPacketOfAllOnes) {
  const Packet bytes(65535, 0xff);
  EXPECT_EQ(checksum_fold(checksum_sum(bytes)), slow_fold(slow_sum(bytes.data(), bytes.size())));
}

TEST(Checksum, SumsOfPiecesAddUp) {
  std::mt19937 random(2);
  const Packet bytes = bytes_from(random, 999);
  const ConstBytes whole(bytes);
  for (size_t cut_at = 0; cut_at < 999; cut_at += 2) {
    const ChecksumSum sum = checksum_sum(whole.first(cut_at)) + checksum_sum(whole.subspan(cut_at));
    ASSERT_EQ(checksum_fold(sum), checksum_fold(checksum_sum(whole)));
  }
}

TEST(Checksum, CopyCopiesAndSumsAlike) {
  std::mt19937 random(3);
  for (size_t length = 0; length < 300; ++length) {
    const Packet from = bytes_from(random, length);
    Packet to(length + 1, 0xa5);
    ASSERT_EQ(checksum_copy(to.data(), from), checksum_sum(from));
    ASSERT_TRUE(std::equal(from.begin(), from.end(), to.begin()));
    ASSERT_EQ(to[length], 0xa5);
  }
}

TEST(Checksum, ExampleOfRfc1071) {
  const std::array<uint8_t, 8> bytes{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
  EXPECT_EQ(checksum_fold(checksum_sum(bytes)), 0xddf2);
  EXPECT_EQ(checksum_field(checksum_sum(bytes)), 0x220d);
}

TEST(Checksum, TransportFieldIsNeverZero) {
  EXPECT_EQ(checksum_transport_field(0xffff), 0xffff);
  EXPECT_EQ(checksum_field(0xffff), 0);
}

TEST(Checksum, PseudoHeadersOfBothFamilies) {
  for (const bool v6 : {false, true}) {
    PacketSpec spec;
    spec.v6 = v6;
    spec.payload = {1, 2, 3};
    const Packet packet = build(spec);
    const size_t length = packet.size() - transport_offset(spec);
    EXPECT_EQ(checksum_fold(checksum_pseudo_header(packet.data(), protocol_tcp, length)),
              slow_fold(pseudo_sum(spec, packet)));
  }
}

}  // namespace
}  // namespace centipede::test
