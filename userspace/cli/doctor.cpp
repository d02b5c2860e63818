#include "cli/doctor.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <set>

#include "api/client.h"
#include "base/file_descriptor.h"
#include "cli/tunnel_commands.h"
#include "config/config.h"
#include "dataplane/setting_texts.h"
#include "dataplane/uplink_selection.h"

namespace centipede::cli {
namespace {

const char* level_name(Level level) {
  switch (level) {
    case Level::ok:
      return "ok";
    case Level::warn:
      return "warn";
    case Level::fail:
      return "fail";
  }
  return "";
}

// Binds like the daemon would; the errno value of a refusal.
int try_port(int family, uint16_t port) {
  const FileDescriptor socket(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) return errno == EAFNOSUPPORT ? 0 : errno;
  const int only_v6 = 1;
  if (family == AF_INET6) setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &only_v6, sizeof only_v6);
  sockaddr_storage address{};
  const std::array<uint8_t, 16> any{};
  const Endpoint local{family == AF_INET ? IpAddress::v4(any.data()) : IpAddress::v6(any.data()), port};
  const auto length = static_cast<socklen_t>(local.to_sockaddr(address, false));
  if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), length) == 0) return 0;
  return errno == EADDRNOTAVAIL ? 0 : errno;  // IPv6 is switched off
}

// What the configuration gave for the other checks.
struct ConfigFindings {
  std::vector<Finding> findings;
  std::optional<TunnelConfig> tunnel;
};

ConfigFindings examine_config(const std::string& path) {
  ConfigFindings examined;
  auto loaded = load_config(path);
  if (!loaded) {
    examined.findings.push_back({Level::fail, "configuration", loaded.error().text, ""});
    return examined;
  }
  examined.tunnel = std::move(loaded->tunnel);
  const size_t peers = examined.tunnel->live.peers.size();
  examined.findings.push_back(
      {Level::ok, "configuration", path + " is valid, " + std::to_string(peers) + " peer(s)", ""});
  for (const auto& warning : loaded->warnings)
    examined.findings.push_back({Level::warn, "configuration", warning, ""});
  const auto rows = examine_settings(*examined.tunnel);
  examined.findings.insert(examined.findings.end(), rows.begin(), rows.end());
  return examined;
}

// The devices that the settings want: those that are named, and those that are there and match a pattern.
std::vector<std::string> devices_for(const TunnelSettings& settings, Netlink& netlink, std::vector<Finding>& findings) {
  std::vector<std::string> names;
  for (const auto& uplink : settings.uplinks) {
    if (!is_pattern(uplink.name)) names.push_back(uplink.name);
  }
  const auto devices = netlink.devices();
  if (!devices) {
    findings.push_back({Level::fail, "netlink", devices.error().text, ""});
    return names;
  }
  std::set<std::string> patterns_met;
  for (const auto& device : *devices) {
    const auto* entry = entry_for(settings.uplinks, settings.excluded_uplinks, device.name);
    if (entry == nullptr || !is_pattern(entry->name) || device.loopback || device.tun) continue;
    names.push_back(device.name);
    patterns_met.insert(entry->name);
  }
  for (const auto& uplink : settings.uplinks) {
    if (!is_pattern(uplink.name) || patterns_met.contains(uplink.name)) continue;
    findings.push_back({Level::ok, "uplinks", "no device is taken for " + uplink.name + " now", ""});
  }
  return names;
}

bool calls_all_peers(const TunnelConfig& tunnel) {
  return std::ranges::none_of(tunnel.live.peers, [](const control::PeerSettings& peer) {
    return peer.endpoints.empty() && peer.host_endpoints.empty();
  });
}

void print(Host& host, const std::vector<Finding>& findings, bool as_json) {
  if (!as_json) {
    for (const auto& finding : findings)
      host.out << finding_line(finding) << '\n';
    host.out << std::flush;
    return;
  }
  auto rows = nlohmann::json::array();
  for (const auto& finding : findings) {
    rows.push_back({{"level", level_name(finding.level)},
                    {"what", finding.what},
                    {"finding", finding.finding},
                    {"advice", finding.advice}});
  }
  host.out << rows.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << '\n' << std::flush;
}

}  // namespace

std::string finding_line(const Finding& finding) {
  std::string line = level_name(finding.level);
  line.resize(6, ' ');
  line += finding.what + ": " + finding.finding;
  if (!finding.advice.empty()) line += " — " + finding.advice;
  return line;
}

Finding examine_port(uint16_t port, bool tunnel_runs) {
  const std::string text = "UDP " + std::to_string(port);
  if (tunnel_runs) return {Level::ok, "listen port", text + ", used by the tunnel, which runs", ""};
  for (const int family : {AF_INET, AF_INET6}) {
    if (const int error = try_port(family, port); error != 0) {
      return {Level::fail, "listen port",
              system_error(text + " over IPv" + (family == AF_INET ? "4" : "6"), error).text,
              "stop what uses it (ss -lunp), or set another listen_port"};
    }
  }
  return {Level::ok, "listen port", text + " is free", ""};
}

int doctor(Host& host, const DoctorOptions& options) {
  const TunnelNames names = tunnel_names(host, options.interface, options.config_path);
  for (const auto& name : options.uplinks) {
    if (!api::valid_interface_name(name)) return complain(host, wrong_usage, "\"" + name + "\" is no name of a device");
  }
  auto findings = examine_system(host.missing_privilege());
  const auto append = [&findings](const std::vector<Finding>& rows) {
    findings.insert(findings.end(), rows.begin(), rows.end());
  };
  const auto config = examine_config(names.config_path);
  append(config.findings);
  const uint16_t port = config.tunnel ? config.tunnel->listen_port : uint16_t{CP_DEFAULT_PORT};
  const ReceiveMode mode = config.tunnel ? config.tunnel->mode : ReceiveMode::automatic;
  const bool runs = api::Client(api::socket_path(host.runtime_directory, names.interface)).reachable();
  findings.push_back(examine_port(port, runs));
  std::vector<std::string> uplinks = options.uplinks;
  if (auto netlink = Netlink::open()) {
    if (uplinks.empty() && config.tunnel) uplinks = devices_for(config.tunnel->live, *netlink, findings);
    for (const auto& name : uplinks)
      append(examine_uplink(*netlink, name, mode));
  } else {
    findings.push_back({Level::fail, "netlink", netlink.error().text, ""});
  }
  if (uplinks.empty()) {
    findings.push_back({Level::warn, "uplinks", "none to look at", "name them: centipede doctor eth0 wlan0"});
  }
  append(examine_firewall(port, uplinks, config.tunnel && calls_all_peers(*config.tunnel)));
  if (config.tunnel) append(examine_peers(config.tunnel->live.peers, uplinks, resolve_host));
  print(host, findings, options.json);
  return std::ranges::find(findings, Level::fail, &Finding::level) == findings.end() ? done : failed;
}

}  // namespace centipede::cli
