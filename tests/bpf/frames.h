// Builds Ethernet frames from a description, wrong ones included.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace centipede::test {

using Frame = std::vector<uint8_t>;

inline constexpr uint16_t tunnel_port = 5820;

struct FrameSpec {
  std::vector<uint16_t> tags;  // EtherTypes of VLAN tags, outermost first
  std::array<uint8_t, 6> destination_mac{2, 2, 2, 2, 2, 2};
  std::array<uint8_t, 6> source_mac{2, 2, 2, 2, 2, 2};
  int family = 4;                    // 4, 6, or 0: ARP
  uint8_t version_nibble = 0;        // 0: as the family says
  unsigned ipv4_header = 20;         // bytes, a multiple of 4; what is written into the IHL field
  uint16_t fragment_field = 0x4000;  // IPv4 flags and offset
  // IPv6 extension headers: type and size in units of 8 bytes beyond the first 8.
  std::vector<std::pair<uint8_t, uint8_t>> extensions;
  // 4 or 16 bytes, as the family wants; empty: 192.0.2.1 and 192.0.2.2, or 2020:2020::... both.
  std::vector<uint8_t> source;
  std::vector<uint8_t> destination;
  uint8_t protocol = 17;
  uint16_t source_port = 40000;
  uint16_t port = tunnel_port;
  std::vector<uint8_t> payload;
  std::optional<uint16_t> udp_length;  // instead of the true one
  std::optional<uint16_t> ip_length;   // IPv4 total length or IPv6 payload length
  unsigned padding = 0;                // after the IP packet
};

Frame build(const FrameSpec& spec);

// A data packet: number, session id, then `size` - 16 bytes of filler.
std::vector<uint8_t> data_packet(uint8_t lane, uint64_t counter, uint64_t session_id, size_t size = 64);

}  // namespace centipede::test
