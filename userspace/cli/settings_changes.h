// What differs between two settings of a tunnel, in words. Pure functions.
#pragma once

#include <string>
#include <vector>

#include "dataplane/tunnel_config.h"

namespace centipede::cli {

// A line each: "uplink wwan0: added", "peer office: allowed_ips, policy", "exclude_uplinks". Peers are told apart by
// their public keys. No secrets.
[[nodiscard]] std::vector<std::string> changes_between(const TunnelSettings& before, const TunnelSettings& after);

// The keys of [interface] that cannot change while the tunnel runs, with what they hold as text; of the private key the
// public half.
struct FixedKey {
  std::string key;
  std::string value;
};
[[nodiscard]] std::vector<FixedKey> fixed_part(const TunnelConfig& config);

}  // namespace centipede::cli
