#include "dataplane/pings.h"

#include <algorithm>
#include <string>
#include <utility>

namespace centipede {
namespace {

constexpr size_t most_at_once = 64;
constexpr Duration longest = seconds(10);  // what takes longer is no round trip to a path

bool complete(const std::vector<control::PathProbe>& probes) {
  return std::ranges::all_of(probes, [](const auto& probe) { return probe.number == 0 || probe.rtt; });
}

std::vector<PathPing> outcome(std::vector<control::PathProbe> probes) {
  std::vector<PathPing> rows;
  rows.reserve(probes.size());
  for (control::PathProbe& probe : probes) {
    rows.push_back({.path = probe.path,
                    .uplink = std::move(probe.uplink),
                    .local = probe.route.local,
                    .remote = probe.route.remote,
                    .sending = probe.sending,
                    .rtt = probe.rtt});
  }
  return rows;
}

}  // namespace

Result<Pings::Answer> Pings::start(control::Controller& controller, std::string_view peer, Duration time,
                                   const Now& now) {
  const auto id = controller.find_peer(peer);
  if (!id) return fail("there is no peer " + std::string(peer), ENOENT);
  if (pending_.size() >= most_at_once) return fail("too many pings at once: try again in a moment", EBUSY);
  Pending& added =
      pending_.emplace_back(Pending{.peer = *id,
                                    .probes = controller.probe(*id, now),
                                    .deadline = now.monotonic + std::clamp<Duration>(time, Duration::zero(), longest),
                                    .promise = {}});
  return added.promise.get_future();
}

void Pings::serve(const control::Controller& controller, Instant now) {
  std::erase_if(pending_, [&](Pending& one) {
    controller.answers(one.peer, one.probes);
    if (now < one.deadline && !complete(one.probes)) return false;
    one.promise.set_value(outcome(std::move(one.probes)));
    return true;
  });
}

Instant Pings::next() const {
  Instant next = never;
  for (const Pending& one : pending_)
    next = std::min(next, one.deadline);
  return next;
}

}  // namespace centipede
