// How long the peer's heartbeats take to come here over one path, by the peer's clock at the start and ours at the end.
// The difference of the two clocks is in it, the same on every path of the peer: only comparing paths means something.
// Threading: plain value.
#pragma once

#include <cstdint>
#include <optional>

#include "base/time.h"

namespace centipede::control {

class Transit {
 public:
  // Any two numbers: the peer may send what it likes.
  void add(uint64_t sent_us, uint64_t arrived_us) {
    const uint64_t sample = arrived_us - sent_us;
    const int64_t change = smoothed_us_ ? difference(sample, *smoothed_us_) : 0;
    if (!smoothed_us_ || change > jump_us || change < -jump_us)
      smoothed_us_ = sample;  // a clock has been set, or started again
    else
      *smoothed_us_ += static_cast<uint64_t>(change / 8);
  }
  [[nodiscard]] bool known() const { return smoothed_us_.has_value(); }
  // How much longer it takes than `other`; both known. Negative: less long.
  [[nodiscard]] Duration behind(const Transit& other) const {
    const int64_t us = difference(*smoothed_us_, *other.smoothed_us_);
    return microseconds(us > jump_us ? jump_us : us < -jump_us ? -jump_us : us);
  }

 private:
  static constexpr int64_t jump_us = 10'000'000;
  static int64_t difference(uint64_t a, uint64_t b) { return static_cast<int64_t>(a - b); }

  std::optional<uint64_t> smoothed_us_;  // modulo 2^64
};

}  // namespace centipede::control
