// What may change while a tunnel runs, as JSON: one shape for showing it and for replacing it whole. Peers:
// peer_json.h.
//
//   {"uplinks": [UPLINK...], "exclude_uplinks": ["docker*"], "peers": [PEER...]}
//   UPLINK  name (of a device, or a pattern with * and ?), priority (number or null), metered, rate_bps (0: unknown)
//
// Errors of reading: EINVAL, with the key's place ("uplinks[3].name: ... is no name; ..."). Input may be anything.
// Threading: pure functions, but that files of preshared keys are read.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "api/peer_json.h"
#include "base/result.h"
#include "dataplane/tunnel_config.h"

namespace centipede::api {

[[nodiscard]] nlohmann::json uplink_settings_json(const UplinkSettings& uplink);
// As text, peer by peer: a tree of ten thousand takes tens of megabytes.
[[nodiscard]] std::string settings_json(const TunnelSettings& settings);

// `where` begins the place in errors ("" or "uplinks[2].").
[[nodiscard]] Result<UplinkSettings> uplink_from_json(const nlohmann::json& from, const std::string& where = "");

struct GivenSettings {
  TunnelSettings settings;  // but its peers
  std::vector<GivenPeer> peers;
};
[[nodiscard]] Result<GivenSettings> settings_from_json(const nlohmann::json& from);
// In the place of `running`, with what its peers keep.
Result<void> replace(TunnelSettings& running, const GivenSettings& given);

// As others than the daemon see them.
struct ShownSettings {
  TunnelSettings settings;                            // without preshared keys
  std::vector<crypto::PublicKey> with_preshared_key;  // of the peers that have one
};
[[nodiscard]] Result<ShownSettings> shown_settings_from_json(std::string_view text);

}  // namespace centipede::api
