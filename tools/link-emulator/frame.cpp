#include "link-emulator/frame.h"

#include <algorithm>

namespace centipede::emulator {
namespace {

constexpr uint16_t ethertype_ipv4 = 0x0800;
constexpr uint16_t ethertype_ipv6 = 0x86dd;
constexpr uint16_t ethertype_vlan = 0x8100;
constexpr uint16_t ethertype_service_vlan = 0x88a8;
constexpr size_t ethertype_offset = 12;
constexpr uint8_t protocol_udp = 17;
constexpr size_t ipv6_header_bytes = 40;
constexpr size_t udp_header_bytes = 8;
constexpr size_t udp_length_offset = 4;
constexpr size_t udp_checksum_offset = 6;
constexpr size_t most_vlan_tags = 2;

struct UdpPlace {
  size_t ip;
  size_t udp;
  bool v4;
};

std::optional<UdpPlace> find_udp(ConstBytes frame) {
  const size_t ip = link_header_bytes(frame);
  if (frame.size() < ip + 1) return std::nullopt;
  const auto type = load_be<uint16_t>(frame.data() + ip - 2);
  size_t udp = 0;
  if (type == ethertype_ipv4) {
    const size_t length = (frame[ip] & 0x0fU) * 4U;
    if (length < 20 || frame.size() < ip + length || frame[ip + 9] != protocol_udp) return std::nullopt;
    const bool fragment = (load_be<uint16_t>(frame.data() + ip + 6) & 0x3fffU) != 0;
    if (fragment) return std::nullopt;
    udp = ip + length;
  } else if (type == ethertype_ipv6) {
    if (frame.size() < ip + ipv6_header_bytes || frame[ip + 6] != protocol_udp) return std::nullopt;
    udp = ip + ipv6_header_bytes;
  } else {
    return std::nullopt;
  }
  if (frame.size() < udp + udp_header_bytes) return std::nullopt;
  return UdpPlace{ip, udp, type == ethertype_ipv4};
}

// RFC 1624, equation 3: HC' = ~(~HC + ~m + m').
uint16_t updated_checksum(uint16_t checksum, uint16_t before, uint16_t after) {
  uint32_t sum = static_cast<uint16_t>(~checksum);
  sum += static_cast<uint16_t>(~before);
  sum += after;
  sum = (sum & 0xffffU) + (sum >> 16);
  sum = (sum & 0xffffU) + (sum >> 16);
  const auto updated = static_cast<uint16_t>(~sum);
  return updated == 0 ? uint16_t{0xffff} : updated;  // 0 on the wire would mean "no checksum"
}

// Whether the UDP checksum sums this byte: the addresses of the pseudo-header and the datagram, but not itself. A
// damaged length is left to fail: it decides what is summed.
bool summed(const UdpPlace& place, ConstBytes frame, size_t position) {
  if (position >= place.udp + udp_length_offset && position < place.udp + udp_header_bytes) return false;
  if (position >= place.udp)
    return position < place.udp + load_be<uint16_t>(frame.data() + place.udp + udp_length_offset);
  const size_t addresses = place.ip + (place.v4 ? 12U : 8U);
  const size_t addresses_end = addresses + (place.v4 ? 8U : 32U);
  return position >= addresses && position < addresses_end;
}

}  // namespace

size_t link_header_bytes(ConstBytes frame) {
  size_t header = ethernet_header_bytes;
  for (size_t tags = 0; tags < most_vlan_tags && frame.size() >= header + vlan_tag_bytes; ++tags) {
    const auto type = load_be<uint16_t>(frame.data() + ethertype_offset + tags * vlan_tag_bytes);
    if (type != ethertype_vlan && type != ethertype_service_vlan) break;
    header += vlan_tag_bytes;
  }
  return header;
}

std::optional<size_t> udp_header_offset(ConstBytes frame) {
  const auto place = find_udp(frame);
  return place ? std::optional(place->udp) : std::nullopt;
}

void flip_bit(Bytes frame, size_t position, unsigned bit, bool repair_checksum) {
  const uint8_t before = frame[position];
  const auto after = static_cast<uint8_t>(before ^ (1U << bit));
  const auto place = repair_checksum ? find_udp(frame) : std::nullopt;
  if (place && summed(*place, frame, position)) {
    uint8_t* const checksum = frame.data() + place->udp + udp_checksum_offset;
    const auto old_checksum = load_be<uint16_t>(checksum);
    // All summed areas start at an even distance from the UDP header.
    const bool low_half = ((position - place->ip) & 1U) != 0;
    const auto word = [low_half](uint8_t byte) { return static_cast<uint16_t>(low_half ? byte : byte << 8); };
    if (old_checksum != 0) store_be(checksum, updated_checksum(old_checksum, word(before), word(after)));
  }
  frame[position] = after;
}

}  // namespace centipede::emulator
