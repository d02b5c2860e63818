// One seed's story: a network of two to four hosts, a minute or two of faults, then peace; and what must hold.
//
// Hosts 0 and 1 keep their addresses and know each other's; the others roam and know those two. Faults: links get slow,
// lossy, duplicating, reordering, damaging, or fail in one direction or both; uplinks lose carrier, vanish, come back
// with other addresses; hosts restart with and without a goodbye; wall clocks jump; preshared keys are replaced on one
// side first. In three networks of four an attacker owns links, of each pair of hosts all but one, and never rests.
//
// Held all the time: ledger.h and watch.h, limits on what a host keeps, no spinning timer. Held in peace: all have a
// common session within a bound, data flows, no handshakes beyond what is due, and where one honest link is left and
// the policy is to use every path, no packet is lost, whatever the attacker does on the others.
//
// A host whose disk had not written all when it died comes back with a clock that is no earlier than it ever was:
// without that nobody, itself included, could tell its next call from a replay.
#pragma once

#include <string>
#include <vector>

#include "ledger.h"

namespace centipede::sim {

struct Outcome {
  Violations violations;
  std::vector<std::string> transcript;  // empty unless recorded
  uint64_t sent = 0;
  uint64_t delivered = 0;
  uint64_t kept_safe = 0;   // packets of which one honest link was all they had
  uint64_t attacks = 0;     // datagrams that the attacker put onto a link
  bool apart = false;       // two hosts chose different ones of crossing handshakes, for a while
  Duration healed_after{};  // from the end of the faults to a common session everywhere
};

enum class Recording : bool { off, on };
[[nodiscard]] Outcome play(uint64_t seed, Recording recording = Recording::off);

}  // namespace centipede::sim
