#include <chrono>
#include <filesystem>
#include <ostream>
#include <thread>

#include "api/client.h"
#include "api/tunnel_lock.h"
#include "cli/running_tunnel.h"
#include "cli/tunnel_commands.h"

namespace centipede::cli {
namespace {

constexpr auto stop_patience = std::chrono::seconds(15);

// The daemon holds the lock to its very end, after the interface and the XDP programs have gone.
bool wait_for_end(const Host& host, const std::string& interface) {
  const auto deadline = std::chrono::steady_clock::now() + stop_patience;
  while (std::chrono::steady_clock::now() < deadline) {
    const auto lock = api::TunnelLock::try_acquire(host.runtime_directory, interface);
    if (!lock || *lock) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return false;
}

// A daemon that was killed may have left a kill switch.
int clear_leftovers(Host& host, const std::string& interface, const Error& not_running) {
  const auto lock = api::TunnelLock::try_acquire(host.runtime_directory, interface);
  if (lock && *lock) {
    const auto cleared = host.clear_leftovers(interface);
    if (!cleared) return complain(host, failed, cleared.error().text);
    for (const std::string& what : *cleared)
      host.out << "removed " << what << '\n';
    if (!cleared->empty()) return done;
  }
  return tell_failure(host, interface, not_running);
}

}  // namespace

int detach(Host& host, const DetachOptions& options) {
  if (!api::valid_interface_name(options.interface)) {
    return complain(host, wrong_usage, "\"" + options.interface + "\" is no name of an interface");
  }
  api::Client client(api::socket_path(host.runtime_directory, options.interface));
  for (const auto& name : options.uplinks) {
    if (!api::valid_interface_name(name)) return complain(host, wrong_usage, "\"" + name + "\" is no name of a device");
  }
  for (const auto& name : options.uplinks) {
    if (const auto detached = client.detach_uplink(name); !detached) {
      return tell_failure(host, options.interface, detached.error());
    }
  }
  if (!options.uplinks.empty()) return done;
  const auto stopped = client.stop();
  if (!stopped && api::not_running(stopped.error())) return clear_leftovers(host, options.interface, stopped.error());
  if (!stopped) return tell_failure(host, options.interface, stopped.error());
  if (wait_for_end(host, options.interface)) return done;
  return complain(host, failed, options.interface + " was told to stop and has not ended yet: see its log");
}

}  // namespace centipede::cli
