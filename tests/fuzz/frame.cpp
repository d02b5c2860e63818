// Ethernet frames as the XDP program and the workers parse them, and the frames of the control lane. First byte: which.
#include "wire/frame.h"

#include <centipede/frame.h>

#include <cstring>

#include "fuzz.h"
#include "wire/message.h"

namespace centipede::fuzz {
namespace {

bool same(const cp_frame& a, const cp_frame& b) {
  return a.l3_offset == b.l3_offset && a.payload_offset == b.payload_offset && a.payload_length == b.payload_length &&
         a.source_port_be == b.source_port_be && a.destination_port_be == b.destination_port_be && a.family == b.family;
}

cp_frame_kind parse(ConstBytes bytes, cp_frame& frame) {
  const auto copy = exact_copy(bytes);
  frame = {};
  // An empty vector has no address; pointers into nothing are compared, never read.
  static const uint8_t nothing = 0;
  const uint8_t* begin = copy.empty() ? &nothing : copy.data();
  return cp_parse_frame(begin, begin + copy.size(), &frame);
}

void check_udp(ConstBytes bytes, const cp_frame& frame) {
  const size_t ip_header = frame.family == 4 ? CP_IPV4_SIZE : CP_IPV6_SIZE;
  promise(frame.family == 4 || frame.family == 6, "the family is set");
  promise(frame.l3_offset == 14 || frame.l3_offset == 18 || frame.l3_offset == 22, "at most two VLAN tags are skipped");
  promise(bytes[frame.l3_offset] >> 4 == frame.family, "the family is the IP header's");
  promise(frame.payload_offset >= frame.l3_offset + ip_header + CP_UDP_SIZE, "headers precede the payload");
  promise(size_t{frame.payload_offset} + frame.payload_length <= bytes.size(), "the payload lies inside the frame");
  const uint8_t* udp = &bytes[frame.payload_offset - CP_UDP_SIZE];
  promise(cp_field16(udp) == frame.source_port_be && cp_field16(udp + 2) == frame.destination_port_be,
          "the ports stand in front of the payload");
  promise(load_be<uint16_t>(udp + 4) == frame.payload_length + CP_UDP_SIZE, "the payload is as long as UDP says");
  // What follows the IP packet is padding and means nothing.
  const uint8_t* ip = &bytes[frame.l3_offset];
  const size_t ip_end =
      frame.l3_offset + (frame.family == 4 ? load_be<uint16_t>(ip + 2) : CP_IPV6_SIZE + load_be<uint16_t>(ip + 4));
  cp_frame cut;
  promise(parse(bytes.first(ip_end), cut) == CP_KIND_UDP && same(cut, frame), "padding changes nothing");
  promise(parse(bytes.first(ip_end - 1), cut) != CP_KIND_UDP, "an IP packet that lost its end is refused");
}

void check_arbitrary(ConstBytes bytes) {
  cp_frame frame;
  if (parse(bytes, frame) == CP_KIND_UDP) check_udp(bytes, frame);
}

void append16(std::vector<uint8_t>& out, size_t value) {
  out.push_back(static_cast<uint8_t>(value >> 8));
  out.push_back(static_cast<uint8_t>(value));
}

void append_ipv4(std::vector<uint8_t>& out, Input& input, size_t udp_bytes) {
  const size_t option_words = input.below(11);
  out.push_back(static_cast<uint8_t>(0x45 + option_words));
  out.push_back(input.number());
  append16(out, CP_IPV4_SIZE + option_words * 4 + udp_bytes);
  append16(out, input.number<uint16_t>());
  append16(out, input.number<uint16_t>() & 0xc000);  // reserved bit, don't fragment
  out.push_back(input.number());
  out.push_back(CP_PROTOCOL_UDP);
  out.resize(out.size() + 10 + option_words * 4, input.number());
}

void append_ipv6(std::vector<uint8_t>& out, Input& input, size_t udp_bytes) {
  constexpr uint8_t kinds[] = {CP_PROTOCOL_HOP_BY_HOP, CP_PROTOCOL_ROUTING, CP_PROTOCOL_DESTINATION};
  std::vector<uint8_t> extensions;
  uint8_t next = CP_PROTOCOL_UDP;
  for (size_t count = input.below(CP_MAX_IPV6_EXTENSIONS + 1); count > 0; --count) {
    const size_t more = input.below(4);
    std::vector<uint8_t> extension(8 + more * 8, input.number());
    extension[0] = next;
    extension[1] = static_cast<uint8_t>(more);
    extensions.insert(extensions.begin(), extension.begin(), extension.end());
    next = kinds[input.below(3)];
  }
  out.push_back(static_cast<uint8_t>(0x60 | input.below(16)));
  out.resize(out.size() + 3, input.number());
  append16(out, extensions.size() + udp_bytes);
  out.push_back(next);
  out.resize(out.size() + 33, input.number());
  out.insert(out.end(), extensions.begin(), extensions.end());
}

// A frame built from its description is parsed as described.
void check_described(Input& input) {
  const size_t tags = input.below(CP_MAX_VLAN_TAGS + 1);
  const bool v6 = input.flag();
  const size_t payload = input.number<uint16_t>() % 2000;
  const size_t padding = input.below(64);
  std::vector<uint8_t> bytes(12, input.number());
  for (size_t i = 0; i < tags; ++i) {
    append16(bytes, input.flag() ? CP_ETHERTYPE_8021Q : CP_ETHERTYPE_8021AD);
    append16(bytes, input.number<uint16_t>());
  }
  append16(bytes, v6 ? CP_ETHERTYPE_IPV6 : CP_ETHERTYPE_IPV4);
  const size_t l3_offset = bytes.size();
  (v6 ? append_ipv6 : append_ipv4)(bytes, input, CP_UDP_SIZE + payload);
  const auto source = input.number<uint16_t>();
  const auto destination = input.number<uint16_t>();
  append16(bytes, source);
  append16(bytes, destination);
  append16(bytes, CP_UDP_SIZE + payload);
  append16(bytes, input.number<uint16_t>());
  const size_t payload_offset = bytes.size();
  bytes.resize(payload_offset + payload + padding, input.number());

  cp_frame frame;
  promise(parse(bytes, frame) == CP_KIND_UDP, "a sound UDP frame is recognised");
  check_udp(bytes, frame);
  promise(frame.l3_offset == l3_offset && frame.payload_offset == payload_offset && frame.payload_length == payload,
          "a sound frame's offsets are found");
  promise(cp_host16(frame.source_port_be) == source && cp_host16(frame.destination_port_be) == destination,
          "a sound frame's ports are found");
}

void check_control_frame(ConstBytes bytes) {
  const auto plaintext = exact_copy(bytes);
  const auto frame = wire::read_frame(plaintext);
  if (!frame) return;
  std::array<uint8_t, CP_HEARTBEAT_SIZE> written;
  written.fill(0xa5);
  std::visit([&](const auto& it) { wire::write_frame(it, written.data()); }, *frame);
  const size_t size = std::holds_alternative<wire::Close>(*frame) ? CP_CLOSE_SIZE : CP_HEARTBEAT_SIZE;
  promise(std::ranges::equal(plaintext, ConstBytes(written).first(size)), "a control frame is written as it was read");
}

void check_heartbeat(Input& input) {
  const wire::Heartbeat heartbeat{.path_id = input.number<uint16_t>(),
                                  .number = input.number<uint32_t>(),
                                  .send_time_us = input.number<uint64_t>(),
                                  .echoed_number = input.number<uint32_t>(),
                                  .echo_delay_us = input.number<uint32_t>(),
                                  .token = input.number<uint64_t>(),
                                  .token_echo = input.number<uint64_t>(),
                                  .packets_sent = input.number<uint64_t>(),
                                  .packets_received = input.number<uint64_t>(),
                                  .heartbeats_received = input.number<uint32_t>(),
                                  .flags = input.number()};
  std::array<uint8_t, CP_HEARTBEAT_SIZE> written;
  wire::write_frame(heartbeat, written.data());
  const auto read = wire::read_frame(written);
  promise(read && std::get_if<wire::Heartbeat>(&*read) != nullptr && std::get<wire::Heartbeat>(*read) == heartbeat,
          "a heartbeat survives writing and reading");
}

}  // namespace
}  // namespace centipede::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace centipede::fuzz;
  Input input(data, size);
  switch (input.below(4)) {
    case 0:
      check_arbitrary(input.rest());
      break;
    case 1:
      check_described(input);
      break;
    case 2:
      check_control_frame(input.rest());
      break;
    case 3:
      check_heartbeat(input);
      break;
  }
  return 0;
}
