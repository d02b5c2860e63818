// The commands that talk to running tunnels or make files, as the parser's tree. Only cli/command_line.cpp includes it.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

#include "cli/host.h"
#include "cli/import_command.h"
#include "cli/running_commands.h"

namespace centipede::cli {

using Action = std::function<int()>;

// The options of these commands; the parser writes into them.
struct RunningArguments {
  PeerOptions peer;
  PathOptions path;
  UplinkOptions uplink;
  EventsOptions events;
  PingOptions ping;
  ImportOptions import;
  std::string interface = "cp0";  // of reload and export
  bool no_follow = false;
};
// `action` becomes what was asked for.
void add_running_commands(CLI::App& app, Host& host, RunningArguments& arguments, Action& action);

}  // namespace centipede::cli
