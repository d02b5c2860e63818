#include "dataplane/offload.h"

namespace centipede {
namespace {

constexpr size_t v4_fixed_header = 20;
constexpr size_t v6_fixed_header = 40;

uint16_t load_le16(const uint8_t* from) {
  return static_cast<uint16_t>(from[0] | from[1] << 8);
}

void store_le16(uint8_t* to, uint16_t value) {
  to[0] = static_cast<uint8_t>(value);
  to[1] = static_cast<uint8_t>(value >> 8);
}

bool is_walked_extension(uint8_t protocol) {
  return protocol == 0 || protocol == 43 || protocol == 60;  // hop-by-hop, routing, destination options
}

void walk_extensions(ConstBytes packet, IpLayout& layout) {
  size_t offset = v6_fixed_header;
  while (is_walked_extension(layout.protocol) || layout.protocol == 44) {
    if (offset + 8 > packet.size()) {
      layout.chain_broken = true;
      break;
    }
    if (layout.protocol == 44) layout.fragment = true;
    const size_t bytes = layout.fragment ? 8 : (packet[offset + 1] + 1U) * 8;
    layout.protocol = packet[offset];
    offset += bytes;
    if (layout.fragment) break;
  }
  if (offset > packet.size()) layout.chain_broken = true;
  layout.transport_offset = layout.chain_broken ? packet.size() : offset;
  layout.plain = layout.transport_offset == v6_fixed_header && !layout.chain_broken;
}

std::optional<IpLayout> inspect_v4(ConstBytes packet) {
  if (packet.size() < v4_fixed_header) return std::nullopt;
  const size_t header_bytes = (packet[0] & 0x0fU) * 4;
  if (header_bytes < v4_fixed_header || header_bytes > packet.size()) return std::nullopt;
  if (load_be<uint16_t>(&packet[2]) != packet.size()) return std::nullopt;
  IpLayout layout;
  layout.protocol = packet[9];
  layout.fragment = (load_be<uint16_t>(&packet[6]) & 0x3fff) != 0;
  layout.plain = header_bytes == v4_fixed_header;
  layout.header_bytes = layout.transport_offset = header_bytes;
  return layout;
}

std::optional<IpLayout> inspect_v6(ConstBytes packet) {
  if (packet.size() < v6_fixed_header) return std::nullopt;
  if (load_be<uint16_t>(&packet[4]) + v6_fixed_header != packet.size()) return std::nullopt;
  IpLayout layout;
  layout.v6 = true;
  layout.protocol = packet[6];
  layout.header_bytes = v6_fixed_header;
  walk_extensions(packet, layout);
  return layout;
}

}  // namespace

VirtioHeader VirtioHeader::load(const uint8_t* from) {
  VirtioHeader header;
  header.flags = from[0];
  header.gso = from[1];
  header.header_bytes = load_le16(from + 2);
  header.segment_bytes = load_le16(from + 4);
  header.checksum_start = load_le16(from + 6);
  header.checksum_offset = load_le16(from + 8);
  return header;
}

void VirtioHeader::store(uint8_t* to) const {
  to[0] = flags;
  to[1] = gso;
  store_le16(to + 2, header_bytes);
  store_le16(to + 4, segment_bytes);
  store_le16(to + 6, checksum_start);
  store_le16(to + 8, checksum_offset);
}

std::optional<IpLayout> inspect_ip(ConstBytes packet) {
  if (packet.empty() || packet.size() > max_ip_packet_bytes) return std::nullopt;
  switch (packet[0] >> 4) {
    case 4:
      return inspect_v4(packet);
    case 6:
      return inspect_v6(packet);
    default:
      return std::nullopt;
  }
}

}  // namespace centipede
