// The program `centipede`: gives the commands the real world, with the daemon as the tunnel.
#include <unistd.h>

#include <csignal>
#include <exception>
#include <iostream>

#include "cli/command_line.h"
#include "cli/privilege.h"
#include "dataplane/daemon.h"

namespace {

using centipede::Result;

class DaemonTunnel : public centipede::cli::RunningTunnel {
 public:
  explicit DaemonTunnel(std::unique_ptr<centipede::Daemon> daemon) : daemon_(std::move(daemon)) {}
  Result<void> run() override { return daemon_->run(); }
  void stop() override { daemon_->stop(); }
  centipede::TunnelStatus status() override { return daemon_->status(); }
  Result<void> attach_uplink(std::string_view name) override { return daemon_->attach_uplink(name); }
  Result<void> detach_uplink(std::string_view name) override { return daemon_->detach_uplink(name); }

 private:
  std::unique_ptr<centipede::Daemon> daemon_;
};

Result<std::unique_ptr<centipede::cli::RunningTunnel>> start_daemon(centipede::TunnelConfig config) {
  auto daemon = centipede::Daemon::start(std::move(config));
  if (!daemon) return std::unexpected(daemon.error());
  return std::make_unique<DaemonTunnel>(std::move(*daemon));
}

}  // namespace

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);  // a reader that leaves is an error of the write, not the end of a tunnel
  centipede::cli::Host host{.in = std::cin,
                            .out = std::cout,
                            .err = std::cerr,
                            .start_tunnel = start_daemon,
                            .missing_privilege = centipede::cli::missing_tunnel_privilege,
                            .protect_memory = centipede::cli::protect_process_memory};
  host.out_is_terminal = isatty(STDOUT_FILENO) == 1;
  try {
    return centipede::cli::run_command_line(host, argc, argv);
  } catch (const std::exception& error) {
    return centipede::cli::complain(host, centipede::cli::failed, error.what());
  }
}
