#include <spdlog/fmt/chrono.h>
#include <spdlog/fmt/fmt.h>

#include <ctime>
#include <nlohmann/json.hpp>
#include <ostream>

#include "api/event_json.h"
#include "api/json_text.h"
#include "cli/running_commands.h"
#include "cli/running_tunnel.h"

namespace centipede::cli {
namespace {

std::string local_time(uint64_t milliseconds) {
  const auto seconds = static_cast<time_t>(milliseconds / 1000);
  tm parts{};
  if (localtime_r(&seconds, &parts) == nullptr) return "?";
  return fmt::format("{:%Y-%m-%d %H:%M:%S}.{:03}", parts, milliseconds % 1000);
}

// "2026-11-23 18:44:12.345 warning path: ..."; what is about none of them has no peer and no uplink in its text.
std::string event_line(const TunnelEvent& event, bool colours) {
  constexpr std::array levels{"debug", "info", "warning", "error"};
  const std::string level = levels[static_cast<size_t>(event.level) % levels.size()];
  const bool bad = event.level == TunnelEvent::Level::warning || event.level == TunnelEvent::Level::error;
  const std::string paint = event.level == TunnelEvent::Level::error ? "\x1b[31m" : "\x1b[33m";
  const std::string shown = colours && bad ? paint + level + "\x1b[0m" : level;
  return fmt::format("{} {} {}: {}", local_time(event.time_ms), shown, event.kind, event.text);
}

}  // namespace

int events(Host& host, const EventsOptions& options) {
  RunningTunnelClient tunnel(host, options.interface);
  if (!tunnel.valid()) return tunnel.code();
  uint64_t last = options.after.value_or(0);
  const auto show = [&](const TunnelEvent& event) {
    if (last != 0 && event.number > last + 1) {
      host.err << "centipede: " << event.number - last - 1 << " events are missing here: they came too fast\n";
    }
    last = event.number;
    host.out << (options.json ? api::text_of(api::event_json(event)) : event_line(event, host.colours)) << '\n'
             << std::flush;
    return static_cast<bool>(host.out);
  };
  if (!options.follow) {
    const auto listed = tunnel.api().events(options.after.value_or(0));
    if (!listed) return tunnel.tell(listed.error());
    for (const auto& event : *listed)
      show(event);
    return done;
  }
  const auto followed = tunnel.api().follow_events(options.after, show);
  return followed ? done : tunnel.tell(followed.error());
}

}  // namespace centipede::cli
