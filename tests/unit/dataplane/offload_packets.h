// Packets for the tests of checksums, segmentation and coalescing, built the slow and obvious way: nothing here uses
// the code under test but the virtio header.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <random>
#include <vector>

#include "dataplane/coalesce.h"
#include "dataplane/offload.h"
#include "dataplane/segment.h"

namespace centipede::test {

using Packet = std::vector<uint8_t>;

constexpr uint8_t fin = 0x01, syn = 0x02, rst = 0x04, psh = 0x08, ack = 0x10, urg = 0x20, ece = 0x40, cwr = 0x80;

inline void put16(Packet& out, size_t at, size_t value) {
  out[at] = static_cast<uint8_t>(value >> 8);
  out[at + 1] = static_cast<uint8_t>(value);
}

inline void put32(Packet& out, size_t at, uint32_t value) {
  put16(out, at, value >> 16);
  put16(out, at + 2, value & 0xffff);
}

inline uint32_t slow_sum(const uint8_t* bytes, size_t count) {
  uint32_t sum = 0;
  for (size_t i = 0; i < count; ++i) {
    sum += i % 2 == 0 ? static_cast<uint32_t>(bytes[i]) << 8 : bytes[i];
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return sum;
}

inline uint16_t slow_fold(uint32_t sum) {
  while (sum >> 16 != 0)
    sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}

struct PacketSpec {
  bool v6 = false;
  bool udp = false;
  uint8_t host = 1;  // last byte of the source address
  uint16_t source_port = 40000;
  uint16_t destination_port = 80;
  uint8_t traffic_class = 0;
  uint8_t ttl = 64;
  bool df = false;
  uint16_t id = 100;
  uint32_t flow_label = 0x12345;
  uint32_t sequence = 1000;
  uint32_t acknowledgement = 5000;
  uint16_t window = 500;
  uint8_t flags = ack;
  Packet options;     // of TCP, a multiple of 4 bytes
  Packet extensions;  // of IPv6, starting with its own type
  Packet payload;
};

inline Packet bytes_from(std::mt19937& random, size_t count) {
  Packet out(count);
  std::ranges::generate(out, [&] { return static_cast<uint8_t>(random()); });
  return out;
}

inline size_t transport_offset(const PacketSpec& spec) {
  return spec.v6 ? 40 + spec.extensions.size() : 20;
}

inline size_t header_bytes(const PacketSpec& spec) {
  return transport_offset(spec) + (spec.udp ? 8 : 20 + spec.options.size());
}

inline uint32_t pseudo_sum(const PacketSpec& spec, const Packet& packet) {
  const uint32_t length = static_cast<uint32_t>(packet.size() - transport_offset(spec));
  const uint32_t addresses = spec.v6 ? slow_sum(&packet[8], 32) : slow_sum(&packet[12], 8);
  return addresses + length + (spec.udp ? 17 : 6);
}

// With all checksums where `complete`, else with the sum of the pseudo-header, as TUN gives and takes super-packets.
inline Packet build(const PacketSpec& spec, bool complete = true) {
  Packet out(header_bytes(spec));
  out.insert(out.end(), spec.payload.begin(), spec.payload.end());
  const uint8_t protocol = spec.udp ? 17 : 6;
  const size_t at = transport_offset(spec);
  if (spec.v6) {
    put32(out, 0, 0x60000000U | static_cast<uint32_t>(spec.traffic_class) << 20 | spec.flow_label);
    put16(out, 4, out.size() - 40);
    out[6] = protocol;
    out[7] = spec.ttl;
    out[8] = out[24] = 0xfd;
    out[23] = spec.host;
    out[39] = 2;
    if (!spec.extensions.empty()) {
      out[6] = 60;  // destination options
      std::ranges::copy(spec.extensions, out.begin() + 40);
      out[40] = protocol;
    }
  } else {
    out[0] = 0x45;
    out[1] = spec.traffic_class;
    put16(out, 2, out.size());
    put16(out, 4, spec.id);
    out[6] = spec.df ? 0x40 : 0;
    out[8] = spec.ttl;
    out[9] = protocol;
    put32(out, 12, 0x0a090000U | spec.host);
    put32(out, 16, 0x0a090002U);
    put16(out, 10, static_cast<uint16_t>(~slow_fold(slow_sum(out.data(), 20))));
  }
  put16(out, at, spec.source_port);
  put16(out, at + 2, spec.destination_port);
  size_t field = at + 16;
  if (spec.udp) {
    put16(out, at + 4, out.size() - at);
    field = at + 6;
  } else {
    put32(out, at + 4, spec.sequence);
    put32(out, at + 8, spec.acknowledgement);
    out[at + 12] = static_cast<uint8_t>((20 + spec.options.size()) / 4 << 4);
    out[at + 13] = spec.flags;
    put16(out, at + 14, spec.window);
    std::ranges::copy(spec.options, out.begin() + static_cast<std::ptrdiff_t>(at) + 20);
  }
  const uint16_t pseudo = slow_fold(pseudo_sum(spec, out));
  if (!complete) {
    put16(out, field, pseudo);
    return out;
  }
  const auto sum = static_cast<uint16_t>(~slow_fold(pseudo + slow_sum(&out[at], out.size() - at)));
  put16(out, field, sum == 0 ? 0xffff : sum);
  return out;
}

inline VirtioHeader super_header(const PacketSpec& spec, size_t segment) {
  VirtioHeader header;
  header.flags = VirtioHeader::needs_checksum;
  header.gso = static_cast<uint8_t>(spec.udp ? GsoType::udp_segments : spec.v6 ? GsoType::tcp_v6 : GsoType::tcp_v4);
  header.header_bytes = static_cast<uint16_t>(header_bytes(spec));
  header.segment_bytes = static_cast<uint16_t>(segment);
  header.checksum_start = static_cast<uint16_t>(transport_offset(spec));
  header.checksum_offset = spec.udp ? 6 : 16;
  return header;
}

// What cutting the packet of `spec` into segments of `segment` payload bytes has to give.
inline std::vector<PacketSpec> cut(const PacketSpec& spec, size_t segment) {
  std::vector<PacketSpec> out;
  for (size_t at = 0; at < spec.payload.size(); at += segment) {
    const size_t end = std::min(at + segment, spec.payload.size());
    PacketSpec one = spec;
    one.payload.assign(spec.payload.begin() + static_cast<std::ptrdiff_t>(at),
                       spec.payload.begin() + static_cast<std::ptrdiff_t>(end));
    one.sequence += static_cast<uint32_t>(at);
    one.id = static_cast<uint16_t>(spec.id + out.size());
    if (end != spec.payload.size()) one.flags &= static_cast<uint8_t>(~(fin | psh));
    if (at != 0) one.flags &= static_cast<uint8_t>(~cwr);
    out.push_back(one);
  }
  return out;
}

inline std::vector<Packet> build_all(const std::vector<PacketSpec>& specs) {
  std::vector<Packet> out;
  for (const PacketSpec& spec : specs)
    out.push_back(build(spec));
  return out;
}

// Every packet that the Segmenter makes; none where it refuses.
inline std::vector<Packet> segments_of(const VirtioHeader& header, ConstBytes packet, size_t mtu) {
  std::vector<Packet> out;
  auto segmenter = Segmenter::start(header, packet, mtu);
  if (!segmenter) return out;
  Packet buffer(mtu);
  for (;;) {
    const size_t remaining = segmenter->remaining();
    const size_t length = segmenter->next(buffer);
    if (length == 0) break;
    EXPECT_LE(length, mtu);
    EXPECT_EQ(segmenter->remaining() + 1, remaining);
    out.emplace_back(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(length));
  }
  return out;
}

struct Written {
  VirtioHeader header;
  Packet packet;
};

// What one writev of the chain would hand to the kernel.
inline Written flatten(const CoalescedPacket& coalesced) {
  Written out;
  for (const iovec& piece : coalesced.chain) {
    const auto* from = static_cast<const uint8_t*>(piece.iov_base);
    out.packet.insert(out.packet.end(), from, from + piece.iov_len);
  }
  out.header = VirtioHeader::load(out.packet.data());
  out.packet.erase(out.packet.begin(), out.packet.begin() + VirtioHeader::wire_bytes);
  EXPECT_EQ(coalesced.bytes, out.packet.size());
  return out;
}

}  // namespace centipede::test
