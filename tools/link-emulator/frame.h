// What the link needs to know of an Ethernet frame: how long its header is, whether it carries UDP, and how to damage
// it. Stateless; any bytes are accepted, malformed ones are simply "not UDP".
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/bytes.h"

namespace centipede::emulator {

inline constexpr size_t ethernet_header_bytes = 14;
inline constexpr size_t vlan_tag_bytes = 4;

// The Ethernet header with up to two VLAN tags (802.1Q, 802.1ad).
[[nodiscard]] size_t link_header_bytes(ConstBytes frame);

// Offset of the UDP header of an unfragmented IPv4 packet, or of an IPv6 packet without extension headers.
[[nodiscard]] std::optional<size_t> udp_header_offset(ConstBytes frame);

// Flips bit `bit` (0 to 7) of the byte at `position`. With `repair_checksum`, a UDP checksum that covered the byte is
// brought up to date (RFC 1624), so that only an end-to-end check can find the damage.
void flip_bit(Bytes frame, size_t position, unsigned bit, bool repair_checksum);

}  // namespace centipede::emulator
