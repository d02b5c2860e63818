#include <ostream>

#include "cli/running_commands.h"
#include "cli/running_tunnel.h"
#include "config/config_text.h"

namespace centipede::cli {

int reload(Host& host, const std::string& interface) {
  RunningTunnelClient tunnel(host, interface);
  if (!tunnel.valid()) return tunnel.code();
  const auto changes = tunnel.api().reload();
  if (!changes) return tunnel.tell(changes.error());
  if (changes->empty()) return say(host, interface + ": the file says what is in force already");
  for (const auto& change : *changes)
    host.out << change << '\n';
  host.out << std::flush;
  return done;
}

int export_config(Host& host, const std::string& interface) {
  RunningTunnelClient tunnel(host, interface);
  if (!tunnel.valid()) return tunnel.code();
  const auto settings = tunnel.api().settings();
  if (!settings) return tunnel.tell(settings.error());
  const auto interface_settings = tunnel.api().interface_settings();
  if (!interface_settings) return tunnel.tell(interface_settings.error());
  const auto status = tunnel.status();
  if (!status) return tunnel.code();
  host.out << config_text(*status, *interface_settings, *settings) << std::flush;
  return done;
}

}  // namespace centipede::cli
