#include "dataplane/coalesce.h"

#include <map>
#include <memory>
#include <string>

#include "offload_packets.h"
#include "rounds.h"

namespace centipede::test {
namespace {

constexpr CoalesceOptions everything{.tcp = true, .udp = true};

std::vector<Written> coalesce(std::vector<Packet> packets, CoalesceOptions options = everything) {
  Coalescer coalescer(packets.size(), options);
  for (Packet& packet : packets)
    EXPECT_TRUE(coalescer.add(packet));
  std::vector<Written> out;
  size_t joined = 0;
  for (const CoalescedPacket& one : coalescer.finish()) {
    out.push_back(flatten(one));
    joined += one.packets;
  }
  EXPECT_EQ(joined, packets.size());
  return out;
}

std::vector<Packet> recut(const std::vector<Written>& written) {
  std::vector<Packet> out;
  for (const Written& one : written) {
    if (one.header == VirtioHeader{}) {
      out.push_back(one.packet);
      continue;
    }
    const auto segments = segments_of(one.header, one.packet, 65535);
    EXPECT_GT(segments.size(), 1U);
    out.insert(out.end(), segments.begin(), segments.end());
  }
  return out;
}

PacketSpec stream(bool v6, bool udp, size_t payload) {
  std::mt19937 random(7);
  PacketSpec spec;
  spec.v6 = v6;
  spec.udp = udp;
  spec.payload = bytes_from(random, payload);
  if (!udp) spec.options = {1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8};
  return spec;
}

TEST(Coalesce, ConsecutiveSegmentsBecomeTheSuperPacketTheyCameFrom) {
  for (const bool v6 : {false, true}) {
    for (const bool udp : {false, true}) {
      for (const size_t payload : {200U, 201U, 1000U, 6000U}) {
        const PacketSpec spec = stream(v6, udp, payload);
        const auto written = coalesce(build_all(cut(spec, 100)));
        ASSERT_EQ(written.size(), 1U) << v6 << udp << payload;
        EXPECT_EQ(written[0].packet, build(spec, false));
        EXPECT_EQ(written[0].header, super_header(spec, 100));
      }
    }
  }
}

TEST(Coalesce, PushAndFinEndASuperPacketAndStayOnItsLastSegment) {
  PacketSpec spec = stream(false, false, 300);
  for (const uint8_t flag : {psh, fin}) {
    spec.flags = ack | flag;
    auto specs = cut(spec, 100);
    PacketSpec after = specs.back();
    after.sequence += 100;
    after.id++;
    after.flags = ack;
    specs.push_back(after);
    const auto written = coalesce(build_all(specs));
    ASSERT_EQ(written.size(), 2U);
    EXPECT_EQ(written[0].packet, build(spec, false));
    EXPECT_EQ(written[1].packet, build(after));
  }
}

TEST(Coalesce, SequenceNumberWrapsAround) {
  PacketSpec spec = stream(true, false, 1000);
  spec.sequence = 0xffffff00;
  EXPECT_EQ(coalesce(build_all(cut(spec, 100))).size(), 1U);
}

TEST(Coalesce, NothingFollowsAShorterSegment) {
  const PacketSpec spec = stream(false, false, 250);
  auto specs = cut(spec, 100);
  PacketSpec after = specs.back();
  after.sequence += 50;
  after.id++;
  specs.push_back(after);
  const auto written = coalesce(build_all(specs));
  ASSERT_EQ(written.size(), 2U);
  EXPECT_EQ(recut(written), build_all(specs));
}

TEST(Coalesce, LimitsOfLengthAndCount) {
  const PacketSpec tcp = stream(false, false, 200000);
  const auto tcp_packets = build_all(cut(tcp, 1400));
  const auto tcp_written = coalesce(tcp_packets);
  EXPECT_EQ(tcp_written.size(), 4U);
  for (const Written& one : tcp_written)
    EXPECT_LE(one.packet.size(), 65535U);

  const PacketSpec udp = stream(true, true, 100 * 100);
  const auto udp_written = coalesce(build_all(cut(udp, 100)));
  ASSERT_EQ(udp_written.size(), 2U);
  EXPECT_EQ(udp_written[0].packet.size(), 40U + 8U + 64U * 100U);

  const PacketSpec tiny = stream(false, false, 1000);
  EXPECT_EQ(coalesce(build_all(cut(tiny, 1))).size(), 2U);
}

TEST(Coalesce, SuperPacketReachesExactly65535Bytes) {
  // 5 x 13,096.6 does not divide: 65,535 - 52 = 65,483 = 2 x 32,741 + 1.
  const auto written = coalesce(build_all(cut(stream(false, false, 65535 - 52), 32741)));
  ASSERT_EQ(written.size(), 1U);
  EXPECT_EQ(written[0].packet.size(), 65535U);
  EXPECT_EQ(coalesce(build_all(cut(stream(false, false, 65535 - 51), 32741))).size(), 2U);
}

struct Obstacle {
  const char* what;
  void (*change)(PacketSpec&);
};

TEST(Coalesce, WhatSegmentationWouldNotHaveMadeIsNotJoined) {
  using S = PacketSpec;
  const std::array both{
      Obstacle{"source", [](S& s) { s.host = 9; }},
      Obstacle{"source port", [](S& s) { s.source_port++; }},
      Obstacle{"destination port", [](S& s) { s.destination_port++; }},
      Obstacle{"traffic class", [](S& s) { s.traffic_class = 1; }},
      Obstacle{"TTL", [](S& s) { s.ttl--; }},
      Obstacle{"larger payload", [](S& s) { s.payload.push_back(1); }},
      Obstacle{"no payload", [](S& s) { s.payload.clear(); }},
  };
  const std::array tcp{
      Obstacle{"gap", [](S& s) { s.sequence++; }},
      Obstacle{"repeat", [](S& s) { s.sequence -= 100; }},
      Obstacle{"acknowledgement", [](S& s) { s.acknowledgement++; }},
      Obstacle{"window", [](S& s) { s.window++; }},
      Obstacle{"options", [](S& s) { s.options.back()++; }},
      Obstacle{"more options", [](S& s) { s.options.resize(16, 1); }},
      Obstacle{"SYN", [](S& s) { s.flags |= syn; }},
      Obstacle{"RST", [](S& s) { s.flags |= rst; }},
      Obstacle{"URG", [](S& s) { s.flags |= urg; }},
      Obstacle{"ECE", [](S& s) { s.flags |= ece; }},
      Obstacle{"CWR", [](S& s) { s.flags |= cwr; }},
      Obstacle{"no ACK", [](S& s) { s.flags = 0; }},
  };
  const std::array v4{
      Obstacle{"DF", [](S& s) { s.df = true; }},
      Obstacle{"identification", [](S& s) { s.id = 7; }},
  };
  const std::array v6{
      Obstacle{"flow label", [](S& s) { s.flow_label++; }},
      Obstacle{"extension header", [](S& s) { s.extensions = Packet(8); }},
  };
  const auto check = [](bool is_v6, bool udp, const Obstacle& row) {
    auto specs = cut(stream(is_v6, udp, 200), 100);
    ASSERT_EQ(coalesce(build_all(specs)).size(), 1U);
    row.change(specs[1]);
    const auto packets = build_all(specs);
    const auto written = coalesce(packets);
    ASSERT_EQ(written.size(), 2U) << row.what << is_v6 << udp;
    EXPECT_EQ(recut(written), packets) << row.what;
  };
  for (const bool is_v6 : {false, true}) {
    for (const Obstacle& row : tcp)
      check(is_v6, false, row);
    for (const bool udp : {false, true}) {
      for (const Obstacle& row : both)
        check(is_v6, udp, row);
    }
  }
  for (const bool udp : {false, true}) {
    for (const Obstacle& row : v4)
      check(false, udp, row);
    for (const Obstacle& row : v6)
      check(true, udp, row);
  }
}

// Fields that no sender sets, and a packet that is right by its checksums all the same.
TEST(Coalesce, ReservedBitsAndUrgentPointersThatDifferAreNotJoined) {
  struct Field {
    const char* what;
    size_t at;  // from the TCP header
    uint8_t bits;
  };
  for (const bool v6 : {false, true}) {
    const auto good = build_all(cut(stream(v6, false, 200), 100));
    ASSERT_EQ(coalesce(good).size(), 1U);
    for (const Field& field : {Field{"reserved bit", 12, 0x08}, Field{"accurate ECN", 12, 0x01},
                               Field{"urgent pointer", 18, 0x01}, Field{"urgent pointer", 19, 0x80}}) {
      auto packets = good;
      Packet& packet = packets[1];
      const size_t tcp = v6 ? 40 : 20;
      packet[tcp + field.at] ^= field.bits;
      const size_t payload = packet.size() - 2;  // takes back what the bit adds to the sum
      const auto word = static_cast<uint16_t>(field.at % 2 == 0 ? field.bits << 8 : field.bits);
      put16(packet, payload, slow_fold(uint32_t{load_be<uint16_t>(&packet[payload])} + static_cast<uint16_t>(~word)));
      const auto written = coalesce(packets);
      EXPECT_EQ(written.size(), 2U) << field.what;
      EXPECT_EQ(recut(written), packets) << field.what;
    }
  }
}

TEST(Coalesce, OddPayloadsAreJoinedWithTheirChecksumsRight) {
  for (const bool v6 : {false, true}) {
    for (const bool udp : {false, true}) {
      const PacketSpec spec = stream(v6, udp, 5 * 101 + 33);
      const auto packets = build_all(cut(spec, 101));
      const auto written = coalesce(packets);
      ASSERT_EQ(written.size(), 1U);
      EXPECT_EQ(written[0].packet, build(spec, false));
      EXPECT_EQ(recut(written), packets);
    }
  }
}

TEST(Coalesce, IdentificationDoesNotMatterWhereFragmentsAreForbidden) {
  PacketSpec spec = stream(false, false, 300);
  spec.df = true;
  auto specs = cut(spec, 100);
  for (PacketSpec& one : specs)
    one.id = 0;
  EXPECT_EQ(coalesce(build_all(specs)).size(), 1U);
}

TEST(Coalesce, EcnEchoOnEverySegmentIsJoined) {
  PacketSpec spec = stream(false, false, 300);
  spec.flags = ack | ece;
  const auto written = coalesce(build_all(cut(spec, 100)));
  ASSERT_EQ(written.size(), 1U);
  EXPECT_EQ(written[0].packet, build(spec, false));
}

TEST(Coalesce, CorruptChecksumIsNeverLaundered) {
  for (const bool v6 : {false, true}) {
    for (const bool udp : {false, true}) {
      const auto good = build_all(cut(stream(v6, udp, 300), 100));
      for (size_t victim = 0; victim < 3; ++victim) {
        for (const size_t from_end : {1U, 50U, 100U}) {
          auto packets = good;
          packets[victim][packets[victim].size() - from_end] ^= 0x10;
          const auto written = coalesce(packets);
          EXPECT_EQ(written.size(), 2U + (victim == 1));
          EXPECT_EQ(recut(written), packets);
        }
      }
    }
  }
}

TEST(Coalesce, CorruptIpv4HeaderChecksumIsNeverLaundered) {
  auto packets = build_all(cut(stream(false, false, 300), 100));
  packets[1][10] ^= 1;
  const auto written = coalesce(packets);
  EXPECT_EQ(written.size(), 3U);
  EXPECT_EQ(recut(written), packets);
}

TEST(Coalesce, UdpWithoutChecksumPassesSingly) {
  auto packets = build_all(cut(stream(false, true, 300), 100));
  for (Packet& packet : packets)
    put16(packet, 26, 0);
  const auto written = coalesce(packets);
  EXPECT_EQ(written.size(), 3U);
  EXPECT_EQ(recut(written), packets);
}

TEST(Coalesce, ProtocolsSwitchedOffPassSingly) {
  const auto tcp = build_all(cut(stream(false, false, 300), 100));
  const auto udp = build_all(cut(stream(false, true, 300), 100));
  EXPECT_EQ(coalesce(tcp, {.tcp = false, .udp = true}).size(), 3U);
  EXPECT_EQ(coalesce(udp, {.tcp = true, .udp = false}).size(), 3U);
  EXPECT_EQ(coalesce(udp, CoalesceOptions{}).size(), 3U);
}

TEST(Coalesce, FragmentsOptionsAndUnknownPacketsPassSinglyAndEndOpenJoins) {
  const auto packets = build_all(cut(stream(false, false, 400), 100));
  Packet fragment = packets[0];
  fragment[6] = 0x20;
  Packet options = packets[0];
  options[0] = 0x46;
  const Packet garbage{0x12, 0x34};
  for (const Packet& odd : {fragment, options, garbage, Packet{}}) {
    const std::vector<Packet> batch{packets[0], packets[1], odd, packets[2], packets[3]};
    const auto written = coalesce(batch);
    ASSERT_EQ(written.size(), 3U);
    EXPECT_EQ(recut(written), batch);
  }
}

TEST(Coalesce, PacketsTooShortForTheirTransportHeaderPassSinglyAndKeepTheirPlace) {
  for (const bool udp : {false, true}) {
    const auto packets = build_all(cut(stream(false, udp, 400), 100));
    for (size_t transport = 0; transport < (udp ? 8U : 20U); ++transport) {
      Packet cut_off = packets[0];
      cut_off.resize(20 + transport);
      put16(cut_off, 2, cut_off.size());
      const std::vector<Packet> batch{packets[0], packets[1], cut_off, packets[2], packets[3]};
      const auto written = coalesce(batch);
      ASSERT_EQ(written.size(), 3U) << udp << transport;
      EXPECT_EQ(recut(written), batch) << udp << transport;
    }
  }
}

TEST(Coalesce, OtherProtocolsDoNotDisturb) {
  const auto packets = build_all(cut(stream(false, false, 400), 100));
  Packet ping = packets[0];
  ping[9] = 1;
  EXPECT_EQ(coalesce({packets[0], ping, packets[1], ping, packets[2]}).size(), 3U);
}

TEST(Coalesce, PureAcknowledgementKeepsItsPlace) {
  const auto specs = cut(stream(false, false, 400), 100);
  PacketSpec pure = specs[2];
  pure.payload.clear();
  const std::vector<Packet> batch{build(specs[0]), build(specs[1]), build(pure), build(specs[2]), build(specs[3])};
  const auto written = coalesce(batch);
  EXPECT_EQ(written.size(), 3U);
  EXPECT_EQ(recut(written), batch);
}

TEST(Coalesce, InterleavedFlowsAreJoinedEach) {
  std::vector<Packet> batch;
  for (size_t i = 0; i < 10; ++i) {
    for (unsigned flow = 0; flow < Coalescer::max_flows; ++flow) {
      PacketSpec spec = stream(flow % 2 == 0, flow % 4 >= 2, 1000);
      spec.source_port = static_cast<uint16_t>(1000 + flow);
      batch.push_back(build(cut(spec, 100)[i]));
    }
  }
  EXPECT_EQ(coalesce(batch).size(), Coalescer::max_flows);
}

TEST(Coalesce, FullBatchIsSaidAndClearStartsAnew) {
  auto packets = build_all(cut(stream(false, false, 400), 100));
  Coalescer coalescer(3, everything);
  for (int round = 0; round < 2; ++round) {
    auto copies = packets;
    EXPECT_TRUE(coalescer.empty());
    EXPECT_TRUE(coalescer.add(copies[0]));
    EXPECT_TRUE(coalescer.add(copies[1]));
    EXPECT_TRUE(coalescer.add(copies[2]));
    EXPECT_FALSE(coalescer.add(copies[3]));
    EXPECT_EQ(coalescer.finish().size(), 1U);
    coalescer.clear();
  }
}

// The flow a packet belongs to, as far as order matters: everything up to and with the ports.
std::string flow_of(const Packet& packet) {
  const bool v6 = packet[0] >> 4 == 6;
  std::string key(packet.begin() + (v6 ? 8 : 12), packet.begin() + (v6 ? 44 : 24));
  key.push_back(static_cast<char>(packet[v6 ? 6 : 9]));
  return key;
}

TEST(Coalesce, RandomStreamsSurviveCoalescingAndSegmentationInOrder) {
  std::mt19937 random(11);
  size_t packets_in = 0;
  size_t packets_written = 0;
  for (unsigned round = 0; round < 150; ++round) {
    std::vector<PacketSpec> flows(1 + random() % 12);
    for (size_t i = 0; i < flows.size(); ++i) {
      flows[i] = stream(random() % 2 == 0, random() % 3 == 0, 0);
      flows[i].source_port = static_cast<uint16_t>(i);
      flows[i].sequence = static_cast<uint32_t>(random());
      flows[i].id = static_cast<uint16_t>(random());
    }
    std::vector<Packet> batch;
    while (batch.size() < 64) {
      PacketSpec& flow = flows[random() % flows.size()];
      for (size_t train = 1 + random() % 8; train > 0; --train) {
        PacketSpec one = flow;
        one.payload = bytes_from(random, random() % 5 == 0 ? random() % 300 : 300);
        if (random() % 10 == 0) one.flags |= psh;
        if (random() % 20 == 0) one.sequence += 5;
        if (random() % 20 == 0) one.window++;
        flow.sequence += static_cast<uint32_t>(one.payload.size());
        flow.id++;
        batch.push_back(build(one));
        if (random() % 30 == 0) batch.back().back() ^= 1;
      }
    }
    const auto written = coalesce(batch);
    packets_in += batch.size();
    packets_written += written.size();
    std::map<std::string, std::vector<Packet>> before;
    std::map<std::string, std::vector<Packet>> after;
    for (const Packet& packet : batch)
      before[flow_of(packet)].push_back(packet);
    for (const Packet& packet : recut(written))
      after[flow_of(packet)].push_back(packet);
    ASSERT_EQ(before, after);
  }
  EXPECT_LT(packets_written, packets_in * 3 / 4);
}

// Equal but for the identification of packets that may not be fragmented.
std::string without_meaningless_id(Packet packet) {
  if (packet.size() >= 20 && packet[0] >> 4 == 4 && (packet[6] & 0x40) != 0) {
    put16(packet, 4, 0);
    put16(packet, 10, 0);
  }
  return {packet.begin(), packet.end()};
}

TEST(Coalesce, AHundredThousandMutatedPacketsComeOutAsTheyWentIn) {
  std::mt19937 random(12);
  std::vector<Packet> seeds;
  for (const bool v6 : {false, true}) {
    for (const bool udp : {false, true}) {
      const auto packets = build_all(cut(stream(v6, udp, 160), 20));
      seeds.insert(seeds.end(), packets.begin(), packets.end());
    }
  }
  constexpr size_t batch_size = 32;
  Coalescer coalescer(batch_size, everything);
  size_t joined = 0;
  for (unsigned round = 0; round < test::rounds(100'000) / batch_size; ++round) {
    std::vector<std::unique_ptr<uint8_t[]>> memory;  // exact, so that a sanitizer sees one byte too many
    std::vector<std::string> before;
    for (size_t i = 0; i < batch_size; ++i) {
      Packet packet = seeds[(round * 3 + i) % seeds.size()];
      if (random() % 6 == 0) {
        for (size_t m = 1 + random() % 3; m > 0; --m)
          packet[random() % packet.size()] = static_cast<uint8_t>(random());
        if (random() % 4 == 0) packet.resize(random() % packet.size());
      }
      memory.push_back(std::make_unique<uint8_t[]>(packet.size()));
      std::ranges::copy(packet, memory.back().get());
      ASSERT_TRUE(coalescer.add({memory.back().get(), packet.size()}));
      before.push_back(without_meaningless_id(packet));
    }
    std::vector<Written> written;
    for (const CoalescedPacket& one : coalescer.finish())
      written.push_back(flatten(one));
    coalescer.clear();
    joined += batch_size - written.size();
    std::vector<std::string> after;
    for (const Packet& packet : recut(written))
      after.push_back(without_meaningless_id(packet));
    std::ranges::sort(before);
    std::ranges::sort(after);
    ASSERT_EQ(before, after);
  }
  EXPECT_GT(joined, test::rounds(10'000));
}

}  // namespace
}  // namespace centipede::test
