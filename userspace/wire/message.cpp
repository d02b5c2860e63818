#include "wire/message.h"

#include <algorithm>

namespace centipede::wire {
namespace {

constexpr uint32_t heartbeat_ms_min = 100;
constexpr uint32_t heartbeat_ms_max = 60'000;

bool all_zero(ConstBytes bytes) {
  return std::ranges::all_of(bytes, [](uint8_t byte) { return byte == 0; });
}

}  // namespace

std::optional<DataHeader> parse_data_header(ConstBytes datagram) {
  if (datagram.size() < CP_DATA_HEADER_SIZE || (datagram[0] & CP_CONTROL_BIT) != 0) return std::nullopt;
  return DataHeader{PacketNumber::from(load_be<uint64_t>(datagram.data() + CP_OFFSET_NUMBER)),
                    load_be<uint64_t>(datagram.data() + CP_OFFSET_SID)};
}

void write_data_header(const DataHeader& header, uint8_t* out) {
  store_be<uint64_t>(out + CP_OFFSET_NUMBER, header.number.value());
  store_be<uint64_t>(out + CP_OFFSET_SID, header.sid);
}

MessageType classify(ConstBytes datagram) {
  if (parse_data_header(datagram)) return MessageType::data;
  // A data packet that is too short ends here as well: its first byte has no control bit and matches no type below.
  if (datagram.size() < CP_CONTROL_HEADER_SIZE || datagram[1] != CP_PROTOCOL_VERSION ||
      !all_zero(datagram.subspan(2, CP_CONTROL_HEADER_SIZE - 2))) {
    return MessageType::malformed;
  }
  const auto is = [&](uint8_t type, size_t size) {
    return datagram[0] == (CP_CONTROL_BIT | type) && datagram.size() == size;
  };
  if (is(CP_TYPE_INITIATION, CP_INITIATION_SIZE)) return MessageType::initiation;
  if (is(CP_TYPE_RESPONSE, CP_RESPONSE_SIZE)) return MessageType::response;
  if (is(CP_TYPE_COOKIE, CP_COOKIE_SIZE)) return MessageType::cookie;
  return MessageType::malformed;
}

void write_params(const Params& params, uint8_t* out) {
  std::fill_n(out, params_size, uint8_t{0});
  out[0] = params.version;
  out[1] = params.lanes;
  out[2] = params.window_bits;
  out[3] = params.flags;
  store_be<uint32_t>(out + 4, params.heartbeat_ms);
  store_be<uint16_t>(out + 8, params.mtu);
}

std::optional<Params> read_params(ConstBytes sixteen_bytes) {
  if (sixteen_bytes.size() != params_size || !all_zero(sixteen_bytes.subspan(10))) return std::nullopt;
  const uint8_t* from = sixteen_bytes.data();
  Params params{.version = from[0],
                .lanes = from[1],
                .window_bits = std::clamp<uint8_t>(from[2], CP_WINDOW_BITS_MIN, CP_WINDOW_BITS_MAX),
                .flags = from[3],
                .heartbeat_ms = std::clamp(load_be<uint32_t>(from + 4), heartbeat_ms_min, heartbeat_ms_max),
                .mtu = load_be<uint16_t>(from + 8)};
  if (params.version != CP_PROTOCOL_VERSION || params.lanes < 1 || params.lanes > CP_DATA_LANES) return std::nullopt;
  return params;
}

}  // namespace centipede::wire
