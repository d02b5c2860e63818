// One seed's story: a network of two to four hosts, a minute or two of faults, then peace; and what must hold.
//
// Hosts 0 and 1 keep their addresses and know each other's; the others roam and know those two. Faults: links get slow,
// lossy, duplicating, reordering, damaging, or fail in one direction or both; uplinks lose carrier, vanish, come back
// with other addresses; hosts restart with and without a goodbye; wall clocks jump. A roaming host that restarts has a
// clock no earlier than it ever had, then and later: without memory and with an old clock nobody could tell its call
// from a replay, and nobody knows where to call it (hosts that others can call may have any clock).
#pragma once

#include <string>
#include <vector>

#include "sim_network.h"

namespace centipede::sim {

struct Outcome {
  std::vector<std::string> violations;
  std::vector<std::string> transcript;
  uint64_t sent = 0;
  uint64_t delivered = 0;
  Duration healed_after{};  // from the end of the faults to a common session everywhere
};

[[nodiscard]] Outcome play(uint64_t seed);

}  // namespace centipede::sim
