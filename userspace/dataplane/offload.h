// What the TUN device and we tell each other about a packet that is larger than the MTU or whose checksum is not done:
// the virtio-net header (virtio 1.2 §5.1.6) in front of every packet, and how the headers of an IP packet lie. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/bytes.h"

namespace centipede {

inline constexpr size_t max_ip_packet_bytes = 65535;
inline constexpr uint8_t protocol_tcp = 6;
inline constexpr uint8_t protocol_udp = 17;

enum class GsoType : uint8_t { none = 0, tcp_v4 = 1, udp_fragments = 3, tcp_v6 = 4, udp_segments = 5 };

// Values in host order; load and store write the ten bytes little-endian on every machine (Tun asks the kernel for it).
struct VirtioHeader {
  static constexpr size_t wire_bytes = 10;
  static constexpr uint8_t needs_checksum = 1;
  static constexpr uint8_t gso_ecn_bit = 0x80;

  uint8_t flags = 0;
  uint8_t gso = 0;  // a GsoType, perhaps with gso_ecn_bit
  uint16_t header_bytes = 0;
  uint16_t segment_bytes = 0;
  uint16_t checksum_start = 0;   // from the start of the packet
  uint16_t checksum_offset = 0;  // from checksum_start

  [[nodiscard]] static VirtioHeader load(const uint8_t* from);
  void store(uint8_t* to) const;
  [[nodiscard]] GsoType gso_type() const { return static_cast<GsoType>(gso & ~gso_ecn_bit); }

  bool operator==(const VirtioHeader&) const = default;
};

// The headers of one IP packet. The fixed IP header lies whole inside the packet and the packet is as long as it says;
// nothing is promised about the bytes from transport_offset on.
struct IpLayout {
  bool v6 = false;
  bool plain = false;         // an IPv4 header without options, an IPv6 header without extension headers
  bool fragment = false;      // one piece of a larger packet: its ports may be absent
  bool chain_broken = false;  // the IPv6 extension headers run out of the packet: the protocol is not known
  uint8_t protocol = 0;       // of the transport header
  size_t header_bytes = 0;    // of the IPv4 header with options, or of the fixed IPv6 header
  size_t transport_offset = 0;
};

// Nothing where the packet is not IP, or is shorter or longer than its header says.
[[nodiscard]] std::optional<IpLayout> inspect_ip(ConstBytes packet);

}  // namespace centipede
