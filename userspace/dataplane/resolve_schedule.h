// When the names of which peer are looked up: at once when a peer is first without a working path, then after 1 s and
// more and more seldom, up to every 5 minutes, or every minute while names cannot be resolved. A change of the uplinks
// begins anew. A peer with a path that works is left alone.
// Pure; threading: one thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/time.h"
#include "control/controller.h"

namespace centipede {

class ResolveSchedule {
 public:
  static constexpr Duration first_pause = seconds(1);
  static constexpr Duration longest_after_failure = seconds(60);
  static constexpr Duration longest = seconds(300);

  // Of all peers whose names are worth a look those whose turn it is; they are not due again before answered().
  std::vector<control::UnresolvedPeer> due(std::vector<control::UnresolvedPeer> unresolved, Instant now);
  // An empty problem: the names were resolved. True when the problem is another than the last time. An answer about
  // names that the peer does not have any more is none.
  bool answered(control::PeerId peer, const std::vector<control::HostEndpoint>& hosts, const std::string& problem,
                Instant now);
  void uplinks_changed(Instant now);
  // When somebody is due, of those known so far.
  [[nodiscard]] Instant next() const;

 private:
  struct Row {
    std::vector<control::HostEndpoint> hosts;
    Duration pause = first_pause;
    Instant at;          // never: under way
    bool again = false;  // the uplinks have changed while it was under way
    std::string problem;
  };
  std::map<control::PeerId, Row> rows_;
};

}  // namespace centipede
