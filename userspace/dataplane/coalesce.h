// Joins the IP packets of one receive batch into super-packets for the TUN device: consecutive TCP segments of one flow
// and, where the device took USO, equal UDP datagrams of one flow. Nothing is copied: a super-packet is a chain of
// pieces of the packets' own memory, for one writev, with the headers rewritten in the first packet.
//
// Only what segmentation on the far side would have produced is joined, so cutting a super-packet again yields the same
// packets (but for the IPv4 identification where DF is set, which means nothing there): same addresses, ports, TTL,
// traffic class, DF, TCP acknowledgement, window and options; sequence continuing; equal payload except the last; SYN,
// RST, URG and CWR never, FIN and PSH only last, as Linux GRO does it. A super-packet is
// written with "checksum to be filled in", which would hide a corrupt inner checksum, so both sides of a join have
// their checksum verified first. Packets with IPv4 options, IPv6 extension headers and fragments pass singly. Packets
// of one flow are never reordered; whatever cannot be assigned to a flow ends every open join.
//
// Ownership: the packets' memory is the caller's, must stay until the chains are written, and may be changed here.
// Threading: one thread. All memory is allocated by the constructor.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "dataplane/offload.h"

namespace centipede {

struct CoalesceOptions {
  bool tcp = true;
  bool udp = false;  // only where the TUN device took USO
};

// For TunQueue::write: chain[0] is the virtio header, the rest one IP packet.
struct CoalescedPacket {
  std::span<const iovec> chain;
  size_t bytes = 0;    // of the IP packet
  size_t packets = 0;  // joined in it
};

class Coalescer {
 public:
  static constexpr size_t max_flows = 8;
  static constexpr size_t max_joined = 512;     // well below the 1,024 pieces one writev takes
  static constexpr size_t max_joined_udp = 64;  // the most datagrams that kernels before 6.9 accept in one

  Coalescer(size_t max_packets, CoalesceOptions options);

  // False where max_packets have been added since clear(): then finish, write, clear. A packet is taken as it is, even
  // where it is not IP at all.
  [[nodiscard]] bool add(Bytes packet);

  // The packets to write, in order; valid until clear(). Nothing may be added in between.
  [[nodiscard]] std::span<const CoalescedPacket> finish();

  void clear();
  [[nodiscard]] bool empty() const { return group_count_ == 0; }

 private:
  // Addresses, ports, protocol and version: compared as words.
  using FlowKey = std::array<uint64_t, 5>;

  // How a packet relates to others.
  enum class Kind : uint8_t {
    alone,     // belongs to no flow that is ever joined
    opaque,    // might belong to any flow
    of_flow,   // belongs to a flow and must keep its place in it, but is not joined
    joinable,  // may be joined
  };
  struct Candidate {
    Kind kind = Kind::opaque;
    bool v6 = false;
    bool udp = false;
    bool ends = false;  // nothing may follow it in a join
    uint8_t flags = 0;  // of TCP
    uint16_t ip_bytes = 0;
    uint16_t header_bytes = 0;  // IP and transport
    size_t payload_bytes = 0;
    uint32_t sequence = 0;
    FlowKey key{};
  };
  enum class Verified : uint8_t { not_yet, good, bad };
  static constexpr uint32_t none = UINT32_MAX;
  // One packet to write: a head, and the payloads that follow it.
  struct Group {
    Bytes head;
    Candidate shape;  // of the head
    Verified verified = Verified::not_yet;
    uint8_t last_flags = 0;
    size_t total_bytes = 0;
    uint32_t joined = 1;
    uint32_t first_piece = none;
    uint32_t last_piece = none;
    std::array<uint8_t, VirtioHeader::wire_bytes> virtio{};
  };
  struct Piece {
    iovec bytes;
    uint32_t next;
  };
  struct Flow {
    FlowKey key{};
    uint32_t group = none;
  };

  [[nodiscard]] Candidate classify(ConstBytes packet) const;
  static void classify_tcp(ConstBytes packet, Candidate& candidate);
  static void classify_udp(ConstBytes packet, Candidate& candidate);
  [[nodiscard]] static bool headers_agree(const Group& group, ConstBytes packet, const Candidate& candidate);
  [[nodiscard]] static bool fits(const Group& group, const Candidate& candidate);
  [[nodiscard]] static bool checksum_good(ConstBytes packet, const Candidate& candidate);
  [[nodiscard]] bool join(Group& group, Bytes packet, const Candidate& candidate);
  uint32_t start_group(Bytes packet, const Candidate& candidate);
  [[nodiscard]] Flow* find(const FlowKey& key);
  void open(const FlowKey& key, uint32_t group);
  void close_all();
  static void write_headers(Group& group);

  CoalesceOptions options_;
  std::vector<Group> groups_;
  std::vector<Piece> pieces_;
  std::vector<iovec> chains_;
  std::vector<CoalescedPacket> finished_;
  std::array<Flow, max_flows> flows_{};
  size_t group_count_ = 0;
  size_t piece_count_ = 0;
  size_t next_victim_ = 0;
};

}  // namespace centipede
