// The keys of the simulated hosts, the same in every network. Threading: immutable.
#pragma once

#include <vector>

#include "crypto/keys.h"

namespace centipede::sim {

[[nodiscard]] inline const crypto::Identity& identity(uint32_t host) {
  static const std::vector<crypto::Identity> made = [] {
    (void)crypto::initialise();
    std::vector<crypto::Identity> all;
    for (uint8_t seed = 1; seed <= 8; ++seed) {
      crypto::SecretKey secret;
      secret.data()[0] = seed;
      all.push_back(crypto::Identity::from_seed(secret));
    }
    return all;
  }();
  return made[host];
}

}  // namespace centipede::sim
