#include "frames.h"

#include <centipede/wire.h>

#include <algorithm>

#include "base/bytes.h"

namespace centipede::test {
namespace {

void put16(Frame& frame, uint16_t value) {
  frame.push_back(static_cast<uint8_t>(value >> 8));
  frame.push_back(static_cast<uint8_t>(value));
}

void put_address(Frame& frame, const std::vector<uint8_t>& address, const std::vector<uint8_t>& otherwise) {
  const auto& bytes = address.empty() ? otherwise : address;
  frame.insert(frame.end(), bytes.begin(), bytes.end());
}

Frame transport(const FrameSpec& spec) {
  Frame out;
  put16(out, spec.source_port);
  put16(out, spec.port);
  put16(out, spec.udp_length.value_or(static_cast<uint16_t>(8 + spec.payload.size())));
  put16(out, 0);
  out.insert(out.end(), spec.payload.begin(), spec.payload.end());
  return out;
}

void put_ipv4(Frame& out, const FrameSpec& spec, const Frame& segment) {
  const unsigned written = std::max(spec.ipv4_header, 20U);
  const int version = spec.version_nibble != 0 ? spec.version_nibble : 4;
  out.push_back(static_cast<uint8_t>(version << 4 | static_cast<int>(spec.ipv4_header / 4)));
  out.push_back(0);
  put16(out, spec.ip_length.value_or(static_cast<uint16_t>(written + segment.size())));
  put16(out, 7);
  put16(out, spec.fragment_field);
  out.push_back(64);
  out.push_back(spec.protocol);
  put16(out, 0);
  put_address(out, spec.source, {192, 0, 2, 1});
  put_address(out, spec.destination, {192, 0, 2, 2});
  out.insert(out.end(), written - 20, 1);  // no-operation options
}

void put_ipv6(Frame& out, const FrameSpec& spec, const Frame& segment) {
  Frame extensions;
  for (size_t i = 0; i < spec.extensions.size(); ++i) {
    extensions.push_back(i + 1 < spec.extensions.size() ? spec.extensions[i + 1].first : spec.protocol);
    extensions.push_back(spec.extensions[i].second);
    extensions.insert(extensions.end(), 6 + size_t{spec.extensions[i].second} * 8, 0);
  }
  const int version = spec.version_nibble != 0 ? spec.version_nibble : 6;
  out.push_back(static_cast<uint8_t>(version << 4));
  out.insert(out.end(), 3, 0);
  put16(out, spec.ip_length.value_or(static_cast<uint16_t>(extensions.size() + segment.size())));
  out.push_back(spec.extensions.empty() ? spec.protocol : spec.extensions.front().first);
  out.push_back(64);
  put_address(out, spec.source, std::vector<uint8_t>(16, 0x20));
  put_address(out, spec.destination, std::vector<uint8_t>(16, 0x20));
  out.insert(out.end(), extensions.begin(), extensions.end());
}

}  // namespace

Frame build(const FrameSpec& spec) {
  Frame out(spec.destination_mac.begin(), spec.destination_mac.end());
  out.insert(out.end(), spec.source_mac.begin(), spec.source_mac.end());
  for (const uint16_t tag : spec.tags) {
    put16(out, tag);
    put16(out, 100);
  }
  const Frame segment = transport(spec);
  if (spec.family == 4) {
    put16(out, 0x0800);
    put_ipv4(out, spec, segment);
  } else if (spec.family == 6) {
    put16(out, 0x86dd);
    put_ipv6(out, spec, segment);
  } else {
    put16(out, 0x0806);
  }
  out.insert(out.end(), segment.begin(), segment.end());
  out.insert(out.end(), spec.padding, 0);
  return out;
}

std::vector<uint8_t> data_packet(uint8_t lane, uint64_t counter, uint64_t session_id, size_t size) {
  std::vector<uint8_t> out(std::max<size_t>(size, 16));
  store_be<uint64_t>(out.data() + CP_OFFSET_NUMBER, uint64_t{lane} << CP_LANE_SHIFT | counter);
  store_be<uint64_t>(out.data() + CP_OFFSET_SID, session_id);
  for (size_t i = 16; i < out.size(); ++i)
    out[i] = static_cast<uint8_t>(i * 7 + counter);
  out.resize(size);
  return out;
}

}  // namespace centipede::test
