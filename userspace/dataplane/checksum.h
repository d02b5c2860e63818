// The Internet checksum (RFC 1071). A sum is a number: the big-endian 16-bit words of the bytes added up, not folded,
// so sums of pieces, lengths and protocol numbers may simply be added. Every piece but the last must have an even
// length. A folded sum is in host order; store it with store_be. Pure; no state.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bytes.h"

namespace centipede {

using ChecksumSum = uint64_t;

[[nodiscard]] ChecksumSum checksum_sum(ConstBytes bytes);

// Copies `from` to `to` and sums it on the way. The two must not overlap.
[[nodiscard]] ChecksumSum checksum_copy(uint8_t* to, ConstBytes from);

// The sum as 16 bits: 0xffff over bytes whose checksum field is right.
[[nodiscard]] inline uint16_t checksum_fold(ChecksumSum sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}

// What belongs in the checksum field of an IPv4 header.
[[nodiscard]] inline uint16_t checksum_field(ChecksumSum sum) {
  return static_cast<uint16_t>(~checksum_fold(sum));
}

// What belongs in the field of a transport header: never 0, which means "no checksum" in UDP and equals 0xffff in TCP.
[[nodiscard]] inline uint16_t checksum_transport_field(ChecksumSum sum) {
  const uint16_t field = checksum_field(sum);
  return field == 0 ? 0xffff : field;
}

// The pseudo-header of TCP and UDP over the IPv4 or IPv6 header at `ip` (RFC 9293 §3.1, RFC 8200 §8.1).
[[nodiscard]] ChecksumSum checksum_pseudo_header(const uint8_t* ip, uint8_t protocol, size_t transport_bytes);

}  // namespace centipede
