#include "api/config_json.h"

#include <map>

#include "api/json_fields.h"
#include "api/json_text.h"
#include "api/paths.h"

namespace centipede::api {
namespace {

using nlohmann::json;

constexpr uint64_t highest_rate_bps = 1'000'000'000'000;  // as the configuration file has it

std::string no_uplink_name(const std::string& name) {
  return in_quotes(name) + " is no name of a device or pattern; it has " + std::string(interface_name_rule);
}

}  // namespace

json uplink_settings_json(const UplinkSettings& uplink) {
  return {{"name", uplink.name},
          {"priority", or_null(uplink.priority)},
          {"metered", uplink.metered},
          {"rate_bps", uplink.rate_bps}};
}

std::string settings_json(const TunnelSettings& settings) {
  json uplinks = json::array();
  for (const UplinkSettings& uplink : settings.uplinks)
    uplinks.push_back(uplink_settings_json(uplink));
  json rest{{"uplinks", std::move(uplinks)}, {"exclude_uplinks", settings.excluded_uplinks}};
  return with_list(rest, "peers", settings.peers, peer_settings_json);
}

Result<UplinkSettings> uplink_from_json(const json& from, const std::string& where) {
  JsonFields fields(from, where, {"name", "priority", "metered", "rate_bps"});
  UplinkSettings uplink;
  fields.require("name");
  fields.read("name", uplink.name);
  if (!fields.failure() && !valid_interface_name(uplink.name)) {
    fields.complain(fields.place("name"), no_uplink_name(uplink.name));
  }
  fields.read("priority", uplink.priority);
  fields.read("metered", uplink.metered);
  fields.read("rate_bps", uplink.rate_bps, highest_rate_bps);
  if (fields.failure()) return std::unexpected(*fields.failure());
  return uplink;
}

Result<GivenSettings> settings_from_json(const json& from) {
  JsonFields fields(from, "", {"uplinks", "exclude_uplinks", "peers"});
  // Nothing is removed because somebody forgot to name it.
  for (const char* key : {"uplinks", "exclude_uplinks", "peers"})
    fields.require(key);
  GivenSettings given;
  fields.each("uplinks", [&](const json& row, const std::string& where) {
    auto uplink = uplink_from_json(row, where + ".");
    if (!uplink) return fields.complain(uplink.error());
    given.settings.uplinks.push_back(std::move(*uplink));
  });
  fields.each_text("exclude_uplinks", [&](const std::string& text, const std::string& where) {
    if (!valid_interface_name(text)) return fields.complain(where, no_uplink_name(text));
    given.settings.excluded_uplinks.push_back(text);
  });
  fields.each("peers", [&](const json& row, const std::string& where) {
    auto peer = peer_from_json(row, where + ".");
    if (!peer) return fields.complain(peer.error());
    given.peers.push_back(std::move(*peer));
  });
  if (fields.failure()) return std::unexpected(*fields.failure());
  return given;
}

Result<void> replace(TunnelSettings& running, const GivenSettings& given) {
  std::map<crypto::PublicKey, const control::PeerSettings*> known;
  for (const control::PeerSettings& peer : running.peers)
    known.emplace(peer.public_key, &peer);
  TunnelSettings next = given.settings;
  for (const GivenPeer& peer : given.peers) {
    const auto found = known.find(peer.settings.public_key);
    auto settings = settled(peer, found == known.end() ? nullptr : found->second);
    if (!settings) return std::unexpected(settings.error());
    next.peers.push_back(std::move(*settings));
  }
  running = std::move(next);
  return {};
}

Result<ShownSettings> shown_settings_from_json(std::string_view text) {
  auto from = parse_json(text);
  if (!from || !from->is_object() || !from->contains("peers") || !(*from)["peers"].is_array()) {
    return fail("reading the settings: they are no JSON of a tunnel", EPROTO);
  }
  // Their key files are the daemon's to read.
  std::vector<std::string> files;
  std::vector<bool> keys;
  for (json& peer : (*from)["peers"]) {
    const bool is_object = peer.is_object();
    keys.push_back(is_object && peer.contains("has_preshared_key") && peer["has_preshared_key"] == true);
    const bool has_file = is_object && peer.contains("preshared_key_file") && peer["preshared_key_file"].is_string();
    files.push_back(has_file ? peer["preshared_key_file"].get<std::string>() : "");
    if (!is_object) continue;
    peer.erase("has_preshared_key");
    peer.erase("preshared_key_file");
  }
  auto given = settings_from_json(*from);
  if (!given) return fail("reading the settings: " + given.error().text, EPROTO);
  ShownSettings shown{.settings = std::move(given->settings)};
  for (size_t i = 0; i < given->peers.size(); ++i) {
    control::PeerSettings& peer = shown.settings.peers.emplace_back(std::move(given->peers[i].settings));
    peer.preshared_key_file = files[i];
    if (keys[i]) shown.with_preshared_key.push_back(peer.public_key);
  }
  return shown;
}

}  // namespace centipede::api
