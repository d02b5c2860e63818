#include <malloc.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <ostream>
#include <thread>

#include "api/client.h"
#include "api/tunnel_lock.h"
#include "cli/log.h"
#include "cli/reload.h"
#include "cli/stop_signals.h"
#include "cli/tunnel_commands.h"
#include "config/config.h"

namespace centipede::cli {
namespace {

using Clock = std::chrono::steady_clock;

// How long another `attach` may take from its lock to its socket before we give up on it.
constexpr auto start_patience = std::chrono::seconds(15);

std::vector<std::string> names_of(const std::vector<UplinkSettings>& uplinks) {
  std::vector<std::string> names;
  names.reserve(uplinks.size());
  for (const auto& uplink : uplinks)
    names.push_back(uplink.name);
  return names;
}

std::string joined(const std::vector<std::string>& names) {
  std::string out;
  for (const auto& name : names)
    out += (out.empty() ? "" : ", ") + name;
  return out;
}

Result<TunnelConfig> load(const StartedFrom& from) {
  std::vector<std::string> warnings;
  auto config = load_as_started(from, warnings);
  for (const auto& warning : warnings)
    spdlog::warn("{}", warning);
  return config;
}

// Gives a running tunnel the uplinks that it does not have yet.
int add_live(Host& host, const StartedFrom& from, bool allow_keylog) {
  std::vector<std::string> warnings;
  std::vector<UplinkSettings> uplinks;
  if (const auto loaded = load_as_started(from, warnings)) {
    uplinks = loaded->live.uplinks;
  } else if (from.uplinks.empty() || loaded.error().code != ENOENT) {
    return complain(host, wrong_usage, loaded.error().text);
  } else {  // its file has gone
    for (const auto& name : from.uplinks)
      uplinks.push_back({.name = name});
  }
  const std::string& interface = from.interface;
  api::Client client(api::socket_path(host.runtime_directory, interface));
  const auto status = client.status();
  if (!status) return complain(host, failed, interface + ": " + status.error().text);
  const auto shown = client.settings();
  if (!shown) return complain(host, failed, interface + ": " + shown.error().text);
  if (allow_keylog && !status->keylog_allowed) {
    return complain(host, failed,
                    interface + " runs already without --allow-keylog, which counts at the start alone: stop it " +
                        "with `centipede detach -i " + interface + "` first");
  }
  std::vector<std::string> added;
  int code = done;
  for (const auto& uplink : uplinks) {
    const auto& wanted = shown->settings.uplinks;
    if (std::ranges::find(wanted, uplink.name, &UplinkSettings::name) != wanted.end()) continue;
    if (std::ranges::find(status->uplinks, uplink.name, &UplinkStatus::name) != status->uplinks.end()) continue;
    const auto attached = client.attach_uplink(uplink);
    if (attached) {
      added.push_back(uplink.name);
    } else {
      code = complain(host, failed, interface + ": " + attached.error().text);
    }
  }
  if (!added.empty()) {
    host.out << interface << " runs already: added " << joined(added) << '\n' << std::flush;
  } else if (code == done) {
    host.out << interface << " runs already, with these uplinks: nothing to do\n" << std::flush;
  }
  return code;
}

// What is as large as a status of many peers goes back to the kernel when it is freed. By default a thread keeps for
// itself what it has once freed of a size, and the API has several of them.
void keep_no_large_blocks() {
#ifdef M_MMAP_THRESHOLD
  (void)mallopt(M_MMAP_THRESHOLD, 256 << 10);
#endif
}

int run_tunnel(Host& host, const StartedFrom& from, TunnelConfig config) {
  auto signals = StopSignals::install();
  if (!signals) return complain(host, failed, signals.error().text);
  const std::string name = config.name;
  const std::string uplinks = joined(names_of(config.live.uplinks));
  const std::string key = config.identity.public_key().base64();
  const unsigned port = config.listen_port;
  config.tun_queues = host.service_manager.take_kept_queues();
  config.forget_tun_queues = [&host] { host.service_manager.forget_queues(); };
  auto fixed = fixed_part(config);
  auto interface = api::interface_settings(config);
  auto tunnel = host.start_tunnel(std::move(config));
  if (!tunnel) {
    // An interface that was kept and does not fit stands in the way of the next start, too.
    host.service_manager.forget_queues();
    return complain(host, failed, "starting " + name + ": " + tunnel.error().text);
  }
  Reloader reloader(**tunnel, from, std::move(fixed));
  // Ends before the tunnel: it waits for the API's calls in progress.
  auto server =
      api::Server::start(**tunnel, api::socket_path(host.runtime_directory, name),
                         {.reload = [&reloader] { return reloader.reload(); }, .interface = std::move(interface)});
  if (!server) return complain(host, failed, "starting the API of " + name + ": " + server.error().text);
  spdlog::info("{} runs over {}, port {}, public key {}", name, uplinks, port, key);
  (*signals)->watch(tunnel->get(), [&reloader] { reloader.request(); });
  host.service_manager.keep_queues((*tunnel)->tun_queues());
  host.service_manager.ready(name + " over " + uplinks + ", port " + std::to_string(port));
  Result<void> ended;
  {
    const Watchdog watchdog(host.service_manager, **tunnel);
    ended = (*tunnel)->run();
  }
  if (!(*signals)->handing_over()) host.service_manager.forget_queues();
  host.service_manager.stopping();
  (*signals)->watch(nullptr);
  if (!ended) return complain(host, failed, name + " ended: " + ended.error().text);
  spdlog::info("{} stopped", name);
  return done;
}

bool valid_names(Host& host, const TunnelNames& names, const std::vector<std::string>& uplinks) {
  std::vector<std::string> all = uplinks;
  all.push_back(names.interface);
  const auto wrong = std::ranges::find_if_not(all, [](const auto& name) { return api::valid_interface_name(name); });
  if (wrong == all.end() && std::ranges::find(uplinks, names.interface) == uplinks.end()) return true;
  const std::string culprit = wrong == all.end() ? names.interface : *wrong;
  complain(host, wrong_usage,
           "\"" + culprit + "\" cannot be used here: a device's name has 1 to 15 visible characters without '/', ':' " +
               "and '%', and a tunnel is no uplink of itself");
  return false;
}

}  // namespace

TunnelNames tunnel_names(const Host& host, const std::string& interface, const std::string& config_path) {
  TunnelNames names{interface, config_path};
  if (names.interface.empty()) {
    names.interface = config_path.empty() ? "cp0" : std::filesystem::path(config_path).stem().string();
  }
  if (names.config_path.empty()) names.config_path = host.config_directory + "/" + names.interface + ".toml";
  return names;
}

int attach(Host& host, const AttachOptions& options) {
  const TunnelNames names = tunnel_names(host, options.interface, options.config_path);
  std::vector<std::string> uplinks;
  for (const auto& name : options.uplinks) {
    if (std::ranges::find(uplinks, name) == uplinks.end()) uplinks.push_back(name);
  }
  if (!valid_names(host, names, uplinks)) return wrong_usage;
  if (const std::string missing = host.missing_privilege(); !missing.empty()) {
    return complain(host, failed, "attach needs root (missing: " + missing + "): run it with sudo");
  }
  host.protect_memory();
  start_log(options.verbose);
  keep_no_large_blocks();
  const StartedFrom from{names.interface, names.config_path, uplinks};
  const api::Client client(api::socket_path(host.runtime_directory, names.interface));
  const auto deadline = Clock::now() + start_patience;
  while (true) {
    if (client.reachable()) {
      if (!host.service_manager.present()) return add_live(host, from, options.allow_keylog);
      // It would take our end for a failure, and start us again and again.
      return complain(host, wrong_usage,
                      names.interface + " runs already, outside of the service: `centipede detach -i " +
                          names.interface + "` stops it");
    }
    auto lock = api::TunnelLock::try_acquire(host.runtime_directory, names.interface);
    if (!lock) return complain(host, failed, lock.error().text);
    if (*lock) {
      auto config = load(from);
      if (!config) {
        for (const auto& line : host.settle_failed_start(names.interface))
          spdlog::warn("{}", line);
        return complain(host, wrong_usage, config.error().text);
      }
      config->allow_keylog = options.allow_keylog;
      if (options.allow_keylog) spdlog::warn("--allow-keylog: root may take the session keys of this tunnel out");
      return run_tunnel(host, from, std::move(*config));
    }
    // Another attach is between its lock and its socket, or a daemon is between the end of its socket and its own.
    if (Clock::now() > deadline) {
      return complain(host, failed,
                      "another process holds " + api::lock_path(host.runtime_directory, names.interface) +
                          " and does not answer: see which with `fuser`, then stop it");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

}  // namespace centipede::cli
