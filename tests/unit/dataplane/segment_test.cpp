#include "dataplane/segment.h"

#include <memory>

#include "offload_packets.h"

namespace centipede::test {
namespace {

struct Case {
  bool v6;
  bool udp;
};
constexpr std::array all_cases{Case{false, false}, Case{true, false}, Case{false, true}, Case{true, true}};

PacketSpec large(std::mt19937& random, Case kind, size_t payload) {
  PacketSpec spec;
  spec.v6 = kind.v6;
  spec.udp = kind.udp;
  spec.payload = bytes_from(random, payload);
  if (!kind.udp) spec.options = {1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8};
  return spec;
}

TEST(Segment, EverySegmentEqualsThePacketBuiltOneByOne) {
  std::mt19937 random(1);
  for (const Case kind : all_cases) {
    for (const size_t payload : {1U, 99U, 100U, 101U, 1000U, 1001U, 60000U}) {
      for (const size_t segment : {100U, 101U, 1388U}) {
        const PacketSpec spec = large(random, kind, payload);
        const auto made = segments_of(super_header(spec, segment), build(spec, false), 1500);
        ASSERT_EQ(made, build_all(cut(spec, segment))) << kind.v6 << kind.udp << payload << "/" << segment;
      }
    }
  }
}

TEST(Segment, LargestSuperPacket) {
  std::mt19937 random(2);
  for (const Case kind : all_cases) {
    PacketSpec spec = large(random, kind, 0);
    spec.payload = bytes_from(random, 65535 - header_bytes(spec));
    const auto made = segments_of(super_header(spec, 1400), build(spec, false), 1500);
    EXPECT_EQ(made, build_all(cut(spec, 1400)));
  }
}

TEST(Segment, FinAndPushOnlyOnTheLastCongestionWindowReducedOnlyOnTheFirst) {
  std::mt19937 random(3);
  PacketSpec spec = large(random, {false, false}, 300);
  spec.flags = ack | fin | psh | cwr | ece;
  VirtioHeader header = super_header(spec, 100);
  header.gso |= VirtioHeader::gso_ecn_bit;
  const auto made = segments_of(header, build(spec, false), 1500);
  ASSERT_EQ(made.size(), 3U);
  EXPECT_EQ(made[0][33], ack | cwr | ece);
  EXPECT_EQ(made[1][33], ack | ece);
  EXPECT_EQ(made[2][33], ack | ece | fin | psh);
  EXPECT_EQ(made, build_all(cut(spec, 100)));
}

TEST(Segment, SequenceNumberAndIdentificationWrapAround) {
  std::mt19937 random(4);
  PacketSpec spec = large(random, {false, false}, 1000);
  spec.sequence = 0xfffffe00;
  spec.id = 0xfffe;
  const auto made = segments_of(super_header(spec, 100), build(spec, false), 1500);
  EXPECT_EQ(made, build_all(cut(spec, 100)));
  EXPECT_LT(load_be<uint32_t>(&made.back()[24]), spec.sequence);
}

TEST(Segment, TcpBehindIpv6DestinationOptions) {
  std::mt19937 random(5);
  PacketSpec spec = large(random, {true, false}, 1000);
  spec.extensions = Packet(8);
  const auto made = segments_of(super_header(spec, 300), build(spec, false), 1500);
  EXPECT_EQ(made, build_all(cut(spec, 300)));
}

TEST(Segment, UnfinishedChecksumOfASinglePacketIsFilledIn) {
  std::mt19937 random(6);
  for (const Case kind : all_cases) {
    for (size_t payload = 0; payload < 40; ++payload) {
      const PacketSpec spec = large(random, kind, payload);
      VirtioHeader header = super_header(spec, 0);
      header.gso = 0;
      const auto made = segments_of(header, build(spec, false), 1500);
      ASSERT_EQ(made, std::vector<Packet>{build(spec)});
    }
  }
}

TEST(Segment, PacketWithoutRequestsIsCopiedAsItIs) {
  std::mt19937 random(7);
  PacketSpec spec = large(random, {true, true}, 77);
  Packet packet = build(spec);
  packet[46] ^= 1;  // a wrong checksum is the sender's business
  EXPECT_EQ(segments_of(VirtioHeader{}, packet, 1500), std::vector<Packet>{packet});
  EXPECT_EQ(segments_of(VirtioHeader{.flags = 2}, packet, 1500), std::vector<Packet>{packet});
}

TEST(Segment, ChecksumThatComesOutAsZeroIsSentAsAllOnes) {
  PacketSpec spec;
  spec.udp = true;
  spec.payload = {0, 0};
  Packet packet = build(spec, false);
  const uint16_t sum = slow_fold(slow_sum(&packet[20], packet.size() - 20));
  put16(packet, 28, static_cast<uint16_t>(~sum));  // payload that completes the sum to 0xffff
  VirtioHeader header = super_header(spec, 0);
  header.gso = 0;
  auto made = segments_of(header, packet, 1500);
  ASSERT_EQ(made.size(), 1U);
  EXPECT_EQ(load_be<uint16_t>(&made[0][26]), 0xffff);
  made = segments_of(super_header(spec, 2), packet, 1500);
  ASSERT_EQ(made.size(), 1U);
  EXPECT_EQ(load_be<uint16_t>(&made[0][26]), 0xffff);
}

struct Fault {
  const char* what;
  SegmentFault fault;
  Case kind;
  void (*spoil)(VirtioHeader&, Packet&);
};

TEST(Segment, EveryLieIsNamed) {
  using V = VirtioHeader;
  using P = Packet;
  constexpr Case tcp4{false, false}, tcp6{true, false}, udp4{false, true};
  const std::array faults{
      Fault{"empty", SegmentFault::not_ip, tcp4, [](V&, P& p) { p.clear(); }},
      Fault{"cut short", SegmentFault::not_ip, tcp4, [](V&, P& p) { p.pop_back(); }},
      Fault{"trailing byte", SegmentFault::not_ip, tcp6, [](V&, P& p) { p.push_back(0); }},
      Fault{"version 5", SegmentFault::not_ip, tcp4, [](V&, P& p) { p[0] = 0x55; }},
      Fault{"IP header of 16 bytes", SegmentFault::not_ip, tcp4, [](V&, P& p) { p[0] = 0x44; }},
      Fault{"IP length too large", SegmentFault::not_ip, tcp4, [](V&, P& p) { p[2] = 0xff; }},
      Fault{"segments of 0", SegmentFault::zero_segment, tcp4, [](V& v, P&) { v.segment_bytes = 0; }},
      Fault{"no checksum", SegmentFault::no_checksum, tcp4, [](V& v, P&) { v.flags = 0; }},
      Fault{"fragments of UDP", SegmentFault::unknown_gso, udp4, [](V& v, P&) { v.gso = 3; }},
      Fault{"type 2", SegmentFault::unknown_gso, tcp4, [](V& v, P&) { v.gso = 2; }},
      Fault{"type 6", SegmentFault::unknown_gso, tcp4, [](V& v, P&) { v.gso = 6; }},
      Fault{"v4 type on v6", SegmentFault::protocol_mismatch, tcp6, [](V& v, P&) { v.gso = 1; }},
      Fault{"v6 type on v4", SegmentFault::protocol_mismatch, tcp4, [](V& v, P&) { v.gso = 4; }},
      Fault{"TCP type on UDP", SegmentFault::protocol_mismatch, udp4, [](V& v, P&) { v.gso = 1; }},
      Fault{"UDP type on TCP", SegmentFault::protocol_mismatch, tcp4, [](V& v, P&) { v.gso = 5; }},
      Fault{"fragment", SegmentFault::protocol_mismatch, tcp4, [](V&, P& p) { p[6] = 0x20; }},
      Fault{"start in IP", SegmentFault::checksum_range, tcp4, [](V& v, P&) { v.checksum_start = 12; }},
      Fault{"start behind", SegmentFault::checksum_range, tcp4, [](V& v, P&) { v.checksum_start = 65535; }},
      Fault{"wrong field", SegmentFault::checksum_range, tcp4, [](V& v, P&) { v.checksum_offset = 6; }},
      Fault{"field behind", SegmentFault::checksum_range, udp4, [](V& v, P&) { v.checksum_offset = 65535; }},
      Fault{"TCP header of 16", SegmentFault::bad_transport, tcp4, [](V&, P& p) { p[32] = 0x40; }},
      Fault{"UDP length", SegmentFault::bad_transport, udp4, [](V&, P& p) { p[25] ^= 1; }},
      Fault{"segment above MTU", SegmentFault::exceeds_mtu, tcp4, [](V& v, P&) { v.segment_bytes = 1461 - 12; }},
      Fault{"single above MTU", SegmentFault::exceeds_mtu, tcp4, [](V& v, P&) { v = {}; }},
      Fault{"TCP header behind the end", SegmentFault::bad_transport, tcp4,
            [](V&, P& p) {
              p.resize(60);
              put16(p, 2, 60);
              p[32] = 0xf0;
            }},
      Fault{"no room for TCP", SegmentFault::bad_transport, tcp4,
            [](V&, P& p) {
              p.resize(39);
              put16(p, 2, 39);
            }},
      Fault{"no room for UDP", SegmentFault::bad_transport, udp4,
            [](V&, P& p) {
              p.resize(27);
              put16(p, 2, 27);
            }},
      Fault{"single, start in IP", SegmentFault::checksum_range, tcp4,
            [](V& v, P& p) {
              p.resize(100);
              put16(p, 2, 100);
              v.gso = 0;
              v.checksum_start = 19;
            }},
      Fault{"single, last byte of the field outside", SegmentFault::checksum_range, tcp4,
            [](V& v, P& p) {
              p.resize(100);
              put16(p, 2, 100);
              v.gso = 0;
              v.checksum_offset = 79;
            }},
  };
  for (const Fault& row : faults) {
    std::mt19937 random(8);
    const PacketSpec spec = large(random, row.kind, 3000);
    VirtioHeader header = super_header(spec, 1000);
    Packet packet = build(spec, false);
    ASSERT_TRUE(Segmenter::start(header, packet, 1500));
    row.spoil(header, packet);
    const auto started = Segmenter::start(header, packet, 1500);
    ASSERT_FALSE(started) << row.what;
    EXPECT_EQ(text(started.error()), text(row.fault)) << row.what;
  }
}

TEST(Segment, ExactlyTheMtuPasses) {
  std::mt19937 random(9);
  const PacketSpec spec = large(random, {false, false}, 3000);
  EXPECT_TRUE(Segmenter::start(super_header(spec, 1448), build(spec, false), 1500));
  EXPECT_FALSE(Segmenter::start(super_header(spec, 1449), build(spec, false), 1500));
}

TEST(Segment, AHundredThousandMutatedInputsStayInTheirBuffers) {
  std::mt19937 random(10);
  std::vector<std::pair<VirtioHeader, Packet>> seeds;
  for (const Case kind : all_cases) {
    const PacketSpec spec = large(random, kind, 200);
    seeds.emplace_back(super_header(spec, 60), build(spec, false));
  }
  constexpr size_t mtu = 160;
  const auto out = std::make_unique<uint8_t[]>(mtu);  // exact, so that a sanitizer sees one byte too many
  size_t accepted = 0;
  for (unsigned round = 0; round < 100'000; ++round) {
    auto [header, packet] = seeds[random() % seeds.size()];
    std::array<uint8_t, VirtioHeader::wire_bytes> raw;
    header.store(raw.data());
    for (size_t i = random() % 4; i > 0; --i)
      raw[random() % raw.size()] ^= static_cast<uint8_t>(1U << random() % 8);
    for (size_t i = random() % 4; i > 0; --i)
      packet[random() % 64] = static_cast<uint8_t>(random());
    const size_t length = random() % 4 == 0 ? random() % (packet.size() + 1) : packet.size();
    const auto exact = std::make_unique<uint8_t[]>(length);
    std::copy_n(packet.begin(), length, exact.get());
    auto segmenter = Segmenter::start(VirtioHeader::load(raw.data()), {exact.get(), length}, mtu);
    if (!segmenter) continue;
    ++accepted;
    const size_t expected = segmenter->remaining();
    size_t made = 0;
    while (const size_t bytes = segmenter->next({out.get(), mtu})) {
      ASSERT_LE(bytes, mtu);
      ASSERT_TRUE(inspect_ip({out.get(), bytes}));
      ++made;
    }
    ASSERT_EQ(made, expected);
  }
  EXPECT_GT(accepted, 1000U);
}

}  // namespace
}  // namespace centipede::test
