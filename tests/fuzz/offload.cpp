// Segmentation and joining of inner packets. First byte: which of
//   0  any virtio header and packet, as a TUN queue might give: what is cut is whole again when put together
//   1  a batch of packets in a few flows, some damaged: what is joined is, cut again, the packets that came in, in the
//      order that each flow had
#include <algorithm>
#include <map>

#include "dataplane/checksum.h"
#include "dataplane/coalesce.h"
#include "dataplane/segment.h"
#include "fuzz.h"

namespace centipede::fuzz {
namespace {

using Packet = std::vector<uint8_t>;

std::vector<Packet> cut(const VirtioHeader& header, ConstBytes packet, size_t mtu) {
  std::vector<Packet> out;
  auto segmenter = Segmenter::start(header, packet, mtu);
  if (!segmenter) {
    promise(!text(segmenter.error()).empty(), "a refusal has a reason");
    return out;
  }
  Packet room(mtu);
  const size_t announced = segmenter->remaining();
  while (const size_t length = segmenter->next(room)) {
    promise(length <= mtu, "no segment exceeds the MTU");
    out.emplace_back(room.begin(), room.begin() + static_cast<std::ptrdiff_t>(length));
    promise(out.size() + segmenter->remaining() == announced, "segments are counted");
  }
  promise(out.size() == announced && announced > 0, "there are as many segments as announced");
  return out;
}

void check_cut(Input& input) {
  std::array<uint8_t, VirtioHeader::wire_bytes> raw;
  input.read(raw);
  const VirtioHeader header = VirtioHeader::load(raw.data());
  std::array<uint8_t, VirtioHeader::wire_bytes> stored;
  header.store(stored.data());
  promise(stored == raw, "a virtio header is stored as it was loaded");
  const size_t mtu = 68 + input.number<uint16_t>() % 9000;
  const auto packet = exact_copy(input.rest());
  const auto segments = cut(header, packet, mtu);
  if (segments.empty()) return;
  const auto layout = inspect_ip(packet);
  promise(layout.has_value(), "only IP packets are cut");
  if (header.gso_type() == GsoType::none) {
    return promise(segments.size() == 1 && segments[0].size() == packet.size(), "a packet that is not cut stays whole");
  }
  const size_t transport = layout->transport_offset;
  const size_t headers =
      transport + (layout->protocol == protocol_udp ? 8U : (packet[transport + 12] >> 4) * size_t{4});
  Packet payload;
  for (const Packet& segment : segments) {
    promise(inspect_ip(segment).has_value(), "each segment is an IP packet of the length that it says");
    promise(segment.size() >= headers && segment.size() - headers <= header.segment_bytes, "segments are no longer");
    payload.insert(payload.end(), segment.begin() + static_cast<std::ptrdiff_t>(headers), segment.end());
  }
  promise(std::ranges::equal(payload, ConstBytes(packet).subspan(headers)), "the payload is all there, in order");
}

struct Flow {
  bool v6 = false;
  bool udp = false;
  uint8_t host = 0;
  uint16_t id = 100;
  uint32_t sequence = 0xfffff000;
};

void fill_checksums(Packet& packet, const Flow& flow) {
  if (packet[0] >> 4 != (flow.v6 ? 6 : 4)) return;  // damaged beyond checksums
  const size_t transport = flow.v6 ? 40 : 20;
  const uint8_t protocol = flow.udp ? protocol_udp : protocol_tcp;
  if (!flow.v6) store_be<uint16_t>(&packet[10], checksum_field(checksum_sum(ConstBytes(packet).first(20))));
  const size_t bytes = packet.size() - transport;
  const auto sum =
      checksum_pseudo_header(packet.data(), protocol, bytes) + checksum_sum(ConstBytes(packet).subspan(transport));
  store_be<uint16_t>(&packet[transport + (flow.udp ? 6 : 16)], checksum_transport_field(sum));
}

// The next packet of the flow as its sender makes it.
Packet next_packet(Flow& flow, uint8_t flags, size_t payload) {
  const size_t transport = flow.v6 ? 40 : 20;
  Packet packet(transport + (flow.udp ? 8 : 20) + payload, static_cast<uint8_t>(flow.id));
  std::fill_n(packet.begin(), packet.size() - payload, uint8_t{0});
  const auto ip_payload = static_cast<uint16_t>(packet.size() - transport);
  const uint8_t protocol = flow.udp ? protocol_udp : protocol_tcp;
  if (flow.v6) {
    packet[0] = 0x60;
    store_be<uint16_t>(&packet[4], ip_payload);
    packet[6] = protocol;
    packet[7] = 64;
    packet[8] = packet[24] = 0xfd;
    packet[23] = flow.host;
  } else {
    packet[0] = 0x45;
    store_be<uint16_t>(&packet[2], static_cast<uint16_t>(packet.size()));
    store_be<uint16_t>(&packet[4], flow.id);
    packet[6] = (flow.host & 1) != 0 ? 0x40 : 0;  // don't fragment
    packet[8] = 64;
    packet[9] = protocol;
    packet[12] = packet[16] = 10;
    packet[15] = flow.host;
  }
  store_be<uint16_t>(&packet[transport], 40000);
  store_be<uint16_t>(&packet[transport + 2], 80);
  if (flow.udp) {
    store_be<uint16_t>(&packet[transport + 4], ip_payload);
  } else {
    store_be<uint32_t>(&packet[transport + 4], flow.sequence);
    packet[transport + 12] = 5 << 4;
    packet[transport + 13] = flags;
    flow.sequence += static_cast<uint32_t>(payload);
  }
  ++flow.id;
  fill_checksums(packet, flow);
  return packet;
}

constexpr size_t batch_limit = 32;

std::vector<Packet> read_batch(Input& input) {
  std::array<Flow, 4> flows;
  for (uint8_t i = 0; i < flows.size(); ++i) {
    const uint8_t kind = input.number();
    flows[i] = {.v6 = (kind & 1) != 0, .udp = (kind & 2) != 0, .host = static_cast<uint8_t>(i + (kind >> 4))};
  }
  std::vector<Packet> batch;
  while (!input.empty() && batch.size() < batch_limit) {
    const uint8_t step = input.number();
    Flow& flow = flows[step & 3];
    const uint8_t flags = (step & 4) != 0 ? input.number() : uint8_t{0x10};
    const size_t payload = (step & 8) != 0 ? input.number<uint16_t>() % 1500 : 100;
    Packet packet = next_packet(flow, flags, payload);
    if ((step & 16) != 0) packet[input.number() % packet.size()] = input.number();
    if ((step & 32) != 0) fill_checksums(packet, flow);  // damaged, and right again by its checksums
    if ((step & 64) != 0) packet.resize(input.number<uint16_t>() % (packet.size() + 1));
    if ((step & 128) != 0) flow.sequence += input.number();
    batch.push_back(std::move(packet));
  }
  return batch;
}

// Equal but for the identification of IPv4 packets that may not be fragmented.
Packet without_meaningless_id(Packet packet) {
  if (packet.size() >= 20 && packet[0] >> 4 == 4 && (packet[6] & 0x40) != 0) {
    std::fill_n(packet.begin() + 4, 2, uint8_t{0});
    std::fill_n(packet.begin() + 10, 2, uint8_t{0});
  }
  return packet;
}

// Version, protocol, addresses and ports of a plain TCP or UDP packet. All others share one order.
Packet flow_of(const Packet& packet) {
  const auto layout = inspect_ip(packet);
  if (!layout || !layout->plain || layout->fragment) return {};
  const size_t transport = layout->transport_offset;
  const bool ports = layout->protocol == protocol_tcp || layout->protocol == protocol_udp;
  if (!ports || packet.size() < transport + 4) return {};
  Packet key{packet[0], layout->protocol};
  const size_t addresses = layout->v6 ? 8 : 12;
  key.insert(key.end(), packet.begin() + static_cast<std::ptrdiff_t>(addresses),
             packet.begin() + static_cast<std::ptrdiff_t>(transport) + 4);
  return key;
}

using ByFlow = std::map<Packet, std::vector<Packet>>;

void check_joined(Input& input) {
  const CoalesceOptions options{.tcp = true, .udp = input.flag()};
  std::vector<Packet> batch = read_batch(input);
  ByFlow before;
  for (Packet& packet : batch) {
    packet.shrink_to_fit();
    before[flow_of(packet)].push_back(without_meaningless_id(packet));
  }
  Coalescer coalescer(batch_limit, options);
  for (Packet& packet : batch)
    promise(coalescer.add(packet), "there is room for as many packets as agreed");
  ByFlow after;
  size_t joined = 0;
  for (const CoalescedPacket& one : coalescer.finish()) {
    Packet written;
    for (const iovec& piece : one.chain) {
      const auto* from = static_cast<const uint8_t*>(piece.iov_base);
      written.insert(written.end(), from, from + piece.iov_len);
    }
    promise(written.size() == VirtioHeader::wire_bytes + one.bytes && one.bytes <= max_ip_packet_bytes,
            "a chain is as long as it says");
    const VirtioHeader header = VirtioHeader::load(written.data());
    written.erase(written.begin(), written.begin() + VirtioHeader::wire_bytes);
    promise((header == VirtioHeader{}) == (one.packets == 1), "what was not joined is written as it came");
    const auto pieces = one.packets == 1 ? std::vector<Packet>{written} : cut(header, written, max_ip_packet_bytes);
    promise(pieces.size() == one.packets, "a super-packet is cut into as many packets as were joined");
    joined += one.packets;
    for (const Packet& piece : pieces)
      after[flow_of(piece)].push_back(without_meaningless_id(piece));
  }
  promise(joined == batch.size(), "every packet is written once");
  promise(before == after, "joined and cut again, each flow is as it was");
}

}  // namespace
}  // namespace centipede::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace centipede::fuzz;
  Input input(data, size);
  input.flag() ? check_joined(input) : check_cut(input);
  return 0;
}
