// What must hold for the settings of all peers together: each key, name and network is one peer's. Pure.
// Errors: EINVAL for what makes no sense by itself, EEXIST for what two peers have; the text names the peer.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "control/settings.h"

namespace centipede::control {

// Of public keys. They are the user's choice, nobody else's: strangers are only looked up.
struct KeyHash {
  size_t operator()(const crypto::PublicKeyBytes& key) const {
    return std::hash<std::string_view>{}({reinterpret_cast<const char*>(key.data()), key.size()});
  }
};

[[nodiscard]] Result<void> check_peers(const std::vector<PeerSettings>& peers, const crypto::PublicKey& own_key);

// What has changed, as the configuration file names it: "allowed_ips, policy"; empty: nothing.
[[nodiscard]] std::string differences(const PeerSettings& before, const PeerSettings& after);
// Both none, or the same bytes.
[[nodiscard]] bool same_preshared_key(const PeerSettings& a, const PeerSettings& b);

// The name, or the key where there is none.
[[nodiscard]] std::string display_name(const PeerSettings& peer);

}  // namespace centipede::control
