#include "dataplane/host_settings.h"

#include <algorithm>
#include <set>
#include <utility>

#include "dataplane/kill_switch.h"
#include "dataplane/name_servers.h"

namespace centipede {
namespace {

std::string that_it_stays(const std::string& tunnel) {
  return "the kill switch stays; `centipede detach -i " + tunnel + "` removes it";
}

}  // namespace

std::set<Prefix> inside_networks(const std::vector<control::PeerSettings>& peers) {
  std::set<Prefix> all;
  for (const control::PeerSettings& peer : peers)
    all.insert(peer.allowed_ips.begin(), peer.allowed_ips.end());
  return all;
}

HostSettings::HostSettings(const TunnelConfig& config, std::function<void(std::string)> warn)
    : config_(config), warn_(std::move(warn)) {}

// An IPv4 tunnel for everything is meant to hide this host, and IPv6 goes round it.
void HostSettings::warn_of_gaps(const std::set<Prefix>& networks) const {
  const auto all_of = [&](bool v4) {
    return std::ranges::any_of(
        networks, [&](const Prefix& network) { return network.length == 0 && network.address.is_v4() == v4; });
  };
  const bool v4 = all_of(true);
  if (v4 == all_of(false)) return;
  warn_(std::string("kill_switch: all of ") + (v4 ? "IPv4" : "IPv6") + " goes into the tunnel and " +
        (v4 ? "IPv6" : "IPv4") + " does not: add \"" + (v4 ? "::/0" : "0.0.0.0/0") +
        "\" to allowed_ips if it is to be stopped");
}

void HostSettings::warn_if_failed(const Result<void>& outcome) const {
  if (!outcome) warn_(outcome.error().text);
}

void HostSettings::revert_names() const {
  const auto reverted = revert_name_servers(config_.name, config_.state_directory);
  if (!reverted) warn_(reverted.error().text);
}

uint32_t HostSettings::mark() const {
  return config_.kill_switch ? kill_switch_mark : 0;
}

Result<void> HostSettings::protect(std::set<Prefix> networks) {
  // What was left is reverted, or replaced.
  if (config_.dns.empty()) revert_names();
  if (config_.kill_switch) {
    if (auto set = set_kill_switch(config_.name, networks); !set) return set;
    warn_of_gaps(networks);
    networks_ = std::move(networks);
    return {};
  }
  if (kill_switch_is_set(config_.name)) {
    warn_("the kill switch that an earlier run left is removed: the configuration asks for none");
    warn_if_failed(remove_kill_switch(config_.name));
  }
  return {};
}

Result<void> HostSettings::widen(const std::set<Prefix>& networks) {
  if (!config_.kill_switch || std::ranges::includes(networks_, networks)) return {};
  std::set<Prefix> both = networks_;
  both.insert(networks.begin(), networks.end());
  return change_networks(both);
}

Result<void> HostSettings::change_networks(const std::set<Prefix>& networks) {
  if (!config_.kill_switch) return {};
  if (networks == networks_) return {};
  if (auto set = change_kill_switch(config_.name, networks_, networks); !set) return set;
  warn_of_gaps(networks);
  networks_ = networks;
  return {};
}

void HostSettings::set_name_servers() {
  if (config_.dns.empty()) return;
  const auto set = centipede::set_name_servers(config_.name, {.servers = config_.dns, .search = config_.dns_search},
                                               config_.state_directory);
  if (!set) warn_("dns: " + set.error().text);
}

void HostSettings::revert(bool orderly) {
  revert_names();
  if (!config_.kill_switch) return;
  if (orderly) return warn_if_failed(remove_kill_switch(config_.name));
  warn_(that_it_stays(config_.name));
}

void HostSettings::keep_watch() {
  if (!config_.kill_switch || kill_switch_is_set(config_.name)) return;
  const auto set = set_kill_switch(config_.name, networks_);
  warn_("the kill switch had been taken away, by a reload of nftables perhaps; " +
        (set ? std::string("it is back") : set.error().text));
}

void HostSettings::start_failed() {
  for (auto& line : settle_failed_start(config_.name, config_.state_directory))
    warn_(std::move(line));
}

std::vector<std::string> settle_failed_start(const std::string& tunnel, const std::string& state_directory) {
  std::vector<std::string> lines;
  const auto reverted = revert_name_servers(tunnel, state_directory);
  if (!reverted) lines.push_back(reverted.error().text);
  if (kill_switch_is_set(tunnel)) lines.push_back(that_it_stays(tunnel));
  return lines;
}

Result<std::vector<std::string>> clear_host_settings(const std::string& tunnel, const std::string& state_directory) {
  std::vector<std::string> cleared;
  if (kill_switch_is_set(tunnel)) {
    if (auto removed = remove_kill_switch(tunnel); !removed) return std::unexpected(removed.error());
    cleared.push_back("the kill switch of " + tunnel);
  }
  const auto reverted = revert_name_servers(tunnel, state_directory);
  if (!reverted) return std::unexpected(reverted.error());
  if (*reverted) cleared.push_back("the name servers of " + tunnel);
  return cleared;
}

}  // namespace centipede
