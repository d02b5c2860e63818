// The newest timestamp that was accepted from each peer that is none now: what it has called us with stays stale, for
// when it is added again. As many as the state file has room for beside all others; the oldest go first.
// Pure; threading: one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <utility>

#include "crypto/keys.h"

namespace centipede::control {

class FormerPeers {
 public:
  // From an earlier process: also of peers that will be added yet, so these may be more than `max`.
  explicit FormerPeers(std::map<crypto::PublicKey, uint64_t> accepted_ns, size_t max = 65'536)
      : max_(max), accepted_ns_(std::move(accepted_ns)) {
    for (const auto& [peer, timestamp_ns] : accepted_ns_)
      by_age_.emplace(timestamp_ns, peer);
  }

  void keep(const crypto::PublicKey& peer, uint64_t accepted_ns) {
    (void)take(peer);
    accepted_ns_.emplace(peer, accepted_ns);
    by_age_.emplace(accepted_ns, peer);
    while (by_age_.size() > max_) {
      accepted_ns_.erase(by_age_.begin()->second);
      by_age_.erase(by_age_.begin());
    }
  }
  // Forgets the peer; 0: nothing is known of it.
  uint64_t take(const crypto::PublicKey& peer) {
    const auto known = accepted_ns_.find(peer);
    if (known == accepted_ns_.end()) return 0;
    const uint64_t accepted_ns = known->second;
    by_age_.erase({accepted_ns, peer});
    accepted_ns_.erase(known);
    return accepted_ns;
  }
  [[nodiscard]] const std::map<crypto::PublicKey, uint64_t>& all() const { return accepted_ns_; }

 private:
  size_t max_;
  std::map<crypto::PublicKey, uint64_t> accepted_ns_;
  std::set<std::pair<uint64_t, crypto::PublicKey>> by_age_;
};

}  // namespace centipede::control
