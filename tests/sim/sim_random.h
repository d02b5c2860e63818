// The one source of randomness of a simulation. Threading: as its owner.
#pragma once

#include <algorithm>
#include <iterator>

#include "control/controller.h"

namespace centipede::sim {

class SimRandom final : public control::Randomness {
 public:
  explicit SimRandom(uint64_t seed) : state_(seed) {}

  uint64_t next() {  // SplitMix64
    uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  void fill(Bytes out) override {
    while (!out.empty()) {
      const uint64_t word = next();
      const size_t part = std::min(out.size(), sizeof word);
      std::memcpy(out.data(), &word, part);
      out = out.subspan(part);
    }
  }
  uint64_t below(uint64_t limit) { return next() % limit; }
  bool chance(unsigned percent) { return below(100) < percent; }
  Duration up_to(Duration longest) {
    return Duration(static_cast<Duration::rep>(below(static_cast<uint64_t>(longest.count()) + 1)));
  }
  template <class List>
  auto& one_of(List& list) {
    return list[below(std::size(list))];
  }

 private:
  uint64_t state_;
};

}  // namespace centipede::sim
