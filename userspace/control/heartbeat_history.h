// The highest heartbeat number seen on each of the peer's paths within one session. The replay window already refuses a
// packet that arrives twice; this refuses one that was held back, so that an old heartbeat from a new source moves
// nothing. Bounded: the path that has been silent for longest makes room. Threading: plain value.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/time.h"

namespace centipede::control {

class HeartbeatHistory {
 public:
  // 0: none yet.
  [[nodiscard]] uint32_t highest(uint16_t peer_path_id) const {
    const auto row = std::ranges::find(rows_, peer_path_id, &Row::peer_path_id);
    return row == rows_.end() ? 0 : row->highest;
  }
  void remember(uint16_t peer_path_id, uint32_t number, Instant now) {
    auto row = std::ranges::find(rows_, peer_path_id, &Row::peer_path_id);
    if (row == rows_.end()) {
      if (rows_.size() == limit) rows_.erase(std::ranges::min_element(rows_, {}, &Row::at));
      row = rows_.insert(rows_.end(), Row{peer_path_id, 0, now});
    }
    row->highest = number;
    row->at = now;
  }

 private:
  struct Row {
    uint16_t peer_path_id;
    uint32_t highest;
    Instant at;
  };
  static constexpr size_t limit = 64;
  std::vector<Row> rows_;
};

}  // namespace centipede::control
