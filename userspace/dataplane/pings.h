// Pings under way: probes that have been sent on the paths of a peer and wait for their answers.
// Threading: the control thread; whoever asked waits for the future.
#pragma once

#include <future>
#include <vector>

#include "base/result.h"
#include "control/controller.h"
#include "dataplane/tunnel_control.h"

namespace centipede {

class Pings {
 public:
  using Answer = std::future<std::vector<PathPing>>;

  // Sends the probes, as actions of the controller. The answer is there when all are answered, or after `time`. A
  // future that is broken: the tunnel has ended. ENOENT; EBUSY above 64 at once.
  Result<Answer> start(control::Controller& controller, std::string_view peer, Duration time, const Now& now);
  // After the controller's events and at next().
  void serve(const control::Controller& controller, Instant now);
  [[nodiscard]] Instant next() const;

 private:
  struct Pending {
    control::PeerId peer;
    std::vector<control::PathProbe> probes;
    Instant deadline;
    std::promise<std::vector<PathPing>> promise;
  };
  std::vector<Pending> pending_;
};

}  // namespace centipede
