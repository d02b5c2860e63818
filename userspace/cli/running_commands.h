// What may be asked of a running tunnel, each by a command of its own: peers, paths and uplinks shown and changed, the
// file read again, the settings printed as a file, events, the way to a peer measured. What the user typed is checked
// before anything is sent; each change is applied whole or refused. They return the exit code.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/host.h"

namespace centipede::cli {

// What `peer add` and `peer set` may say. Not given: as it is. "none" empties a list.
struct PeerOptions {
  std::string interface = "cp0";
  std::string peer;  // add: its public key; set, remove, show: its name or key
  std::optional<std::string> name;
  std::vector<std::string> allowed_ips;
  std::vector<std::string> endpoints;
  std::optional<std::string> policy;
  std::optional<std::string> preshared_key_file;
  bool no_preshared_key = false;
  bool json = false;
};
int peer_list(Host& host, const PeerOptions& options);
int peer_show(Host& host, const PeerOptions& options);
int peer_add(Host& host, const PeerOptions& options);
int peer_set(Host& host, const PeerOptions& options);
int peer_remove(Host& host, const PeerOptions& options);

struct PathOptions {
  std::string interface = "cp0";
  std::string peer;    // list: empty for all
  std::string uplink;  // a device
  std::string priority;
  bool json = false;
};
int path_list(Host& host, const PathOptions& options);
int path_set(Host& host, const PathOptions& options);
int path_enable(Host& host, const PathOptions& options, bool enabled);

struct UplinkOptions {
  std::string interface = "cp0";
  std::string name;  // of a device, or a pattern
  std::optional<std::string> priority;
  std::optional<std::string> metered;
  std::optional<std::string> rate;
  bool json = false;
};
int uplink_list(Host& host, const UplinkOptions& options);
int uplink_add(Host& host, const UplinkOptions& options);
int uplink_set(Host& host, const UplinkOptions& options);
int uplink_remove(Host& host, const UplinkOptions& options);

// Reads the configuration file again.
int reload(Host& host, const std::string& interface);
// Prints the settings in force as a configuration file.
int export_config(Host& host, const std::string& interface);

struct EventsOptions {
  std::string interface = "cp0";
  std::optional<uint64_t> after;  // the number of an event; none: all that the daemon still has, or from now on
  bool follow = true;
  bool json = false;
};
int events(Host& host, const EventsOptions& options);

struct PingOptions {
  std::string interface = "cp0";
  std::string peer;
  unsigned count = 3;
  unsigned timeout_ms = 1000;
  unsigned interval_ms = 1000;
  bool json = false;
};
// failed when not one path answered.
int ping(Host& host, const PingOptions& options);

}  // namespace centipede::cli
