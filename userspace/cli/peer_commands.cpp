#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <ostream>

#include "api/status_json.h"
#include "cli/running_commands.h"
#include "cli/running_tunnel.h"
#include "cli/status_text.h"
#include "cli/table.h"
#include "crypto/keys.h"
#include "dataplane/preshared_key_files.h"
#include "dataplane/setting_texts.h"

namespace centipede::cli {
namespace {

using nlohmann::json;

// A list as it was typed; "none" alone is an empty one.
std::vector<std::string> listed(const std::vector<std::string>& typed) {
  if (typed == std::vector<std::string>{"none"}) return {};
  return typed;
}

Result<void> add_once(json& list, const std::string& text) {
  if (std::ranges::find(list, json(text)) != list.end())
    return fail(text + " is given twice; keep one of them", EINVAL);
  list.push_back(text);
  return {};
}

Result<void> put_allowed_ips(const PeerOptions& options, json& body) {
  if (options.allowed_ips.empty()) return {};
  json networks = json::array();
  for (const auto& text : listed(options.allowed_ips)) {
    const auto prefix = Prefix::parse(text);
    if (!prefix) {
      return fail("\"" + text + "\" is no network; write 10.10.0.2/32,fd10::/64 or none", EINVAL);
    }
    if (auto once = add_once(networks, prefix->network().text()); !once) return once;
  }
  body["allowed_ips"] = std::move(networks);
  return {};
}

Result<void> put_endpoints(const PeerOptions& options, json& body) {
  if (options.endpoints.empty()) return {};
  json endpoints = json::array();
  for (const auto& text : listed(options.endpoints)) {
    const auto endpoint = Endpoint::parse(text);
    const bool usable = endpoint ? usable_remote(endpoint->address) : parse_host_endpoint(text).has_value();
    if (!usable) {
      return fail("\"" + text +
                      "\" is no endpoint; write 203.0.113.5:5820, [2001:db8::1]:5820, vpn.example.org:5820 "
                      "or none",
                  EINVAL);
    }
    if (auto once = add_once(endpoints, endpoint ? endpoint->text() : text); !once) return once;
  }
  body["endpoints"] = std::move(endpoints);
  return {};
}

// The daemon reads the file itself, anew at each handshake; what is wrong with it is told here.
Result<void> put_preshared_key(const PeerOptions& options, json& body) {
  if (options.no_preshared_key) body["preshared_key"] = nullptr;
  if (!options.preshared_key_file) return {};
  std::error_code no_folder;
  const auto path = std::filesystem::absolute(*options.preshared_key_file, no_folder);
  if (no_folder || !read_preshared_key(path.string())) {
    return fail(path.string() + " cannot be read or holds no key; make one with `centipede genpsk -o FILE`", EINVAL);
  }
  body["preshared_key_file"] = path.string();
  return {};
}

// All that the options say, checked.
Result<json> peer_body(const PeerOptions& options) {
  json body = json::object();
  if (options.name) {
    if (!valid_peer_name(*options.name)) {
      return fail("the name is empty, longer than 64 bytes or not printable; give the peer a short name", EINVAL);
    }
    body["name"] = *options.name;
  }
  for (const auto put : {put_allowed_ips, put_endpoints, put_preshared_key}) {
    if (auto checked = put(options, body); !checked) return std::unexpected(checked.error());
  }
  if (options.policy) body["policy"] = *options.policy;
  return body;
}

const control::PeerStatus* find_peer(const TunnelStatus& status, const std::string& name_or_key) {
  const auto is_it = [&](const control::PeerStatus& peer) {
    return peer.name == name_or_key || peer.public_key.base64() == name_or_key;
  };
  const auto found = std::ranges::find_if(status.peers, is_it);
  return found == status.peers.end() ? nullptr : &*found;
}

int no_such_peer(Host& host, const std::string& peer) {
  return complain(host, failed, "there is no peer \"" + peer + "\": `centipede peer list` shows those there are");
}

}  // namespace

int peer_list(Host& host, const PeerOptions& options) {
  RunningTunnelClient tunnel(host, options.interface);
  if (!tunnel.valid()) return tunnel.code();
  if (options.json) {
    const auto answer = tunnel.request("GET", target({"peers"}));
    return answer ? say(host, *answer) : tunnel.code();
  }
  const auto status = tunnel.status();
  if (!status) return tunnel.code();
  if (status->peers.empty()) return say(host, "no peers (add one with `centipede peer add KEY`)");
  Table table({{"peer", Table::Align::left, 8},
               {"policy"},
               {"paths up", Table::Align::right},
               {"session", Table::Align::right},
               {"handshake", Table::Align::right},
               {"allowed", Table::Align::left, 12}});
  for (const auto& peer : status->peers) {
    const auto up = std::ranges::count(peer.paths, control::PathState::active, &control::PathStatus::state);
    std::string allowed;
    for (const auto& network : peer.allowed_ips)
      allowed += (allowed.empty() ? "" : ", ") + network.text();
    table.add({peer.name, api::policy_name(peer.policy), fmt::format("{} of {}", up, peer.paths.size()),
               peer.session_age ? short_duration(*peer.session_age) : "none",
               peer.last_handshake ? short_duration(*peer.last_handshake) + " ago" : "never", allowed});
  }
  host.out << table.text() << std::flush;
  return done;
}

int peer_show(Host& host, const PeerOptions& options) {
  RunningTunnelClient tunnel(host, options.interface);
  if (!tunnel.valid()) return tunnel.code();
  if (options.json) {
    const auto answer = tunnel.request("GET", target({"peers", options.peer}));
    return answer ? say(host, *answer) : tunnel.code();
  }
  const auto status = tunnel.status();
  if (!status) return tunnel.code();
  const auto* peer = find_peer(*status, options.peer);
  if (peer == nullptr) return no_such_peer(host, options.peer);
  host.out << peer_text(*status, *peer, host.colours) << std::flush;
  return done;
}

int peer_add(Host& host, const PeerOptions& options) {
  RunningTunnelClient tunnel(host, options.interface);
  if (!tunnel.valid()) return tunnel.code();
  if (auto ready = crypto::initialise(); !ready) return complain(host, failed, ready.error().text);
  const auto key = crypto::PublicKey::from_base64(options.peer);
  if (!key) {
    return complain(host, wrong_usage,
                    "\"" + options.peer +
                        "\" is no public key; give the 44 characters that `centipede pubkey` prints "
                        "on the other side");
  }
  auto body = peer_body(options);
  if (!body) return complain(host, wrong_usage, body.error().text);
  (*body)["public_key"] = key->base64();
  if (!tunnel.request("POST", target({"peers"}), *body)) return tunnel.code();
  return say(host, "peer " + options.name.value_or(key->base64().substr(0, 8)) + ": added to " + options.interface);
}

int peer_set(Host& host, const PeerOptions& options) {
  RunningTunnelClient tunnel(host, options.interface);
  if (!tunnel.valid()) return tunnel.code();
  if (auto ready = crypto::initialise(); !ready) return complain(host, failed, ready.error().text);
  auto body = peer_body(options);
  if (!body) return complain(host, wrong_usage, body.error().text);
  if (body->empty()) {
    return complain(host, wrong_usage, "nothing to set: name what shall change (centipede peer set --help lists it)");
  }
  if (!tunnel.request("PATCH", target({"peers", options.peer}), *body)) return tunnel.code();
  return say(host, "peer " + options.peer + ": changed");
}

int peer_remove(Host& host, const PeerOptions& options) {
  RunningTunnelClient tunnel(host, options.interface);
  if (!tunnel.valid()) return tunnel.code();
  if (!tunnel.request("DELETE", target({"peers", options.peer}))) return tunnel.code();
  return say(host, "peer " + options.peer + ": removed from " + options.interface);
}

}  // namespace centipede::cli
