// The program `centipede`: gives the commands the real world, with the daemon as the tunnel.
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <exception>
#include <iostream>

#include "cli/command_line.h"
#include "cli/privilege.h"
#include "cli/standard_output.h"
#include "dataplane/daemon.h"
#include "dataplane/host_settings.h"

namespace {

using centipede::Result;

Result<std::unique_ptr<centipede::RunningTunnel>> start_daemon(centipede::TunnelConfig config) {
  return centipede::Daemon::start(std::move(config));
}

std::string_view environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

Result<std::vector<std::string>> clear_leftovers(const std::string& tunnel) {
  return centipede::clear_host_settings(tunnel, std::string(centipede::default_state_directory));
}

std::vector<std::string> settle_failed_start(const std::string& tunnel) {
  return centipede::settle_failed_start(tunnel, std::string(centipede::default_state_directory));
}

void prepare_process() {
  centipede::cli::protect_process_memory();
  centipede::cli::join_group(centipede::api::reading_group);
}

}  // namespace

int main(int argc, char** argv) {
  // A reader that leaves is an error of the write, not the end of a tunnel.
  const auto inherited = signal(SIGPIPE, SIG_IGN);
  centipede::cli::StandardOutput output(STDOUT_FILENO);
  std::ostream out(&output);
  centipede::cli::Host host{.in = std::cin,
                            .out = out,
                            .err = std::cerr,
                            .start_tunnel = start_daemon,
                            .missing_privilege = centipede::cli::missing_tunnel_privilege,
                            .clear_leftovers = clear_leftovers,
                            .settle_failed_start = settle_failed_start,
                            .protect_memory = prepare_process};
  host.service_manager = centipede::cli::ServiceManager::from_environment();
  host.out_is_terminal = isatty(STDOUT_FILENO) == 1;
  const std::string_view no_color = environment("NO_COLOR");
  const std::string_view terminal = environment("TERM");
  host.colours = host.out_is_terminal && no_color.empty() && !terminal.empty() && terminal != "dumb";
  int code = centipede::cli::done;
  try {
    code = centipede::cli::run_command_line(host, argc, argv);
  } catch (const std::exception& error) {
    code = centipede::cli::complain(host, centipede::cli::failed, error.what());
  }
  return centipede::cli::finished(host, output, inherited, code);
}
