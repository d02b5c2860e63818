// `centipede attach`, `detach` and `status`: starting a tunnel and talking to one that runs.
#pragma once

#include <string>
#include <vector>

#include "cli/host.h"

namespace centipede::cli {

struct AttachOptions {
  std::vector<std::string> uplinks;  // empty: those of the configuration
  std::string interface;             // empty: from the configuration file's name, else cp0
  std::string config_path;           // empty: <config_directory>/<interface>.toml
  bool verbose = false;
  bool allow_keylog = false;  // the tunnel gives its session keys to `centipede keylog`
};
// Runs the tunnel until it is stopped; returns at once when one of that name runs and has got the uplinks. Of two that
// start the same tunnel at once one runs it, and the other gives it its uplinks.
int attach(Host& host, const AttachOptions& options);

struct DetachOptions {
  std::vector<std::string> uplinks;  // empty: stop the tunnel and wait for its end
  std::string interface = "cp0";
};
int detach(Host& host, const DetachOptions& options);

struct StatusOptions {
  std::string interface;  // empty: every running tunnel
  bool json = false;
  bool watch = false;
  unsigned watch_rounds = 0;  // 0: until interrupted
};
int status(Host& host, const StatusOptions& options);

// The interface's name and the configuration's path, each from the other where one is missing.
struct TunnelNames {
  std::string interface;
  std::string config_path;
};
[[nodiscard]] TunnelNames tunnel_names(const Host& host, const std::string& interface, const std::string& config_path);

}  // namespace centipede::cli
