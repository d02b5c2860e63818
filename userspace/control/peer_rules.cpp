#include "control/peer_rules.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

namespace centipede::control {
namespace {

// What is wrong with one peer by itself; empty: nothing.
std::string fault_of(const PeerSettings& peer, const crypto::PublicKey& own_key) {
  if (peer.public_key == crypto::PublicKey{}) return "it has no public key";
  if (peer.public_key == own_key) return "the public key is our own: give that of the other side";
  for (const Prefix& network : peer.allowed_ips) {
    if (network.address.bits() == 0 || network.length > network.address.bits()) return "a network has no address";
    if (network.network() != network) return network.text() + " has bits beyond its length";
  }
  for (const Endpoint& endpoint : peer.endpoints)
    if (!endpoint.address || endpoint.port == 0) return "endpoint " + endpoint.text() + " lacks address or port";
  for (const HostEndpoint& endpoint : peer.host_endpoints)
    if (endpoint.host.empty() || endpoint.port == 0) return "endpoint " + endpoint.host + " lacks name or port";
  std::set<std::string_view> uplinks;
  for (const PathSettings& path : peer.paths) {
    if (path.uplink.empty()) return "settings of a path name no uplink";
    if (!uplinks.insert(path.uplink).second) return "uplink " + path.uplink + " has settings twice: keep one of them";
  }
  return "";
}

struct PrefixHash {
  size_t operator()(const Prefix& prefix) const {
    return std::hash<IpAddress>{}(prefix.address) ^ (size_t{prefix.length} << 56);
  }
};

}  // namespace

std::string display_name(const PeerSettings& peer) {
  return peer.name.empty() ? peer.public_key.base64() : peer.name;
}

bool same_preshared_key(const PeerSettings& a, const PeerSettings& b) {
  if (a.preshared_key == b.preshared_key) return true;
  return a.preshared_key && b.preshared_key && a.preshared_key->equals(*b.preshared_key);
}

std::string differences(const PeerSettings& before, const PeerSettings& after) {
  std::string fields;
  const auto note = [&](bool same, const char* field) {
    if (!same) fields += (fields.empty() ? "" : ", ") + std::string(field);
  };
  note(display_name(before) == display_name(after), "name");
  note(before.public_key == after.public_key, "public_key");
  note(same_preshared_key(before, after), "preshared_key");
  note(before.preshared_key_file == after.preshared_key_file, "preshared_key_file");
  note(before.allowed_ips == after.allowed_ips, "allowed_ips");
  note(before.endpoints == after.endpoints && before.host_endpoints == after.host_endpoints, "endpoints");
  note(before.policy == after.policy, "policy");
  note(before.paths == after.paths, "paths");
  return fields;
}

Result<void> check_peers(const std::vector<PeerSettings>& peers, const crypto::PublicKey& own_key) {
  std::unordered_map<crypto::PublicKeyBytes, const PeerSettings*, KeyHash> keys;
  keys.reserve(peers.size());
  for (const PeerSettings& peer : peers) {
    if (std::string fault = fault_of(peer, own_key); !fault.empty())
      return fail("peer " + display_name(peer) + ": " + fault, EINVAL);
    const auto [other, is_new] = keys.emplace(peer.public_key.bytes(), &peer);
    if (!is_new) {
      return fail("peer " + display_name(peer) + ": peer " + display_name(*other->second) + " has this public key",
                  EEXIST);
    }
  }
  std::unordered_set<std::string> names;
  std::unordered_map<Prefix, const PeerSettings*, PrefixHash> networks;
  names.reserve(peers.size());
  networks.reserve(peers.size());
  for (const PeerSettings& peer : peers) {
    const std::string name = display_name(peer);
    if (!names.insert(name).second) return fail("peer " + name + ": another peer has this name", EEXIST);
    // Peers are asked for by either.
    const auto key = peer.name.empty() ? std::nullopt : crypto::PublicKey::from_base64(peer.name);
    if (key && *key != peer.public_key && keys.contains(key->bytes()))
      return fail("peer " + name + ": the name is another peer's public key", EEXIST);
    for (const Prefix& network : peer.allowed_ips) {
      const auto [other, is_new] = networks.emplace(network, &peer);
      if (is_new || other->second == &peer) continue;
      return fail("peer " + name + ": peer " + display_name(*other->second) + " has the network " + network.text(),
                  EEXIST);
    }
  }
  return {};
}

}  // namespace centipede::control
