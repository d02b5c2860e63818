#include <spdlog/fmt/fmt.h>

#include <charconv>
#include <nlohmann/json.hpp>
#include <ostream>

#include "api/status_json.h"
#include "cli/running_commands.h"
#include "cli/running_tunnel.h"
#include "cli/status_text.h"
#include "cli/table.h"
#include "dataplane/setting_texts.h"

namespace centipede::cli {
namespace {

using nlohmann::json;

// A number from 0, or null for "none".
Result<json> priority_json(const std::string& typed) {
  if (typed == "none") return json(nullptr);
  uint32_t number = 0;
  const auto [end, error] = std::from_chars(typed.data(), typed.data() + typed.size(), number);
  if (error != std::errc{} || end != typed.data() + typed.size()) {
    return fail("\"" + typed + "\" is no priority; give a number from 0 to 4294967295 (lower is preferred) or none",
                EINVAL);
  }
  return json(number);
}

Result<void> check_device(const std::string& name, bool may_be_pattern) {
  if (api::valid_interface_name(name) && (may_be_pattern || !is_pattern(name))) return {};
  return fail("\"" + name +
                  "\" is no name of a device; use 1 to 15 visible characters without '/', ':' and '%', as "
                  "`ip link` shows them",
              EINVAL);
}

Result<json> uplink_body(const UplinkOptions& options) {
  if (auto named = check_device(options.name, true); !named) return std::unexpected(named.error());
  json body = json::object();
  if (options.priority) {
    auto priority = priority_json(*options.priority);
    if (!priority) return std::unexpected(priority.error());
    body["priority"] = std::move(*priority);
  }
  if (options.metered) body["metered"] = *options.metered == "yes";
  if (options.rate) {
    const auto rate = *options.rate == "none" ? 0 : parse_rate(*options.rate);
    if (!rate) {
      return fail("\"" + *options.rate + "\" is no rate; give bits a second, such as 20M or 1G (up to 1000G), or none",
                  EINVAL);
    }
    body["rate_bps"] = *rate;
  }
  return body;
}

std::string path_target(const PathOptions& options) {
  return target({"peers", options.peer, "paths", options.uplink});
}

int change_path(Host& host, const PathOptions& options, const json& body, const std::string& outcome) {
  RunningTunnelClient tunnel(host, options.interface);
  if (!tunnel.valid()) return tunnel.code();
  if (auto named = check_device(options.uplink, false); !named) return complain(host, wrong_usage, named.error().text);
  if (!tunnel.request("PATCH", path_target(options), body)) return tunnel.code();
  return say(host, "path to " + options.peer + " over " + options.uplink + ": " + outcome);
}

// Every path of every peer, or of one, each with its peer's name, out of the status.
json paths_json(const json& status, const std::string& peer) {
  json paths = json::array();
  for (const auto& row : status["peers"]) {
    if (!peer.empty() && row["name"] != peer && row["public_key"] != peer) continue;
    for (json path : row["paths"]) {
      path["peer"] = row["name"];
      paths.push_back(std::move(path));
    }
  }
  return paths;
}

}  // namespace

int path_list(Host& host, const PathOptions& options) {
  RunningTunnelClient tunnel(host, options.interface);
  if (!tunnel.valid()) return tunnel.code();
  const auto answer = tunnel.request("GET", target({"status"}));
  if (!answer) return tunnel.code();
  const auto status = api::status_from_json(*answer);
  if (!status) return tunnel.tell(status.error());
  Table table({{"peer", Table::Align::left, 8},
               {"uplink"},
               {"state"},
               {"data"},
               {"prio", Table::Align::right},
               {"rtt ms", Table::Align::right},
               {"late ms", Table::Align::right},
               {"remote", Table::Align::left, 9}});
  bool found = options.peer.empty();
  for (const auto& peer : status->peers) {
    if (!options.peer.empty() && peer.name != options.peer && peer.public_key.base64() != options.peer) continue;
    found = true;
    for (const auto& path : peer.paths) {
      table.add({peer.name, path.uplink_name, api::state_name(path.state),
                 !path.enabled  ? "off"
                 : path.sending ? "sent"
                                : "-",
                 std::to_string(path.priority), path.rtt ? milliseconds_text(*path.rtt) : "?",
                 path.late ? milliseconds_text(*path.late) : "?", path.remote.text()});
    }
  }
  if (!found) {
    return complain(host, failed,
                    "there is no peer \"" + options.peer + "\": `centipede peer list` shows those there are");
  }
  if (options.json) return say(host, paths_json(json::parse(*answer), options.peer).dump());
  if (table.empty()) return say(host, "no path yet");
  host.out << table.text() << std::flush;
  return done;
}

int path_set(Host& host, const PathOptions& options) {
  auto priority = priority_json(options.priority);
  if (!priority) return complain(host, wrong_usage, priority.error().text);
  return change_path(host, options, {{"priority", *priority}}, "priority " + options.priority);
}

int path_enable(Host& host, const PathOptions& options, bool enabled) {
  return change_path(host, options, {{"enabled", enabled}},
                     enabled ? "up, as the policy wants it" : "down, heartbeats alone are sent");
}

int uplink_list(Host& host, const UplinkOptions& options) {
  RunningTunnelClient tunnel(host, options.interface);
  if (!tunnel.valid()) return tunnel.code();
  if (options.json) {
    const auto answer = tunnel.request("GET", target({"uplinks"}));
    return answer ? say(host, *answer) : tunnel.code();
  }
  const auto status = tunnel.status();
  if (!status) return tunnel.code();
  if (status->uplinks.empty()) return say(host, "no uplinks (add one with `centipede uplink add NAME`)");
  Table table({{"uplink"},
               {"pattern"},
               {"usable"},
               {"mode"},
               {"prio", Table::Align::right},
               {"metered"},
               {"rate", Table::Align::right},
               {"addresses", Table::Align::left, 9}});
  for (const auto& uplink : status->uplinks) {
    std::string addresses;
    for (const auto& address : uplink.addresses)
      addresses += (addresses.empty() ? "" : ", ") + address.text();
    table.add({uplink.name, uplink.pattern.empty() ? "-" : uplink.pattern, uplink.usable ? "yes" : "no",
               uplink.mode.empty() ? "-" : uplink.mode, std::to_string(uplink.priority), uplink.metered ? "yes" : "no",
               uplink.rate_bps == 0 ? "-" : rate_text(uplink.rate_bps), addresses});
  }
  host.out << table.text() << std::flush;
  return done;
}

int uplink_add(Host& host, const UplinkOptions& options) {
  RunningTunnelClient tunnel(host, options.interface);
  if (!tunnel.valid()) return tunnel.code();
  auto body = uplink_body(options);
  if (!body) return complain(host, wrong_usage, body.error().text);
  (*body)["name"] = options.name;
  if (!tunnel.request("POST", target({"uplinks"}), *body)) return tunnel.code();
  return say(host, "uplink " + options.name + ": added to " + options.interface);
}

int uplink_set(Host& host, const UplinkOptions& options) {
  RunningTunnelClient tunnel(host, options.interface);
  if (!tunnel.valid()) return tunnel.code();
  const auto body = uplink_body(options);
  if (!body) return complain(host, wrong_usage, body.error().text);
  if (body->empty()) {
    return complain(host, wrong_usage, "nothing to set: give --priority, --metered or --rate");
  }
  if (!tunnel.request("PATCH", target({"uplinks", options.name}), *body)) return tunnel.code();
  return say(host, "uplink " + options.name + ": changed");
}

int uplink_remove(Host& host, const UplinkOptions& options) {
  RunningTunnelClient tunnel(host, options.interface);
  if (!tunnel.valid()) return tunnel.code();
  if (auto named = check_device(options.name, true); !named) return complain(host, wrong_usage, named.error().text);
  if (!tunnel.request("DELETE", target({"uplinks", options.name}))) return tunnel.code();
  return say(host, "uplink " + options.name + ": removed from " + options.interface);
}

}  // namespace centipede::cli
