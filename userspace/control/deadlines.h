// When each peer wants to be woken: ordered, so that ten thousand peers cost a few comparisons. Threading: one thread.
#pragma once

#include <set>
#include <utility>
#include <vector>

#include "base/time.h"
#include "control/settings.h"

namespace centipede::control {

class Deadlines {
 public:
  // `never` takes the peer out.
  void set(PeerId peer, Instant deadline) {
    if (peer >= of_peer_.size()) of_peer_.resize(peer + 1, never);
    if (of_peer_[peer] == deadline) return;
    if (of_peer_[peer] != never) order_.erase({of_peer_[peer], peer});
    of_peer_[peer] = deadline;
    if (deadline != never) order_.insert({deadline, peer});
  }
  [[nodiscard]] Instant next() const { return order_.empty() ? never : order_.begin()->first; }
  [[nodiscard]] std::vector<PeerId> due(Instant now) const {
    std::vector<PeerId> peers;
    for (auto row = order_.begin(); row != order_.end() && row->first <= now; ++row)
      peers.push_back(row->second);
    return peers;
  }

 private:
  std::set<std::pair<Instant, PeerId>> order_;
  std::vector<Instant> of_peer_;
};

}  // namespace centipede::control
