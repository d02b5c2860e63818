// A rate with a burst: `burst` events at once, one more for every `period` that passes. Threading: plain value.
#pragma once

#include <algorithm>

#include "base/time.h"

namespace centipede::control {

class TokenBucket {
 public:
  TokenBucket(Duration period, unsigned burst) : period_(period), depth_(period * burst) {}

  [[nodiscard]] bool available(Instant now) const { return fill(now) >= period_; }
  [[nodiscard]] bool take(Instant now) {
    const Duration level = fill(now);
    if (level < period_) return false;
    level_ = level - period_;
    filled_at_ = now;
    return true;
  }

 private:
  // Full before its first use. Time that runs backwards adds nothing.
  [[nodiscard]] Duration fill(Instant now) const {
    if (filled_at_ == Instant::min()) return depth_;
    return std::min(depth_, level_ + std::max(now - filled_at_, Duration::zero()));
  }

  Duration period_;
  Duration depth_;
  Duration level_{};
  Instant filled_at_ = Instant::min();
};

}  // namespace centipede::control
