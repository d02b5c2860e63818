#include "dataplane/coalesce.h"

#include <algorithm>
#include <cassert>

#include "dataplane/checksum.h"

namespace centipede {
namespace {

constexpr size_t tcp_sequence = 4;
constexpr size_t tcp_acknowledgement = 8;
constexpr size_t tcp_data_offset = 12;
constexpr size_t tcp_flags = 13;
constexpr size_t tcp_window = 14;
constexpr size_t tcp_checksum = 16;
constexpr size_t tcp_fixed_header = 20;
constexpr uint8_t tcp_fin = 0x01;
constexpr uint8_t tcp_push = 0x08;
constexpr uint8_t tcp_ack = 0x10;
constexpr uint8_t tcp_ecn_echo = 0x40;
constexpr uint8_t tcp_ends = tcp_fin | tcp_push;
constexpr size_t udp_length = 4;
constexpr size_t udp_checksum = 6;
constexpr size_t udp_header = 8;

bool equal(const uint8_t* left, const uint8_t* right, size_t bytes) {
  return std::memcmp(left, right, bytes) == 0;
}

// What segmentation copies into every packet: traffic class, DF, TTL; for IPv6 the flow label too.
bool ip_headers_agree(const uint8_t* head, const uint8_t* packet, uint32_t joined, bool v6) {
  if (v6) return equal(head, packet, 4) && head[7] == packet[7];
  if (head[1] != packet[1] || head[6] != packet[6] || head[8] != packet[8]) return false;
  // The identification means nothing in a packet that may not be fragmented (RFC 6864 §4.1); else it has to count up.
  const bool may_be_fragmented = (head[6] & 0x40) == 0;
  const auto expected = static_cast<uint16_t>(load_be<uint16_t>(head + 4) + joined);
  return !may_be_fragmented || load_be<uint16_t>(packet + 4) == expected;
}

bool v4_header_checksum_good(ConstBytes packet) {
  return checksum_fold(checksum_sum(packet.first(20))) == 0xffff;
}

}  // namespace

Coalescer::Coalescer(size_t max_packets, CoalesceOptions options)
    : options_(options), groups_(max_packets), pieces_(max_packets), chains_(3 * max_packets), finished_(max_packets) {}

bool Coalescer::add(Bytes packet) {
  if (group_count_ + piece_count_ == groups_.size()) return false;
  const Candidate candidate = classify(packet);
  if (candidate.kind == Kind::alone || candidate.kind == Kind::opaque) {
    if (candidate.kind == Kind::opaque) close_all();
    start_group(packet, candidate);
    return true;
  }
  Flow* flow = find(candidate.key);
  if (flow != nullptr && join(groups_[flow->group], packet, candidate)) {
    if (candidate.ends || candidate.payload_bytes < groups_[flow->group].shape.payload_bytes) flow->group = none;
    return true;
  }
  if (flow != nullptr) flow->group = none;
  const uint32_t group = start_group(packet, candidate);
  if (candidate.kind != Kind::joinable || candidate.ends) return true;
  if (flow != nullptr) {
    flow->group = group;
  } else {
    open(candidate.key, group);
  }
  return true;
}

Coalescer::Candidate Coalescer::classify(ConstBytes packet) const {
  Candidate candidate;
  const auto layout = inspect_ip(packet);
  if (!layout || layout->fragment || !layout->plain) return candidate;
  candidate.v6 = layout->v6;
  candidate.udp = layout->protocol == protocol_udp;
  candidate.ip_bytes = static_cast<uint16_t>(layout->header_bytes);
  const bool wanted = candidate.udp ? options_.udp : options_.tcp && layout->protocol == protocol_tcp;
  if (!wanted) {
    candidate.kind = Kind::alone;
    return candidate;
  }
  if (packet.size() < layout->header_bytes + udp_header) return candidate;
  if (layout->v6) {
    std::memcpy(candidate.key.data(), &packet[8], 32);
  } else {
    std::memcpy(candidate.key.data(), &packet[12], 8);
  }
  const auto protocol_and_version = static_cast<uint64_t>(layout->protocol << 8 | (layout->v6 ? 6 : 4));
  candidate.key[4] = uint64_t{load_be<uint32_t>(&packet[layout->header_bytes])} << 32 | protocol_and_version;
  candidate.kind = Kind::of_flow;
  if (candidate.udp) {
    classify_udp(packet, candidate);
  } else {
    classify_tcp(packet, candidate);
  }
  return candidate;
}

void Coalescer::classify_tcp(ConstBytes packet, Candidate& candidate) {
  const ConstBytes tcp = packet.subspan(candidate.ip_bytes);
  if (tcp.size() < tcp_fixed_header) return;
  const size_t tcp_bytes = (tcp[tcp_data_offset] >> 4) * 4U;
  if (tcp_bytes < tcp_fixed_header || tcp_bytes >= tcp.size()) return;
  candidate.flags = tcp[tcp_flags];
  constexpr uint8_t allowed = tcp_ack | tcp_ends | tcp_ecn_echo;
  if ((candidate.flags & tcp_ack) == 0 || (candidate.flags & ~allowed) != 0) return;
  candidate.sequence = load_be<uint32_t>(&tcp[tcp_sequence]);
  candidate.header_bytes = static_cast<uint16_t>(candidate.ip_bytes + tcp_bytes);
  candidate.payload_bytes = packet.size() - candidate.header_bytes;
  candidate.ends = (candidate.flags & tcp_ends) != 0;
  candidate.kind = Kind::joinable;
}

void Coalescer::classify_udp(ConstBytes packet, Candidate& candidate) {
  const ConstBytes udp = packet.subspan(candidate.ip_bytes);
  const bool has_checksum = load_be<uint16_t>(&udp[udp_checksum]) != 0;
  if (load_be<uint16_t>(&udp[udp_length]) != udp.size() || udp.size() == udp_header || !has_checksum) return;
  candidate.header_bytes = static_cast<uint16_t>(candidate.ip_bytes + udp_header);
  candidate.payload_bytes = udp.size() - udp_header;
  candidate.kind = Kind::joinable;
}

bool Coalescer::headers_agree(const Group& group, ConstBytes packet, const Candidate& candidate) {
  const uint8_t* head = group.head.data();
  if (!ip_headers_agree(head, packet.data(), group.joined, candidate.v6)) return false;
  if (candidate.udp) return true;
  if (candidate.header_bytes != group.shape.header_bytes) return false;
  if ((candidate.flags & ~tcp_ends) != (group.shape.flags & ~tcp_ends)) return false;
  const uint8_t* left = head + candidate.ip_bytes;
  const uint8_t* right = packet.data() + candidate.ip_bytes;
  const size_t option_bytes = candidate.header_bytes - candidate.ip_bytes - tcp_fixed_header;
  // Data offset and reserved bits, window and urgent pointer; then the options.
  return equal(left + tcp_acknowledgement, right + tcp_acknowledgement, 4) &&
         left[tcp_data_offset] == right[tcp_data_offset] && equal(left + tcp_window, right + tcp_window, 2) &&
         equal(left + tcp_checksum + 2, right + tcp_checksum + 2, 2 + option_bytes);
}

bool Coalescer::fits(const Group& group, const Candidate& candidate) {
  if (candidate.payload_bytes > group.shape.payload_bytes) return false;
  if (group.total_bytes + candidate.payload_bytes > max_ip_packet_bytes) return false;
  if (group.joined >= (candidate.udp ? max_joined_udp : max_joined)) return false;
  const auto joined_payload = static_cast<uint32_t>(group.total_bytes - group.shape.header_bytes);
  const uint32_t next_sequence = group.shape.sequence + joined_payload;
  return candidate.udp || candidate.sequence == next_sequence;
}

bool Coalescer::checksum_good(ConstBytes packet, const Candidate& candidate) {
  if (!candidate.v6 && !v4_header_checksum_good(packet)) return false;
  const ConstBytes transport = packet.subspan(candidate.ip_bytes);
  const uint8_t protocol = candidate.udp ? protocol_udp : protocol_tcp;
  const ChecksumSum pseudo = checksum_pseudo_header(packet.data(), protocol, transport.size());
  return checksum_fold(checksum_sum(transport) + pseudo) == 0xffff;
}

bool Coalescer::join(Group& group, Bytes packet, const Candidate& candidate) {
  if (candidate.kind != Kind::joinable || !fits(group, candidate) || !headers_agree(group, packet, candidate)) {
    return false;
  }
  // The head is verified only now: most packets of a quiet flow never meet a second one.
  if (group.verified == Verified::not_yet) {
    group.verified = checksum_good(group.head, group.shape) ? Verified::good : Verified::bad;
  }
  if (group.verified == Verified::bad || !checksum_good(packet, candidate)) return false;

  const auto index = static_cast<uint32_t>(piece_count_++);
  pieces_[index] = {{&packet[candidate.header_bytes], candidate.payload_bytes}, none};
  (group.last_piece == none ? group.first_piece : pieces_[group.last_piece].next) = index;
  group.last_piece = index;
  group.total_bytes += candidate.payload_bytes;
  group.last_flags = candidate.flags;
  ++group.joined;
  return true;
}

uint32_t Coalescer::start_group(Bytes packet, const Candidate& candidate) {
  const auto index = static_cast<uint32_t>(group_count_++);
  Group& group = groups_[index];
  group = Group{};
  group.head = packet;
  group.shape = candidate;
  group.total_bytes = packet.size();
  return index;
}

Coalescer::Flow* Coalescer::find(const FlowKey& key) {
  const auto found =
      // The ports, first of all, tell flows apart.
      std::ranges::find_if(flows_, [&](const Flow& flow) {
        return flow.group != none && flow.key.back() == key.back() && flow.key == key;
      });
  return found == flows_.end() ? nullptr : &*found;
}

void Coalescer::open(const FlowKey& key, uint32_t group) {
  const auto unused = std::ranges::find(flows_, none, &Flow::group);
  // With every slot in use one flow stops being joined; its packets stay in order, as groups are written by age.
  Flow& flow = unused != flows_.end() ? *unused : flows_[next_victim_++ % max_flows];
  flow = {key, group};
}

void Coalescer::close_all() {
  for (Flow& flow : flows_) {
    flow.group = none;
  }
}

void Coalescer::write_headers(Group& group) {
  VirtioHeader virtio;
  if (group.joined > 1) {
    const Candidate& shape = group.shape;
    uint8_t* ip = group.head.data();
    uint8_t* transport = ip + shape.ip_bytes;
    const size_t transport_bytes = group.total_bytes - shape.ip_bytes;
    if (shape.v6) {
      store_be<uint16_t>(ip + 4, static_cast<uint16_t>(transport_bytes));
    } else {
      store_be<uint16_t>(ip + 2, static_cast<uint16_t>(group.total_bytes));
      store_be<uint16_t>(ip + 10, 0);
      store_be<uint16_t>(ip + 10, checksum_field(checksum_sum({ip, shape.ip_bytes})));
    }
    if (shape.udp) {
      store_be<uint16_t>(transport + udp_length, static_cast<uint16_t>(transport_bytes));
    } else {
      transport[tcp_flags] |= group.last_flags & tcp_ends;
    }
    const uint8_t protocol = shape.udp ? protocol_udp : protocol_tcp;
    const size_t field = shape.udp ? udp_checksum : tcp_checksum;
    const ChecksumSum pseudo = checksum_pseudo_header(ip, protocol, transport_bytes);
    store_be<uint16_t>(transport + field, checksum_fold(pseudo));
    virtio.flags = VirtioHeader::needs_checksum;
    virtio.gso = static_cast<uint8_t>(shape.udp ? GsoType::udp_segments : shape.v6 ? GsoType::tcp_v6 : GsoType::tcp_v4);
    virtio.header_bytes = shape.header_bytes;
    virtio.segment_bytes = static_cast<uint16_t>(shape.payload_bytes);
    virtio.checksum_start = shape.ip_bytes;
    virtio.checksum_offset = static_cast<uint16_t>(field);
  }
  virtio.store(group.virtio.data());
}

std::span<const CoalescedPacket> Coalescer::finish() {
  close_all();
  iovec* next = chains_.data();
  for (size_t i = 0; i < group_count_; ++i) {
    Group& group = groups_[i];
    write_headers(group);
    iovec* const begin = next;
    *next++ = {group.virtio.data(), group.virtio.size()};
    *next++ = {group.head.data(), group.head.size()};
    for (uint32_t piece = group.first_piece; piece != none; piece = pieces_[piece].next) {
      *next++ = pieces_[piece].bytes;
    }
    finished_[i] = {{begin, next}, group.total_bytes, group.joined};
  }
  return {finished_.data(), group_count_};
}

void Coalescer::clear() {
  group_count_ = 0;
  piece_count_ = 0;
  close_all();
}

}  // namespace centipede
