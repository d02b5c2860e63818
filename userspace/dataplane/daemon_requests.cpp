// What the API asks of a running tunnel: settings and changes of them, uplinks, pings, status, session keys. Carried
// out on the control thread while the caller waits.
#include <algorithm>
#include <set>

#include "dataplane/daemon_impl.h"
#include "dataplane/setting_texts.h"
#include "dataplane/tally.h"
#include "dataplane/uplink_selection.h"

namespace centipede {
namespace {

// How often the log says that keys are being handed out.
constexpr Duration keylog_interval = seconds(60);

std::string names_of(const std::vector<UplinkSettings>& uplinks) {
  std::string names;
  for (const UplinkSettings& uplink : uplinks)
    names += (names.empty() ? "" : ", ") + uplink.name;
  return names.empty() ? "none" : names;
}

}  // namespace

TunnelSettings Daemon::Impl::settings_in_force() const {
  return {.uplinks = config_.live.uplinks,
          .excluded_uplinks = config_.live.excluded_uplinks,
          .peers = controller_->peers()};
}

Result<TunnelSettings> Daemon::Impl::settings() {
  auto outcome = on_control_thread([this] { return settings_in_force(); });
  return outcome ? Result<TunnelSettings>(std::move(*outcome)) : fail("the tunnel is stopping");
}

Result<void> Daemon::Impl::change(const TunnelControl::Edit& edit) {
  auto outcome = on_control_thread([this, &edit] { return edit_settings(edit); });
  return outcome ? *outcome : fail("the tunnel is stopping");
}

// Everything is judged first. Routes can fail nevertheless, so they come before what cannot; those that nobody wants
// any more go last, when no packet takes them.
Result<void> Daemon::Impl::edit_settings(const TunnelControl::Edit& edit) {
  TunnelSettings next = settings_in_force();
  if (auto edited = edit(next); !edited) return edited;
  if (auto sound = check_uplinks(next, config_.name); !sound) return sound;
  if (auto sound = controller_->check_peers(next.peers); !sound) return sound;
  const auto unprotect = [this] { (void)host_.change_networks(inside_networks(controller_->peers())); };
  const std::set<Prefix> inside = config_.kill_switch ? inside_networks(next.peers) : std::set<Prefix>{};
  if (auto widened = host_.widen(inside); !widened) return widened;
  const std::set<Prefix> networks = routes_ ? routes_of(next.peers) : std::set<Prefix>{};
  if (routes_) {
    if (auto extended = routes_->extend(networks); !extended) {
      unprotect();
      return extended;
    }
  }
  const auto changes = controller_->set_peers(std::move(next.peers), read_clocks());
  if (!changes) {  // a key file that could be read has gone in between
    if (routes_) (void)routes_->shrink(routes_of(controller_->peers()));
    unprotect();
    return std::unexpected(changes.error());
  }
  for (const control::PeerChange& change : *changes) {
    report("peer", "peer " + change.peer + ": " + change.what, TunnelEvent::Level::info, change.peer);
  }
  if (next.uplinks != config_.live.uplinks || next.excluded_uplinks != config_.live.excluded_uplinks) {
    if (auto set = set_uplinks(std::move(next)); !set) return set;
    report("settings", "uplinks: " + names_of(config_.live.uplinks));
  }
  if (routes_) {
    if (const auto shrunk = routes_->shrink(networks); !shrunk)
      warn("settings", shrunk.error().text + "; the route stays for now");
  }
  if (const auto narrowed = host_.change_networks(inside); !narrowed)
    warn("settings", narrowed.error().text + "; it stops more than it has to");
  return {};
}

Result<std::vector<PathPing>> Daemon::Impl::ping(const std::string& peer, std::chrono::milliseconds time) {
  auto started = on_control_thread([&, this] { return pings_.start(*controller_, peer, time, read_clocks()); });
  if (!started) return fail("the tunnel is stopping");
  if (!*started) return std::unexpected(started->error());
  try {
    return (*started)->get();
  } catch (const std::future_error&) {
    return fail("the tunnel is stopping");
  }
}

Result<void> Daemon::Impl::set_uplinks(TunnelSettings next) {
  if (auto checked = check_uplinks(next, config_.name); !checked) return checked;
  config_.live.uplinks = std::move(next.uplinks);
  config_.live.excluded_uplinks = std::move(next.excluded_uplinks);
  uplinks_->set_wanted(config_.live.uplinks, config_.live.excluded_uplinks, *netlink_, read_clocks().monotonic);
  return {};
}

Result<void> Daemon::Impl::attach_uplink(const UplinkSettings& uplink) {
  auto outcome = on_control_thread([this, uplink]() -> Result<void> {
    TunnelSettings before{.uplinks = config_.live.uplinks, .excluded_uplinks = config_.live.excluded_uplinks};
    TunnelSettings next = before;
    if (auto added = add_uplink(next, uplink); !added) return added;
    // What cannot be used at all takes nobody's place, not even for a moment.
    if (!is_pattern(uplink.name)) {
      const auto link = netlink_->link(uplink.name);
      if (!link) return std::unexpected(link.error());
      if (std::string what = why_unusable(uplink.name, *link); !what.empty())
        return fail("uplink " + uplink.name + ": " + what, ENODEV);
    }
    if (auto set = set_uplinks(std::move(next)); !set) return set;
    const std::string problem = is_pattern(uplink.name) ? std::string() : uplinks_->problem(uplink.name);
    if (problem.empty()) return {};
    (void)set_uplinks(std::move(before));  // has been judged before
    return fail("uplink " + uplink.name + ": " + problem, EBUSY);
  });
  return outcome ? *outcome : fail("the tunnel is stopping");
}

Result<void> Daemon::Impl::detach_uplink(const std::string& name) {
  auto outcome = on_control_thread([this, name]() -> Result<void> {
    TunnelSettings next{.uplinks = config_.live.uplinks, .excluded_uplinks = config_.live.excluded_uplinks};
    if (auto removed = remove_uplink(next, name, uplinks_->attached(name)); !removed) return removed;
    return set_uplinks(std::move(next));
  });
  return outcome ? *outcome : fail("the tunnel is stopping");
}

Result<TunnelStatus> Daemon::Impl::status() {
  auto outcome = on_control_thread([this] {
    sessions_->collect_counters(controller_->forwarding().peers);
    TunnelStatus status{.name = config_.name,
                        .version = CENTIPEDE_VERSION,
                        .uptime = read_clocks().monotonic - started_at_,
                        .public_key = config_.identity.public_key(),
                        .listen_port = config_.listen_port,
                        .addresses = config_.addresses,
                        .mtu = mtu_,
                        .aead = aead_name_,
                        .keylog_allowed = config_.allow_keylog,
                        .windows_shrunk = sessions_->shrunk(),
                        .sessions_waiting = sessions_->waiting(),
                        .uplinks = uplinks_->status(),
                        .peers = controller_->status(read_clocks()),
                        .control = controller_->counters()};
    for (const auto& worker : workers_) {
      status.workers.push_back(worker->counters());
      add_tallies(status.total, status.workers.back());
    }
    return status;
  });
  return outcome ? Result<TunnelStatus>(std::move(*outcome)) : fail("the tunnel is stopping");
}

Result<std::vector<SessionKey>> Daemon::Impl::session_keys() {
  if (!config_.allow_keylog) {
    return fail(config_.name + " keeps its session keys: only a tunnel that was started with `centipede attach " +
                    "--allow-keylog` gives them",
                EPERM);
  }
  auto outcome = on_control_thread([this] {
    const Now now = read_clocks();
    if (!keylog_told_ || now.monotonic >= *keylog_told_ + keylog_interval) {
      warn("session", "session keys are handed out (centipede keylog): whoever has them can read recorded packets");
      keylog_told_ = now.monotonic;
    }
    return centipede::session_keys(*controller_, now);
  });
  if (!outcome) return fail("the tunnel is stopping");
  return std::move(*outcome);
}

}  // namespace centipede
