// What goes wrong in a network: one fault at a time, drawn from its randomness. Threading: as the network's owner.
#pragma once

#include "sim_network.h"

namespace centipede::sim {

class Faults {
 public:
  explicit Faults(SimNetwork& network) : network_(network) {}

  void inject();
  // All links good, every uplink there with an address of each family that it can have, all preshared keys alike.
  void make_peace();
  void set_quality(SimNetwork::Link& link, bool bad);

 private:
  SimRandom& random() { return network_.random; }
  uint32_t any_host() { return static_cast<uint32_t>(random().below(network_.hosts().size())); }
  control::UplinkId any_uplink() { return static_cast<control::UplinkId>(random().below(uplinks_each)); }

  void worsen_links();
  void isolate(uint32_t host);
  void lose_carrier(uint32_t host);
  void change_uplink(uint32_t host);
  void restart(uint32_t host);
  void jump_clock(uint32_t host);
  void replace_key(uint32_t host);

  SimNetwork& network_;
};

}  // namespace centipede::sim
