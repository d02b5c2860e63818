#include "dataplane/host_names.h"

#include <utility>

namespace centipede {

void HostNames::run(const std::vector<std::string>& uplinks, Instant now) {
  const auto due = schedule_.due(setup_.controller.unresolved(), now);
  if (due.empty()) return;
  std::string problem = "too many names wait to be resolved";
  if (!resolver_) {
    const auto done = [this](const NameResolver::Answer& answer) {
      setup_.mailbox.post(ControlMailbox::Task([this, answer] { take(answer); }));
    };
    auto started = NameResolver::start({.done = done, .inside = setup_.inside, .mark = setup_.mark});
    if (started) {
      resolver_ = std::move(*started);
    } else {
      problem = started.error().text;
    }
  }
  for (const control::UnresolvedPeer& one : due) {
    if (resolver_ && resolver_->ask({.peer = one.peer, .hosts = one.hosts, .uplinks = uplinks})) continue;
    take({.peer = one.peer, .hosts = one.hosts, .endpoints = {}, .problem = problem});
  }
}

void HostNames::take(const NameResolver::Answer& answer) {
  const Now now = setup_.clock();
  if (schedule_.answered(answer.peer, answer.hosts, answer.problem, now.monotonic) && !answer.problem.empty()) {
    setup_.warn(answer.problem + "; it is tried again");
  }
  if (!answer.endpoints.empty()) setup_.controller.set_resolved(answer.peer, answer.hosts, answer.endpoints, now);
}

}  // namespace centipede
