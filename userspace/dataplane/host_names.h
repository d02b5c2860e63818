// Keeps the addresses of peers that are known by name: asks the resolver when it is time (resolve_schedule.h) and gives
// the controller what it says. A name that cannot be resolved is told of once, and hurts nothing that runs.
// Threading: the control thread; the resolver's answers come through the mailbox.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "control/controller.h"
#include "dataplane/mailbox.h"
#include "dataplane/name_resolver.h"
#include "dataplane/resolve_schedule.h"

namespace centipede {

class HostNames {
 public:
  struct Setup {
    control::Controller& controller;
    ControlMailbox& mailbox;
    std::function<Now()> clock;
    std::function<void(std::string)> warn;  // lines for the log
    std::vector<IpAddress> inside;          // as in NameResolver::Setup
    uint32_t mark = 0;
  };
  explicit HostNames(Setup setup) : setup_(std::move(setup)) {}

  // `uplinks`: the devices that can send.
  void run(const std::vector<std::string>& uplinks, Instant now);
  void uplinks_changed(Instant now) { schedule_.uplinks_changed(now); }
  // When run() has something to do.
  [[nodiscard]] Instant next() const { return schedule_.next(); }

 private:
  void take(const NameResolver::Answer& answer);

  Setup setup_;
  ResolveSchedule schedule_;
  std::unique_ptr<NameResolver> resolver_;  // from the first name on
};

}  // namespace centipede
