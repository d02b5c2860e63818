// How the uplinks receive, and the rule by which mode = "auto" chooses for each. Whoever opens an uplink and whoever
// predicts what will come of it ask here. Pure.
#pragma once

#include <cstdint>
#include <string_view>

namespace centipede {

enum class ReceiveMode : uint8_t {
  automatic,  // choose_receive(); where XDP is refused, UDP; said in the log and in status
  xdp,        // XDP or the uplink is refused
  udp,        // the same pipeline on UDP sockets alone
};

struct ReceiveChoice {
  bool try_xdp = false;
  std::string_view reason;  // why not, where the rule decided
};

// hardware: LinkState::hardware. From a bus, frames come one by one, and the XDP program runs before a socket buffer
// exists. A device of software passes socket buffers on, whole trains of packets in one; for XDP they would have to be
// cut and copied first (docs/performance.md has the figures).
[[nodiscard]] constexpr ReceiveChoice choose_receive(ReceiveMode mode, bool hardware) {
  if (mode == ReceiveMode::udp) return {};
  if (mode == ReceiveMode::xdp || hardware) return {.try_xdp = true, .reason = {}};
  return {.try_xdp = false,
          .reason = "a device of software hands over packets in trains, which UDP sockets take whole"};
}

}  // namespace centipede
