#include "api/peer_json.h"

#include <array>
#include <set>

#include "api/json_fields.h"
#include "api/json_text.h"
#include "api/paths.h"
#include "api/status_json.h"
#include "base/small_file.h"
#include "dataplane/preshared_key_files.h"
#include "dataplane/setting_texts.h"

namespace centipede::api {
namespace {

using nlohmann::json;

constexpr std::array key_members{"preshared_key", "preshared_key_file", "has_preshared_key"};

void read_policy(JsonFields& fields, control::Policy& into) {
  std::string name;
  fields.read("policy", name);
  if (fields.failure() || fields.find("policy") == nullptr) return;
  const auto policy = policy_named(name);
  if (!policy)
    return fields.complain(fields.place("policy"), in_quotes(name) + R"( is no policy; use "redundant" or "backup")");
  into = *policy;
}

void read_allowed_ips(JsonFields& fields, std::vector<Prefix>& into) {
  std::set<Prefix> seen;
  fields.each_text("allowed_ips", [&](const std::string& text, const std::string& where) {
    const auto prefix = Prefix::parse(text);
    if (!prefix)
      return fields.complain(where, in_quotes(text) + R"( is no network; write "10.10.0.2/32" or "fd10::/64")");
    if (prefix->network() != *prefix) {
      return fields.complain(where, text + " has bits beyond its length; write " + prefix->network().text());
    }
    if (!seen.insert(*prefix).second) return fields.complain(where, text + " is given twice; keep one of them");
    into.push_back(*prefix);
  });
}

void read_endpoints(JsonFields& fields, control::PeerSettings& into) {
  std::set<std::string> seen;
  fields.each_text("endpoints", [&](const std::string& given, const std::string& where) {
    const auto endpoint = Endpoint::parse(given);
    const auto host = endpoint ? std::nullopt : parse_host_endpoint(given);
    if (!endpoint && !host) {
      return fields.complain(
          where, in_quotes(given) +
                     R"( is no endpoint; write "203.0.113.5:5820", "[2001:db8::1]:5820" or "vpn.example.org:5820")");
    }
    if (endpoint && !usable_remote(endpoint->address)) {
      return fields.complain(where, given + " is no address that one can send to; write the peer's own, reachable one");
    }
    if (!seen.insert(endpoint ? endpoint->text() : text(*host)).second) {
      return fields.complain(where, given + " is given twice; keep one of them");
    }
    if (endpoint) into.endpoints.push_back(*endpoint);
    if (host) into.host_endpoints.push_back(*host);
  });
}

void read_paths(JsonFields& fields, std::vector<control::PathSettings>& into) {
  std::set<std::string> seen;
  fields.each("paths", [&](const json& row, const std::string& where) {
    auto path = path_from_json(row, where + ".");
    if (path && !seen.insert(path->uplink).second) {
      return fields.complain(where + ".uplink", path->uplink + " is given twice; keep one of them");
    }
    if (!path) return fields.complain(path.error());
    into.push_back(std::move(*path));
  });
}

std::shared_ptr<const crypto::SecretKey> shared_key(std::optional<crypto::SecretKey> key) {
  return key ? std::make_shared<const crypto::SecretKey>(std::move(*key)) : nullptr;
}

GivenKey read_given_key(JsonFields& fields) {
  std::string text;
  GivenKey given;
  fields.read("preshared_key", text);
  const SecretText secret(std::move(text));
  fields.read("preshared_key_file", given.file);
  fields.read("has_preshared_key", given.needed);
  if (fields.failure()) return given;
  const bool has_key = fields.find("preshared_key") != nullptr;
  const bool has_file = fields.find("preshared_key_file") != nullptr;
  if (has_key && has_file) {
    fields.complain(fields.place("preshared_key"), "preshared_key_file is given as well; keep one of them");
  } else if (has_key) {
    given.what = GivenKey::What::given;
    given.key = shared_key(crypto::secret_from_base64(secret.text()));
    if (!given.key) {
      fields.complain(fields.place("preshared_key"),
                      "is no key; it must be 44 characters of base64, as `centipede genpsk` prints them");
    }
  } else if (has_file) {
    given.what = GivenKey::What::given;
    if (!given.file.starts_with('/') || given.file.find('\0') != std::string::npos) {
      fields.complain(fields.place("preshared_key_file"), "is no absolute path; write \"/etc/centipede/...\"");
    } else {
      given.key = shared_key(read_preshared_key(given.file));
    }
  } else if (fields.is_null("preshared_key") || fields.is_null("preshared_key_file")) {
    given.what = GivenKey::What::removed;
  }
  return given;
}

crypto::PublicKey read_public_key(JsonFields& fields) {
  fields.require("public_key");
  std::string text;
  fields.read("public_key", text);
  if (fields.failure()) return {};
  const auto key = crypto::PublicKey::from_base64(text);
  if (key) return *key;
  fields.complain(fields.place("public_key"),
                  "is no valid key; it must be 44 characters of base64, as `centipede pubkey` prints them");
  return {};
}

}  // namespace

json path_settings_json(const control::PathSettings& path) {
  return {{"uplink", path.uplink}, {"enabled", path.enabled}, {"priority", or_null(path.priority)}};
}

json peer_settings_json(const control::PeerSettings& peer) {
  json endpoints = json::array();
  for (const Endpoint& endpoint : peer.endpoints)
    endpoints.push_back(endpoint.text());
  for (const control::HostEndpoint& endpoint : peer.host_endpoints)
    endpoints.push_back(text(endpoint));
  json networks = json::array();
  for (const Prefix& network : peer.allowed_ips)
    networks.push_back(network.text());
  json paths = json::array();
  for (const control::PathSettings& path : peer.paths)
    paths.push_back(path_settings_json(path));
  json out{{"name", peer.name},
           {"public_key", peer.public_key.base64()},
           {"has_preshared_key", peer.preshared_key != nullptr || !peer.preshared_key_file.empty()},
           {"allowed_ips", std::move(networks)},
           {"endpoints", std::move(endpoints)},
           {"policy", policy_name(peer.policy)},
           {"paths", std::move(paths)}};
  if (!peer.preshared_key_file.empty()) out["preshared_key_file"] = peer.preshared_key_file;
  return out;
}

Result<control::PathSettings> path_from_json(const json& from, const std::string& where) {
  JsonFields fields(from, where, {"uplink", "enabled", "priority"});
  control::PathSettings path;
  fields.require("uplink");
  fields.read("uplink", path.uplink);
  if (!fields.failure() && (!valid_interface_name(path.uplink) || is_pattern(path.uplink))) {
    fields.complain(fields.place("uplink"), in_quotes(path.uplink) + " is no name of a device; it has " +
                                                std::string(interface_name_rule) + ", and is no pattern");
  }
  fields.read("enabled", path.enabled);
  fields.read("priority", path.priority);
  if (fields.failure()) return std::unexpected(*fields.failure());
  return path;
}

Result<GivenPeer> peer_from_json(const json& from, const std::string& where) {
  JsonFields fields(from, where,
                    {"name", "public_key", "preshared_key", "preshared_key_file", "has_preshared_key", "allowed_ips",
                     "endpoints", "policy", "paths"});
  GivenPeer peer{.where = where};
  control::PeerSettings& settings = peer.settings;
  settings.public_key = read_public_key(fields);
  settings.name = settings.public_key.base64().substr(0, 8);  // as in a configuration file
  fields.read("name", settings.name);
  if (!fields.failure() && !valid_peer_name(settings.name)) {
    fields.complain(fields.place("name"),
                    in_quotes(settings.name) + " is no name; it has 1 to 64 bytes of printable UTF-8");
  }
  peer.key = read_given_key(fields);
  read_allowed_ips(fields, settings.allowed_ips);
  read_endpoints(fields, settings);
  read_policy(fields, settings.policy);
  read_paths(fields, settings.paths);
  if (fields.failure()) return std::unexpected(*fields.failure());
  return peer;
}

Result<control::PeerSettings> settled(const GivenPeer& given, const control::PeerSettings* running) {
  control::PeerSettings settings = given.settings;
  const GivenKey& key = given.key;
  const bool same_file = running != nullptr && !key.file.empty() && running->preshared_key_file == key.file;
  const bool kept = key.what == GivenKey::What::kept || (same_file && !key.key);
  settings.preshared_key = key.key;
  settings.preshared_key_file = key.file;
  if (kept && running != nullptr) {
    settings.preshared_key = running->preshared_key;
    settings.preshared_key_file = running->preshared_key_file;
  }
  if (!settings.preshared_key_file.empty() && !settings.preshared_key) {
    return fail(given.where + "preshared_key_file: " + in_quotes(key.file) +
                    " cannot be read or holds no key; write one there with `centipede genpsk`",
                EINVAL);
  }
  if (key.needed && !settings.preshared_key) {
    return fail(
        given.where + "has_preshared_key: there is no key to keep; give it as preshared_key or preshared_key_file",
        EINVAL);
  }
  return settings;
}

Result<PeerPatch> PeerPatch::from_json(json patch) {
  SecretJson about_key(json::object());
  for (const char* name : key_members) {
    if (!patch.is_object() || !patch.contains(name)) continue;
    (*about_key)[name] = std::move(patch[name]);
    patch.erase(name);
  }
  JsonFields whole(patch, "", {"name", "public_key", "allowed_ips", "endpoints", "policy", "paths"});
  if (whole.failure()) return std::unexpected(*whole.failure());
  JsonFields fields(*about_key, "", {"preshared_key", "preshared_key_file", "has_preshared_key"});
  GivenKey key = read_given_key(fields);
  if (fields.failure()) return std::unexpected(*fields.failure());
  return PeerPatch(std::move(patch), std::move(key));
}

Result<control::PeerSettings> PeerPatch::applied_to(const control::PeerSettings& running) const {
  json merged = peer_settings_json(running);
  for (const char* name : key_members)
    merged.erase(name);
  merged.merge_patch(rest_);
  auto given = peer_from_json(merged);
  if (!given) return std::unexpected(given.error());
  given->key = key_;
  return settled(*given, &running);
}

}  // namespace centipede::api
