// Smoothed round-trip time and its variation, RFC 6298 section 2. Threading: plain value.
#pragma once

#include <optional>

#include "base/time.h"

namespace centipede::control {

class RttEstimator {
 public:
  void add(Duration sample) {
    if (!smoothed_) {
      smoothed_ = sample;
      variation_ = sample / 2;
      return;
    }
    const Duration error = *smoothed_ > sample ? *smoothed_ - sample : sample - *smoothed_;
    variation_ = (3 * variation_ + error) / 4;
    smoothed_ = (7 * *smoothed_ + sample) / 8;
  }
  [[nodiscard]] std::optional<Duration> smoothed() const { return smoothed_; }
  [[nodiscard]] std::optional<Duration> variation() const {
    return smoothed_ ? std::optional(variation_) : std::nullopt;
  }

 private:
  std::optional<Duration> smoothed_;
  Duration variation_{};
};

}  // namespace centipede::control
