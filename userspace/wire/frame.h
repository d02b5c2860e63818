// Frames of the control lane (lane 127): the plaintext of a data packet whose first byte is 0. Heartbeat, 64 bytes:
//   0 zero, 1 type, 2-3 path id, 4-7 heartbeat number, 8-15 send time in µs (sender's own clock, echoed never
//   interpreted), 16-19 echoed number, 20-23 echo delay in µs, 24-31 token, 32-39 token echo, 40-47 packets sent on the
//   path, 48-55 packets received on the path, 56-59 heartbeats received on the path, 60 flags, 61-63 zero
// Close, 16 bytes: 0 zero, 1 type, 2-15 zero.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>

#include "base/bytes.h"

namespace centipede::wire {

struct Heartbeat {
  static constexpr uint8_t flag_has_echo = 1;   // echoed_number and echo_delay_us are valid
  static constexpr uint8_t flag_want_echo = 2;  // answer at once rather than with the next regular heartbeat
  static constexpr uint8_t flag_backup = 4;     // the sender does not send data on this path by itself

  uint16_t path_id = 0;  // the sender's name for the path
  uint32_t number = 0;   // counts up by one for each heartbeat on the path, from 1
  uint64_t send_time_us = 0;
  uint32_t echoed_number = 0;  // highest heartbeat number received on the path
  uint32_t echo_delay_us = 0;  // from that one's arrival to this one's departure
  uint64_t token = 0;          // random, to be echoed from the same 4-tuple: proves the address is reachable
  uint64_t token_echo = 0;
  uint64_t packets_sent = 0;
  uint64_t packets_received = 0;
  uint32_t heartbeats_received = 0;
  uint8_t flags = 0;
  auto operator<=>(const Heartbeat&) const = default;
};

struct Close {
  auto operator<=>(const Close&) const = default;
};

using Frame = std::variant<Heartbeat, Close>;

// `out` holds at least CP_HEARTBEAT_SIZE / CP_CLOSE_SIZE bytes.
void write_frame(const Heartbeat& heartbeat, uint8_t* out);
void write_frame(const Close& close, uint8_t* out);
// Nothing when the bytes are no frame of exactly that type's size with its padding zero.
[[nodiscard]] std::optional<Frame> read_frame(ConstBytes plaintext);

}  // namespace centipede::wire
