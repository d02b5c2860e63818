#include "cli/settings_changes.h"

#include <algorithm>
#include <map>

#include "api/interface_json.h"

namespace centipede::cli {
namespace {

using control::PeerSettings;

// "peer office: name, policy", when there is anything.
void add_line(std::vector<std::string>& lines, const std::string& what, const std::vector<const char*>& keys) {
  std::string line = what + ":";
  for (const char* key : keys)
    line += std::string(line.ends_with(':') ? " " : ", ") + key;
  if (!keys.empty()) lines.push_back(line);
}

bool same_secret(const PeerSettings& one, const PeerSettings& other) {
  if (!one.preshared_key || !other.preshared_key) return one.preshared_key == other.preshared_key;
  return one.preshared_key->equals(*other.preshared_key);
}

std::vector<const char*> changed_keys(const PeerSettings& before, const PeerSettings& after) {
  std::vector<const char*> keys;
  if (before.name != after.name) keys.push_back("name");
  if (!same_secret(before, after)) keys.push_back("preshared_key");
  if (before.preshared_key_file != after.preshared_key_file) keys.push_back("preshared_key_file");
  if (before.allowed_ips != after.allowed_ips) keys.push_back("allowed_ips");
  if (before.endpoints != after.endpoints || before.host_endpoints != after.host_endpoints) keys.push_back("endpoints");
  if (before.policy != after.policy) keys.push_back("policy");
  if (before.paths != after.paths) keys.push_back("path");
  return keys;
}

std::vector<const char*> changed_keys(const UplinkSettings& before, const UplinkSettings& after) {
  std::vector<const char*> keys;
  if (before.priority != after.priority) keys.push_back("priority");
  if (before.metered != after.metered) keys.push_back("metered");
  if (before.rate_bps != after.rate_bps) keys.push_back("rate");
  return keys;
}

// Those of one kind, whose rows `key_of` tells apart: what has gone, what has changed, what is new.
template <class Row, class KeyOf>
void compare(std::vector<std::string>& lines, const std::string& kind, const std::vector<Row>& before,
             const std::vector<Row>& after, KeyOf key_of) {
  std::map<std::decay_t<decltype(std::invoke(key_of, before.front()))>, const Row*> old;
  for (const Row& row : before)
    old.emplace(std::invoke(key_of, row), &row);
  std::vector<std::string> added;
  for (const Row& row : after) {
    const auto found = old.find(std::invoke(key_of, row));
    if (found == old.end()) {
      added.push_back(kind + " " + row.name + ": added");
    } else {
      add_line(lines, kind + " " + found->second->name, changed_keys(*found->second, row));
      old.erase(found);
    }
  }
  for (const auto& [key, row] : old)
    lines.push_back(kind + " " + row->name + ": removed");
  lines.insert(lines.end(), added.begin(), added.end());
}

template <class T>
std::string texts(const std::vector<T>& values) {
  std::string all;
  for (const T& value : values) {
    if constexpr (std::is_same_v<T, std::string>) {
      all += value + " ";
    } else {
      all += value.text() + " ";
    }
  }
  if (!all.empty()) all.pop_back();
  return all;
}

const char* text(bool value) {
  return value ? "true" : "false";
}

}  // namespace

std::vector<std::string> changes_between(const TunnelSettings& before, const TunnelSettings& after) {
  std::vector<std::string> lines;
  compare(lines, "uplink", before.uplinks, after.uplinks, &UplinkSettings::name);
  const auto by_place = [](const UplinkSettings& one, const UplinkSettings& other) { return one.name == other.name; };
  if (lines.empty() && !std::ranges::equal(before.uplinks, after.uplinks, by_place))
    lines.emplace_back("uplinks: order");
  if (before.excluded_uplinks != after.excluded_uplinks) lines.emplace_back("exclude_uplinks");
  compare(lines, "peer", before.peers, after.peers, &PeerSettings::public_key);
  return lines;
}

std::vector<FixedKey> fixed_part(const TunnelConfig& config) {
  return {{"private_key", "of " + config.identity.public_key().base64()},
          {"private_key_file", config.private_key_file},
          {"address", texts(config.addresses)},
          {"listen_port", std::to_string(config.listen_port)},
          {"workers", std::to_string(config.workers)},
          {"mode", api::name_of(config.mode, api::mode_names)},
          {"aead", api::name_of(config.aead, api::aead_names)},
          {"busy_poll_us", std::to_string(config.busy_poll_us)},
          {"mtu", std::to_string(config.mtu)},
          {"window", std::to_string(uint64_t{1} << config.window_bits)},
          {"heartbeat_ms", std::to_string(config.heartbeat_ms)},
          {"rekey_seconds", std::to_string(config.rekey_seconds)},
          {"routes", text(config.routes)},
          {"kill_switch", text(config.kill_switch)},
          {"dns", texts(config.dns)},
          {"dns_search", texts(config.dns_search)}};
}

}  // namespace centipede::cli
