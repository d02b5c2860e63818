#include "wire/frame.h"

#include <centipede/wire.h>

#include <algorithm>

namespace centipede::wire {
namespace {

constexpr size_t heartbeat_padding = 61;
constexpr size_t close_padding = 2;

bool zero_from(ConstBytes bytes, size_t offset) {
  return std::ranges::all_of(bytes.subspan(offset), [](uint8_t byte) { return byte == 0; });
}

Heartbeat read_heartbeat(const uint8_t* from) {
  return {.path_id = load_be<uint16_t>(from + 2),
          .number = load_be<uint32_t>(from + 4),
          .send_time_us = load_be<uint64_t>(from + 8),
          .echoed_number = load_be<uint32_t>(from + 16),
          .echo_delay_us = load_be<uint32_t>(from + 20),
          .token = load_be<uint64_t>(from + 24),
          .token_echo = load_be<uint64_t>(from + 32),
          .packets_sent = load_be<uint64_t>(from + 40),
          .packets_received = load_be<uint64_t>(from + 48),
          .heartbeats_received = load_be<uint32_t>(from + 56),
          .flags = from[60]};
}

}  // namespace

void write_frame(const Heartbeat& heartbeat, uint8_t* out) {
  out[0] = 0;
  out[1] = CP_FRAME_HEARTBEAT;
  store_be(out + 2, heartbeat.path_id);
  store_be(out + 4, heartbeat.number);
  store_be(out + 8, heartbeat.send_time_us);
  store_be(out + 16, heartbeat.echoed_number);
  store_be(out + 20, heartbeat.echo_delay_us);
  store_be(out + 24, heartbeat.token);
  store_be(out + 32, heartbeat.token_echo);
  store_be(out + 40, heartbeat.packets_sent);
  store_be(out + 48, heartbeat.packets_received);
  store_be(out + 56, heartbeat.heartbeats_received);
  out[60] = heartbeat.flags;
  std::fill(out + heartbeat_padding, out + CP_HEARTBEAT_SIZE, uint8_t{0});
}

void write_frame(const Close&, uint8_t* out) {
  out[0] = 0;
  out[1] = CP_FRAME_CLOSE;
  std::fill(out + close_padding, out + CP_CLOSE_SIZE, uint8_t{0});
}

std::optional<Frame> read_frame(ConstBytes plaintext) {
  if (plaintext.size() < 2 || plaintext[0] != 0) return std::nullopt;
  if (plaintext[1] == CP_FRAME_HEARTBEAT && plaintext.size() == CP_HEARTBEAT_SIZE &&
      zero_from(plaintext, heartbeat_padding)) {
    return read_heartbeat(plaintext.data());
  }
  if (plaintext[1] == CP_FRAME_CLOSE && plaintext.size() == CP_CLOSE_SIZE && zero_from(plaintext, close_padding)) {
    return Close{};
  }
  return std::nullopt;
}

}  // namespace centipede::wire
