// The configuration file of a tunnel, /etc/centipede/<interface>.toml, read and checked into a TunnelConfig.
//
//   [interface]    private_key | private_key_file, address [], listen_port, uplinks [], exclude_uplinks [], workers,
//                  mode, aead, busy_poll_us, mtu, window (packets, a power of two), heartbeat_ms, rekey_seconds,
//                  routes, kill_switch, dns [], dns_search []
//   [[uplink]]     name, priority, metered, rate: settings of one of `uplinks`, or one more
//   [[peer]]       name, public_key, preshared_key | preshared_key_file, allowed_ips [], endpoints [], policy
//   [[peer.path]]  uplink, enabled, priority
//
// Key files are relative to the configuration file's folder. Endpoints may hold host names; nothing is resolved here.
// Errors read "FILE:LINE:COLUMN: what; what to do"; the first one ends the reading. Whatever the file holds gives an
// error or a configuration. Warnings have the same form. Threading: any.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "dataplane/tunnel_config.h"

namespace centipede {

struct LoadedConfig {
  TunnelConfig tunnel;
  std::vector<std::string> warnings;
};

// The interface's name is the file's name without ".toml"; files above 16 MiB are refused.
Result<LoadedConfig> load_config(const std::string& path);
// The same for a text at hand; `path` names it in messages, gives the interface's name and the folder of key files.
Result<LoadedConfig> parse_config(std::string_view text, const std::string& path);

}  // namespace centipede
