#include "dataplane/reporter.h"

#include <utility>

#include "dataplane/log.h"

namespace centipede {
namespace {

constexpr Duration tell_interval = seconds(10);

}  // namespace

void Reporter::report(TunnelEvent event, Instant now) {
  {
    const std::scoped_lock lock(mutex_);
    Kind& kind = kinds_[event.kind];
    if (!kind.rate.take(now)) {
      if (kind.left_out++ == 0) kind.tell_at = now + tell_interval;
      return;
    }
  }
  publish(std::move(event));
}

void Reporter::tell_left_out(Instant now) {
  const std::scoped_lock lock(mutex_);
  for (auto& [name, kind] : kinds_) {
    if (kind.left_out == 0 || now < kind.tell_at) continue;
    publish({.level = TunnelEvent::Level::warning,
             .kind = name,
             .peer = {},
             .uplink = {},
             .text = "events left out because there were too many of this kind (" + name +
                     "): " + std::to_string(std::exchange(kind.left_out, 0))});
  }
}

void Reporter::publish(TunnelEvent event) {
  switch (event.level) {
    case TunnelEvent::Level::debug:
      log::debug("{}", event.text);
      break;
    case TunnelEvent::Level::info:
      log::info("{}", event.text);
      break;
    case TunnelEvent::Level::warning:
      log::warning("{}", event.text);
      break;
    case TunnelEvent::Level::error:
      log::error("{}", event.text);
      break;
  }
  events_.post(std::move(event));
}

}  // namespace centipede
