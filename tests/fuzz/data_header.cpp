// The clear-text headers and the parameters: what is parsed and written again is what came in, and every datagram is of
// exactly one kind.
#include "fuzz.h"
#include "wire/message.h"

namespace centipede::fuzz {
namespace {

using wire::MessageType;

// docs/protocol.md in other words than wire/message.cpp has.
MessageType expected_type(ConstBytes datagram) {
  if (datagram.empty()) return MessageType::malformed;
  if (datagram[0] < 0x80) return datagram.size() >= 32 ? MessageType::data : MessageType::malformed;
  const struct {
    MessageType type;
    uint64_t first_eight_bytes;
    size_t size;
  } rows[] = {{MessageType::initiation, 0x8101000000000000, 216},
              {MessageType::response, 0x8201000000000000, 184},
              {MessageType::cookie, 0x8301000000000000, 56}};
  for (const auto& row : rows) {
    if (datagram.size() == row.size && load_be<uint64_t>(datagram.data()) == row.first_eight_bytes) return row.type;
  }
  return MessageType::malformed;
}

void check_header(ConstBytes datagram) {
  const auto header = wire::parse_data_header(datagram);
  promise(header.has_value() == (wire::classify(datagram) == MessageType::data), "a header is parsed of data alone");
  promise(wire::classify(datagram) == expected_type(datagram), "a datagram is of the kind that the protocol says");
  if (!header) return;
  promise(header->number.lane <= CP_CONTROL_LANE, "lanes end at 127");
  promise(wire::PacketNumber::from(header->number.value()) == header->number, "a number keeps its lane and counter");
  std::array<uint8_t, CP_DATA_HEADER_SIZE> written;
  std::copy_n(datagram.begin(), written.size(), written.begin());
  std::fill_n(written.begin(), CP_OFFSET_TAG, uint8_t{0xa5});
  wire::write_data_header(*header, written.data());
  promise(std::ranges::equal(written, datagram.first(written.size())), "a header is written as it was read");
}

void check_params(ConstBytes bytes) {
  const auto params = wire::read_params(bytes);
  if (!params) return;
  promise(params->version == CP_PROTOCOL_VERSION && params->lanes >= 1 && params->lanes <= CP_DATA_LANES,
          "parameters without sense are refused");
  promise(params->window_bits >= CP_WINDOW_BITS_MIN && params->window_bits <= CP_WINDOW_BITS_MAX &&
              params->heartbeat_ms >= 100 && params->heartbeat_ms <= 60'000,
          "parameters are clamped");
  std::array<uint8_t, wire::params_size> written;
  wire::write_params(*params, written.data());
  promise(wire::read_params(written) == params, "parameters survive writing and reading");
  const bool clamped = written[2] != bytes[2] || !std::equal(&written[4], &written[8], &bytes[4]);
  promise(clamped || std::ranges::equal(written, bytes), "parameters in range are written as they were read");
}

}  // namespace
}  // namespace centipede::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace centipede::fuzz;
  const auto bytes = exact_copy({data, size});
  check_header(bytes);
  check_params(bytes);
  return 0;
}
