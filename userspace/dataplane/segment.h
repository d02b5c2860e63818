// Cuts what a TUN queue gave (virtio header and one IP packet of up to 65,535 bytes) into complete IP packets no larger
// than the MTU: TCP segmentation (TSO), UDP segmentation (USO), and the checksum left undone of any other packet.
// Every output packet has all its checksums. Pure: the packet's memory stays the caller's, must outlive the Segmenter
// and is not changed. Input that contradicts itself yields a SegmentFault for the caller to count; nothing throws.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string_view>

#include "base/bytes.h"
#include "dataplane/checksum.h"
#include "dataplane/offload.h"

namespace centipede {

enum class SegmentFault : uint8_t {
  not_ip,             // not IPv4 or IPv6, or the lengths in the IP header are not those of the packet
  exceeds_mtu,        // a packet or one of its segments would be larger than the MTU (answer: packet too big)
  unknown_gso,        // a kind of segmentation that was never offered to the kernel
  zero_segment,       // segmentation wanted, segments of 0 bytes
  no_checksum,        // segmentation wanted without the checksum being ours to fill in
  checksum_range,     // the checksum field lies outside the packet or inside the IP header
  protocol_mismatch,  // segmentation of one protocol, packet of another, or a fragment
  bad_transport,      // TCP or UDP header that runs out of the packet or contradicts it
};
inline constexpr size_t segment_fault_count = 8;
[[nodiscard]] std::string_view text(SegmentFault fault);

class Segmenter {
 public:
  [[nodiscard]] static std::expected<Segmenter, SegmentFault> start(const VirtioHeader& header, ConstBytes packet,
                                                                    size_t mtu);

  // Writes the next packet to the start of `out`, which must have room for the MTU, and returns its length; 0: done.
  [[nodiscard]] size_t next(Bytes out);

  // How many packets are still to come.
  [[nodiscard]] size_t remaining() const { return remaining_; }

 private:
  Segmenter(ConstBytes packet, const VirtioHeader& header) : packet_(packet), virtio_(header) {}
  [[nodiscard]] std::expected<void, SegmentFault> plan_whole(const IpLayout& layout, size_t mtu);
  [[nodiscard]] std::expected<void, SegmentFault> plan_segments(const IpLayout& layout, size_t mtu);
  size_t next_whole(uint8_t* out) const;
  size_t next_segment(uint8_t* out);
  void finish_ip_header(uint8_t* out, size_t total_bytes) const;
  // Writes what differs from segment to segment; the sum of that.
  ChecksumSum finish_tcp_header(uint8_t* tcp) const;

  ConstBytes packet_;
  VirtioHeader virtio_;
  IpLayout layout_;
  // What the checksums are over that is the same in every segment: the IPv4 header; transport and pseudo-header.
  ChecksumSum ip_seed_ = 0;
  ChecksumSum transport_seed_ = 0;
  size_t header_bytes_ = 0;  // IP and transport header, repeated in every segment
  size_t position_ = 0;      // of the next payload byte, from the start of the payload
  size_t index_ = 0;
  size_t remaining_ = 0;
};

}  // namespace centipede
