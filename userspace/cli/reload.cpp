#include "cli/reload.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <map>

#include "config/config.h"
#include "dataplane/uplink_selection.h"

namespace centipede::cli {
namespace {

// Those that are named, each with what the file says of it or of a pattern that it matches.
std::vector<UplinkSettings> settings_of(const std::vector<std::string>& names,
                                        const std::vector<UplinkSettings>& configured) {
  std::vector<UplinkSettings> uplinks;
  for (const auto& name : names) {
    const UplinkSettings* known = entry_for(configured, {}, name);
    uplinks.push_back(known == nullptr ? UplinkSettings{} : *known);
    uplinks.back().name = name;
  }
  return uplinks;
}

// The keys that are not what they were, or nothing.
std::string refusal(const std::vector<FixedKey>& before, const std::vector<FixedKey>& after) {
  std::string keys;
  for (size_t i = 0; i < before.size(); ++i) {
    if (before[i].value == after[i].value) continue;
    keys += (keys.empty() ? "" : ", ") + before[i].key + " (" + (before[i].value.empty() ? "none" : before[i].value) +
            " -> " + (after[i].value.empty() ? "none" : after[i].value) + ")";
  }
  return keys;
}

}  // namespace

Result<TunnelConfig> load_as_started(const StartedFrom& from, std::vector<std::string>& warnings) {
  auto loaded = load_config(from.config_path);
  if (!loaded) return std::unexpected(loaded.error());
  warnings = std::move(loaded->warnings);
  TunnelConfig config = std::move(loaded->tunnel);
  config.name = from.interface;
  if (!from.uplinks.empty()) config.live.uplinks = settings_of(from.uplinks, config.live.uplinks);
  if (config.live.uplinks.empty()) {
    return fail("no uplinks: name them (centipede attach eth0 wlan0) or write uplinks = [...] into " + from.config_path,
                EINVAL);
  }
  return config;
}

Reloader::Reloader(TunnelControl& tunnel, StartedFrom from, std::vector<FixedKey> fixed)
    : tunnel_(tunnel), from_(std::move(from)), fixed_(std::move(fixed)), thread_([this] { serve(); }) {}

Reloader::~Reloader() {
  {
    const std::scoped_lock lock(mutex_);
    ended_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

Result<std::vector<std::string>> Reloader::reload() {
  const std::scoped_lock lock(reloading_);
  std::vector<std::string> warnings;
  auto config = load_as_started(from_, warnings);
  // Whatever is wrong with the file is for its writer to mend.
  if (!config) return fail(config.error().text, EINVAL);
  for (const auto& warning : warnings)
    spdlog::warn("{}", warning);
  if (const std::string keys = refusal(fixed_, fixed_part(*config)); !keys.empty()) {
    return fail(from_.config_path + ": cannot change while the tunnel runs: " + keys +
                    "; put it back, or `centipede detach` and `centipede attach` to start anew",
                EINVAL);
  }
  std::vector<std::string> changes;
  const auto applied = tunnel_.change([&](TunnelSettings& settings) -> Result<void> {
    changes = changes_between(settings, config->live);
    settings = config->live;
    return {};
  });
  if (!applied) return std::unexpected(applied.error());
  return changes;
}

void Reloader::request() {
  {
    const std::scoped_lock lock(mutex_);
    requested_ = true;
  }
  changed_.notify_all();
}

void Reloader::serve() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return requested_ || ended_; });
    if (ended_) return;
    requested_ = false;
    lock.unlock();
    const auto changes = reload();
    if (!changes) {
      spdlog::error("reload: {}: nothing has changed", changes.error().text);
    } else if (changes->empty()) {
      spdlog::info("reload: {} says what is in force already", from_.config_path);
    } else {
      for (const auto& change : *changes)
        spdlog::info("reload: {}", change);
    }
    lock.lock();
  }
}

}  // namespace centipede::cli
