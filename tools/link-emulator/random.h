// A small seeded generator whose sequence is the same on every machine and with every standard library: the
// distributions of <random> are not. Not for secrets. Threading: as its owner.
#pragma once

#include <cstdint>

namespace centipede::emulator {

// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t next() {
    state_ += 0x9e3779b97f4a7c15ULL;
    uint64_t mixed = state_;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9ULL;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebULL;
    return mixed ^ (mixed >> 31);
  }

  // In [0, 1).
  double unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

  // In [0, bound). The bias of the remainder is below 2^-40 for the small bounds used here.
  uint64_t below(uint64_t bound) { return next() % bound; }

  // Certain outcomes draw nothing, so that a setting at 0 leaves the sequence of the others alone.
  bool chance(double probability) {
    if (probability <= 0) return false;
    return probability >= 1 || unit() < probability;
  }

  // Mean 0, deviation 1, within ±6: the sum of twelve uniform values needs no library function that may round
  // differently elsewhere.
  double normal() {
    double sum = -6;
    for (int i = 0; i < 12; ++i)
      sum += unit();
    return sum;
  }

 private:
  uint64_t state_;
};

}  // namespace centipede::emulator
