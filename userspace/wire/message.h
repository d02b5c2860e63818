// Byte formats of protocol version 1: the data header, the control header, and the lengths and offsets of the two
// handshake messages (docs/protocol.md). Pure functions on spans; nothing here is authenticated, hence `claimed_`.
// Multi-byte integers are big-endian on the wire and in host order in these structures.
#pragma once

#include <centipede/wire.h>

#include <cstdint>
#include <optional>

#include "base/bytes.h"

namespace centipede::wire {

using SessionId = uint64_t;

// The number of a data packet: lane and counter, as they go into the nonce.
struct PacketNumber {
  uint8_t lane = 0;      // 0..127
  uint64_t counter = 0;  // below CP_COUNTER_LIMIT for what we send or accept

  [[nodiscard]] uint64_t value() const { return (uint64_t{lane} << CP_LANE_SHIFT) | counter; }
  [[nodiscard]] static PacketNumber from(uint64_t value) {
    return {static_cast<uint8_t>(value >> CP_LANE_SHIFT), value & CP_COUNTER_MASK};
  }
  auto operator<=>(const PacketNumber&) const = default;
};

struct DataHeader {
  PacketNumber number;
  SessionId sid = 0;
};

// The header of a datagram that is long enough for one and has the control bit clear; else nothing.
[[nodiscard]] std::optional<DataHeader> parse_data_header(ConstBytes datagram);
// Writes number and sid; the tag's place is left alone. `out` holds at least CP_DATA_HEADER_SIZE bytes.
void write_data_header(const DataHeader& header, uint8_t* out);

enum class MessageType : uint8_t {
  data,        // control bit clear, at least a header long
  initiation,  // exactly CP_INITIATION_SIZE, version 1, padding zero
  response,
  cookie,
  malformed,  // anything else
};
[[nodiscard]] MessageType classify(ConstBytes datagram);

// Session parameters that both sides tell each other inside the handshake's boxes: 16 bytes.
//   0 protocol version, 1 lanes, 2 window bits (log2), 3 flags, 4-7 heartbeat interval in ms, 8-9 MTU, 10-15 zero
struct Params {
  uint8_t version = CP_PROTOCOL_VERSION;
  uint8_t lanes = 1;  // data lanes the sender of these params will use: 0..lanes-1
  uint8_t window_bits = CP_WINDOW_BITS_DEFAULT;
  uint8_t flags = 0;
  uint32_t heartbeat_ms = 250;  // clamped to 100..60,000 when read
  uint16_t mtu = 0;             // inner MTU of the sender's interface
  auto operator<=>(const Params&) const = default;
};
inline constexpr size_t params_size = 16;
void write_params(const Params& params, uint8_t* out);
// Clamps what may be clamped; nothing when the version is another or the lanes are out of 1..CP_DATA_LANES.
[[nodiscard]] std::optional<Params> read_params(ConstBytes sixteen_bytes);

}  // namespace centipede::wire
