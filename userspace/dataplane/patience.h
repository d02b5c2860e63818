// How long a worker that has run out of work goes on looking before it sleeps.
//
// To be woken costs a worker what sleeping saved it, or more: where a core has halted, tens of microseconds, in which
// the packet waits. So it always looks on for as long as a wake-up costs; never having slept too early or too late, it
// then spends at most twice the time of one that knew the future (the ski rental problem). Beyond that it looks on from
// an allowance that grows with time, a twentieth of it: a lone exchange gets its answer without a wake-up, and a
// trickle of packets cannot keep a core busy. Without packets it sleeps.
//
// Looking on yields the core. Where another program takes it then, the worker has to wait for its turn, milliseconds
// perhaps, whereas one that sleeps is run as soon as a packet wakes it. So where a yield took long, it sleeps at once
// when it is out of work, for a while that doubles as long as that goes on.
//
// Pure: the clock is an argument. Threading: one worker.
#pragma once

#include <algorithm>

#include "base/time.h"

namespace centipede {

class Patience {
 public:
  static constexpr Duration wake_up_cost = microseconds(50);
  static constexpr Duration longest = milliseconds(1);
  static constexpr int share = 20;  // the allowance grows by one of so many parts of time
  static constexpr Duration allowance_limit = milliseconds(10);
  static constexpr Duration long_yield = microseconds(200);
  static constexpr Duration shortest_sleepy = milliseconds(1);
  static constexpr Duration longest_sleepy = milliseconds(64);

  // at_least: look on for so long in any case.
  explicit Patience(Duration at_least = Duration::zero()) : certain_(std::max(at_least, wake_up_cost)) {}

  // To be asked after each round. worked: the round found something to do. True: look again; false: sleep.
  [[nodiscard]] bool goes_on(Instant now, bool worked) {
    const Duration round = now - last_round_;
    last_round_ = now;
    allowance_ = std::min(allowance_ + round / share, allowance_limit);
    if (worked) {
      worked_ = now;
      return true;
    }
    if (now < crowded_until_) return false;
    const Duration idle = now - worked_;
    if (idle < certain_) return true;
    if (idle >= longest || allowance_ <= Duration::zero()) return false;
    allowance_ -= std::min(round, idle - certain_);
    return true;
  }

  // The core was given away from..to.
  void yielded(Instant from, Instant to) {
    if (to - from < long_yield) {
      if (to > crowded_until_ + longest_sleepy) sleepy_ = shortest_sleepy;
      return;
    }
    crowded_until_ = to + sleepy_;
    sleepy_ = std::min(2 * sleepy_, longest_sleepy);
  }

 private:
  Duration certain_;
  Duration allowance_ = Duration::zero();
  Instant last_round_{};
  Instant worked_{};
  Instant crowded_until_{};
  Duration sleepy_ = shortest_sleepy;  // how long the next long yield makes it sleep at once
};

}  // namespace centipede
