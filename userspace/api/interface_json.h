// What a tunnel's [interface] was started with, as JSON with the keys of the configuration file: what stays as it is
// while the tunnel runs.
//
//   private_key_file (absolute, or "" when the key stood in the file itself), address ["10.10.0.1/24"], listen_port,
//   workers, mode, aead, busy_poll_us, mtu (0: from the uplinks), window (packets), heartbeat_ms, rekey_seconds,
//   routes, kill_switch, dns ["10.10.0.53"], dns_search ["corp.example"]
//
// Errors of reading: EINVAL, with the key's name. Input may be anything. Threading: pure functions.
#pragma once

#include <array>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "dataplane/tunnel_config.h"

namespace centipede::api {

struct InterfaceSettings {
  std::string private_key_file;
  std::vector<Prefix> addresses;
  uint16_t listen_port = 0;
  unsigned workers = 0;
  ReceiveMode mode = ReceiveMode::automatic;
  crypto::AeadChoice aead = crypto::AeadChoice::automatic;
  unsigned busy_poll_us = 0;
  unsigned mtu = 0;
  unsigned window_bits = 0;
  unsigned heartbeat_ms = 0;
  unsigned rekey_seconds = 0;
  bool routes = true;
  bool kill_switch = false;
  std::vector<IpAddress> dns;
  std::vector<std::string> dns_search;
  bool operator==(const InterfaceSettings&) const = default;
};
[[nodiscard]] InterfaceSettings interface_settings(const TunnelConfig& config);

[[nodiscard]] nlohmann::json interface_settings_json(const InterfaceSettings& settings);
[[nodiscard]] Result<InterfaceSettings> interface_settings_from_json(const nlohmann::json& from);

// In the order of the enumerations.
inline constexpr std::array<std::string_view, 3> mode_names{"auto", "xdp", "udp"};
inline constexpr std::array<std::string_view, 3> aead_names{"auto", "ipsec-mb", "sodium"};
template <class Choice>
[[nodiscard]] std::string name_of(Choice choice, const std::array<std::string_view, 3>& names) {
  return std::string(names.at(static_cast<size_t>(choice)));
}

}  // namespace centipede::api
