// The network of a seed as it is in the beginning, and what it is like: drawn from the network's randomness. Pure.
#pragma once

#include <memory>

#include "attacker.h"
#include "sim_network.h"

namespace centipede::sim {

// What a seed chooses before anything happens.
struct Character {
  explicit Character(uint64_t seed);

  size_t hosts = 2;
  bool lives_fast = false;  // rekeying, old age and wiping happen within its minute
  bool attacked = false;
  bool one_policy = true;  // policy redundant everywhere
  bool slow_disks = false;
  control::Timing timing;  // but for the heartbeat interval, which is each host's own
  control::GateLimits gate;
};

[[nodiscard]] IpAddress v4(uint32_t host, control::UplinkId uplink, uint8_t generation);
[[nodiscard]] IpAddress v6(uint32_t host, control::UplinkId uplink, uint8_t generation);
[[nodiscard]] control::Uplink uplink_of(uint32_t host, control::UplinkId id, std::vector<IpAddress> addresses);
// As it is when nothing has happened to it.
[[nodiscard]] control::Uplink home_uplink(uint32_t host, control::UplinkId id);

void build_hosts(SimNetwork& network, const Character& character);
void introduce_peers(SimNetwork& network, const Character& character);
// Whose links between hosts a and b are all the attacker's, but for this one: by uplink of a and of b, a < b.
using HonestLinks = std::map<std::pair<uint32_t, uint32_t>, std::pair<control::UplinkId, control::UplinkId>>;
[[nodiscard]] HonestLinks give_links_away(SimNetwork& network, Attacker& attacker);

}  // namespace centipede::sim
