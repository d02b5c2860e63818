// Time as values. Nothing below the data plane reads a clock: an Instant and a WallTime come in as arguments, so that a
// simulation can run whole networks in made-up time. Resolution: nanoseconds.
#pragma once

#include <chrono>
#include <cstdint>

namespace centipede {

using Duration = std::chrono::nanoseconds;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

// Monotonic time (CLOCK_MONOTONIC in the daemon). Its zero has no meaning outside one process.
struct MonotonicClock {
  using rep = Duration::rep;
  using period = Duration::period;
  using duration = Duration;
  using time_point = std::chrono::time_point<MonotonicClock>;
  static constexpr bool is_steady = true;
};
using Instant = MonotonicClock::time_point;
inline constexpr Instant never = Instant::max();

// Nanoseconds since 1970-01-01 UTC. May jump in either direction.
struct WallTime {
  uint64_t ns = 0;
  auto operator<=>(const WallTime&) const = default;
};

struct Now {
  Instant monotonic;
  WallTime wall;
};

}  // namespace centipede
