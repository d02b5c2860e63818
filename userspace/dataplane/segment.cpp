#include "dataplane/segment.h"

#include <algorithm>
#include <cassert>

namespace centipede {
namespace {

constexpr size_t v4_length = 2;
constexpr size_t v4_identification = 4;
constexpr size_t v4_checksum = 10;
constexpr size_t v6_payload_length = 4;
constexpr size_t tcp_sequence = 4;
constexpr size_t tcp_data_offset = 12;
constexpr size_t tcp_flags = 13;
constexpr size_t tcp_checksum = 16;
constexpr size_t tcp_fixed_header = 20;
constexpr uint8_t tcp_fin = 0x01;
constexpr uint8_t tcp_push = 0x08;
constexpr uint8_t tcp_congestion_window_reduced = 0x80;
constexpr size_t udp_length = 4;
constexpr size_t udp_checksum = 6;
constexpr size_t udp_header = 8;

// Added to a sum, takes the word at `at` out of it (RFC 1624).
ChecksumSum without(const uint8_t* at) {
  return static_cast<uint16_t>(~load_be<uint16_t>(at));
}

// The length of the transport header, or nothing where it contradicts the packet.
std::expected<size_t, SegmentFault> transport_header(const VirtioHeader& virtio, const IpLayout& layout,
                                                     ConstBytes packet) {
  const bool udp = virtio.gso_type() == GsoType::udp_segments;
  const bool family_fits = udp || (virtio.gso_type() == GsoType::tcp_v6) == layout.v6;
  if (!family_fits || layout.fragment || layout.chain_broken) return std::unexpected(SegmentFault::protocol_mismatch);
  if (layout.protocol != (udp ? protocol_udp : protocol_tcp)) return std::unexpected(SegmentFault::protocol_mismatch);
  if (virtio.checksum_start != layout.transport_offset) return std::unexpected(SegmentFault::checksum_range);
  if (virtio.checksum_offset != (udp ? udp_checksum : tcp_checksum)) {
    return std::unexpected(SegmentFault::checksum_range);
  }
  const ConstBytes transport = packet.subspan(layout.transport_offset);
  if (udp) {
    const bool fits = transport.size() >= udp_header && load_be<uint16_t>(&transport[udp_length]) == transport.size();
    return fits ? std::expected<size_t, SegmentFault>(udp_header) : std::unexpected(SegmentFault::bad_transport);
  }
  if (transport.size() < tcp_fixed_header) return std::unexpected(SegmentFault::bad_transport);
  const size_t bytes = (transport[tcp_data_offset] >> 4) * 4U;
  if (bytes < tcp_fixed_header || bytes > transport.size()) return std::unexpected(SegmentFault::bad_transport);
  return bytes;
}

}  // namespace

std::string_view text(SegmentFault fault) {
  switch (fault) {
    case SegmentFault::not_ip:
      return "not an IP packet, or its lengths disagree";
    case SegmentFault::exceeds_mtu:
      return "larger than the MTU";
    case SegmentFault::unknown_gso:
      return "a kind of segmentation that was not offered";
    case SegmentFault::zero_segment:
      return "segments of zero bytes";
    case SegmentFault::no_checksum:
      return "segmentation without checksum offload";
    case SegmentFault::checksum_range:
      return "checksum outside the transport header";
    case SegmentFault::protocol_mismatch:
      return "segmentation of another protocol than the packet's";
    case SegmentFault::bad_transport:
      return "TCP or UDP header contradicts the packet";
  }
  return "unknown";
}

std::expected<Segmenter, SegmentFault> Segmenter::start(const VirtioHeader& header, ConstBytes packet, size_t mtu) {
  const auto layout = inspect_ip(packet);
  if (!layout) return std::unexpected(SegmentFault::not_ip);
  Segmenter segmenter(packet, header);
  const bool whole = header.gso_type() == GsoType::none;
  const auto planned = whole ? segmenter.plan_whole(*layout, mtu) : segmenter.plan_segments(*layout, mtu);
  if (!planned) return std::unexpected(planned.error());
  return segmenter;
}

std::expected<void, SegmentFault> Segmenter::plan_whole(const IpLayout& layout, size_t mtu) {
  if (packet_.size() > mtu) return std::unexpected(SegmentFault::exceeds_mtu);
  if ((virtio_.flags & VirtioHeader::needs_checksum) != 0) {
    const size_t field = size_t{virtio_.checksum_start} + virtio_.checksum_offset;
    if (virtio_.checksum_start < layout.header_bytes || field + 2 > packet_.size()) {
      return std::unexpected(SegmentFault::checksum_range);
    }
  }
  remaining_ = 1;
  return {};
}

std::expected<void, SegmentFault> Segmenter::plan_segments(const IpLayout& layout, size_t mtu) {
  const GsoType type = virtio_.gso_type();
  const bool known = type == GsoType::tcp_v4 || type == GsoType::tcp_v6 || type == GsoType::udp_segments;
  if (!known) return std::unexpected(SegmentFault::unknown_gso);
  if (virtio_.segment_bytes == 0) return std::unexpected(SegmentFault::zero_segment);
  if ((virtio_.flags & VirtioHeader::needs_checksum) == 0) return std::unexpected(SegmentFault::no_checksum);
  const auto transport_bytes = transport_header(virtio_, layout, packet_);
  if (!transport_bytes) return std::unexpected(transport_bytes.error());

  layout_ = layout;
  header_bytes_ = layout.transport_offset + *transport_bytes;
  const size_t payload = packet_.size() - header_bytes_;
  if (header_bytes_ + std::min<size_t>(payload, virtio_.segment_bytes) > mtu) {
    return std::unexpected(SegmentFault::exceeds_mtu);
  }
  const uint8_t* ip = packet_.data();
  if (!layout.v6) {
    ip_seed_ = checksum_sum(packet_.first(layout.header_bytes)) + without(ip + v4_length) +
               without(ip + v4_identification) + without(ip + v4_checksum);
  }
  // The checksum field holds the sum of the pseudo-header, and so the length of the whole. Taking it from there rather
  // than from the addresses is right behind a routing header too, where the sum is over the final destination.
  const uint8_t* transport = ip + layout.transport_offset;
  const auto old_length = static_cast<uint16_t>(packet_.size() - layout.transport_offset);
  transport_seed_ = checksum_sum({transport, *transport_bytes}) + static_cast<uint16_t>(~old_length);
  transport_seed_ += layout.protocol == protocol_udp
                         ? without(transport + udp_length)
                         : without(transport + tcp_sequence) + without(transport + tcp_sequence + 2) +
                               without(transport + tcp_data_offset);
  remaining_ = std::max<size_t>(1, (payload + virtio_.segment_bytes - 1) / virtio_.segment_bytes);
  return {};
}

size_t Segmenter::next(Bytes out) {
  if (remaining_ == 0) return 0;
  const size_t largest =
      header_bytes_ == 0 ? packet_.size() : std::min(packet_.size(), header_bytes_ + virtio_.segment_bytes);
  assert(out.size() >= largest);
  if (out.size() < largest) return 0;
  --remaining_;
  return header_bytes_ == 0 ? next_whole(out.data()) : next_segment(out.data());
}

size_t Segmenter::next_whole(uint8_t* out) const {
  const size_t start = virtio_.checksum_start;
  if ((virtio_.flags & VirtioHeader::needs_checksum) == 0) {
    std::memcpy(out, packet_.data(), packet_.size());
    return packet_.size();
  }
  std::memcpy(out, packet_.data(), start);
  // The field's own content, the sum of the pseudo-header, is part of what is summed.
  const ChecksumSum sum = checksum_copy(out + start, packet_.subspan(start));
  store_be<uint16_t>(out + start + virtio_.checksum_offset, checksum_transport_field(sum));
  return packet_.size();
}

size_t Segmenter::next_segment(uint8_t* out) {
  const size_t rest = packet_.size() - header_bytes_ - position_;
  const size_t payload = std::min<size_t>(rest, virtio_.segment_bytes);
  const size_t total = header_bytes_ + payload;
  const size_t transport_length = total - layout_.transport_offset;
  uint8_t* transport = out + layout_.transport_offset;

  std::memcpy(out, packet_.data(), header_bytes_);
  ChecksumSum sum = transport_seed_ + transport_length +
                    checksum_copy(out + header_bytes_, packet_.subspan(header_bytes_ + position_, payload));
  finish_ip_header(out, total);
  if (layout_.protocol == protocol_tcp) {
    sum += finish_tcp_header(transport);
  } else {
    store_be<uint16_t>(transport + udp_length, static_cast<uint16_t>(transport_length));
    sum += transport_length;
  }
  store_be<uint16_t>(transport + virtio_.checksum_offset, checksum_transport_field(sum));

  position_ += payload;
  ++index_;
  return total;
}

void Segmenter::finish_ip_header(uint8_t* out, size_t total_bytes) const {
  if (layout_.v6) {
    store_be<uint16_t>(out + v6_payload_length, static_cast<uint16_t>(total_bytes - layout_.header_bytes));
    return;
  }
  const auto first = load_be<uint16_t>(packet_.data() + v4_identification);
  const auto identification = static_cast<uint16_t>(first + index_);
  store_be<uint16_t>(out + v4_length, static_cast<uint16_t>(total_bytes));
  store_be<uint16_t>(out + v4_identification, identification);
  store_be<uint16_t>(out + v4_checksum, checksum_field(ip_seed_ + total_bytes + identification));
}

ChecksumSum Segmenter::finish_tcp_header(uint8_t* tcp) const {
  const uint8_t* from = packet_.data() + layout_.transport_offset;
  const uint32_t sequence = load_be<uint32_t>(from + tcp_sequence) + static_cast<uint32_t>(position_);
  uint8_t flags = from[tcp_flags];
  if (remaining_ > 0) flags &= static_cast<uint8_t>(~(tcp_fin | tcp_push));
  if (index_ > 0) flags &= static_cast<uint8_t>(~tcp_congestion_window_reduced);
  store_be<uint32_t>(tcp + tcp_sequence, sequence);
  tcp[tcp_flags] = flags;
  return ChecksumSum{sequence >> 16} + (sequence & 0xffff) + (ChecksumSum{from[tcp_data_offset]} << 8 | flags);
}

}  // namespace centipede
