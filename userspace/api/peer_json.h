// The settings of one peer as JSON: one shape for showing them, for giving them anew and for merging patches into them.
//
//   PEER  name, public_key, has_preshared_key, preshared_key_file (where there is one), allowed_ips ["10.10.0.2/32"],
//         endpoints ["203.0.113.5:5820", "vpn.example.org:5820"], policy ("redundant", "backup"), paths [PATH...]
//   PATH  uplink, enabled, priority (number or null)
//
// Preshared keys are never shown. A peer may be given with "preshared_key" (base64; null removes it); without it, it
// keeps the one that it has. has_preshared_key is only shown; given as true where there is no key to keep, it is an
// error. What else is left out or null is as in a configuration file without it.
//
// Errors of reading: EINVAL, with the key's place ("peers[3].allowed_ips[0]: ... is no network; write ..."). Input may
// be anything. Threading: pure functions, but that files of preshared keys are read.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "base/result.h"
#include "control/settings.h"

namespace centipede::api {

[[nodiscard]] nlohmann::json path_settings_json(const control::PathSettings& path);
[[nodiscard]] nlohmann::json peer_settings_json(const control::PeerSettings& peer);

// `where` begins the place in errors ("" or "peers[2].").
[[nodiscard]] Result<control::PathSettings> path_from_json(const nlohmann::json& from, const std::string& where = "");

// What is said of a preshared key.
struct GivenKey {
  enum class What : uint8_t { kept, removed, given };
  What what = What::kept;
  bool needed = false;                           // there must be one to keep
  std::shared_ptr<const crypto::SecretKey> key;  // null with a file: it could not be read
  std::string file;
};
struct GivenPeer {
  control::PeerSettings settings;  // but the preshared key
  GivenKey key;
  std::string where;
};
[[nodiscard]] Result<GivenPeer> peer_from_json(const nlohmann::json& from, const std::string& where = "");
// With what the peer keeps of itself. `running`: null when there is none yet.
[[nodiscard]] Result<control::PeerSettings> settled(const GivenPeer& given, const control::PeerSettings* running);

// A JSON merge patch (RFC 7396) to the shape above.
class PeerPatch {
 public:
  // Reads what is said of a preshared key; the rest is judged when it is applied.
  [[nodiscard]] static Result<PeerPatch> from_json(nlohmann::json patch);
  [[nodiscard]] Result<control::PeerSettings> applied_to(const control::PeerSettings& running) const;

 private:
  PeerPatch(nlohmann::json rest, GivenKey key) : rest_(std::move(rest)), key_(std::move(key)) {}
  nlohmann::json rest_;
  GivenKey key_;
};

}  // namespace centipede::api
