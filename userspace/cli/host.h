// What the commands need of the machine that they run on: streams, folders, privileges and the daemon. main() fills it
// with the real ones, tests with others. Threading: one thread.
#pragma once

#include <functional>
#include <iosfwd>
#include <memory>
#include <string>
#include <vector>

#include "api/paths.h"
#include "api/server.h"
#include "base/result.h"
#include "cli/service_manager.h"
#include "dataplane/tunnel_control.h"

namespace centipede::cli {

struct Host {
  std::istream& in;
  std::ostream& out;
  std::ostream& err;
  std::function<Result<std::unique_ptr<RunningTunnel>>(TunnelConfig)> start_tunnel;
  // What is missing to run a tunnel ("CAP_NET_ADMIN"), or nothing.
  std::function<std::string()> missing_privilege;
  // Takes away what a killed daemon of this tunnel left on the host; returns what that was. Only when none runs.
  std::function<Result<std::vector<std::string>>(const std::string& tunnel)> clear_leftovers;
  // A start of this tunnel has failed before its daemon was asked for: what becomes of what an earlier daemon left;
  // returns lines for the log. Only when none runs.
  std::function<std::vector<std::string>(const std::string& tunnel)> settle_failed_start = [](const std::string&) {
    return std::vector<std::string>{};
  };
  // Keeps keys out of core files and swap, and joins the group that may read the API, as far as the system allows.
  // Before there are threads and before privileges are dropped.
  std::function<void()> protect_memory;
  std::string config_directory = "/etc/centipede";
  std::string runtime_directory{api::default_runtime_directory};
  std::string device_directory = "/sys/class/net";
  bool out_is_terminal = false;
  bool colours = false;                 // on a terminal that has them, unless NO_COLOR says otherwise
  ServiceManager service_manager = {};  // by default there is none
};

// Exit codes.
inline constexpr int done = 0;
inline constexpr int failed = 1;
inline constexpr int wrong_usage = 2;  // or wrong configuration

// One line on err: "centipede: what".
int complain(const Host& host, int code, const std::string& what);

}  // namespace centipede::cli
