// Random bytes for controllers and gates that are the same in every run. Threading: one thread.
#pragma once

#include "control/controller.h"

namespace centipede::fuzz {

class SeededRandomness final : public control::Randomness {
 public:
  explicit SeededRandomness(uint64_t seed) : state_(seed) {}
  void fill(Bytes out) override {
    for (uint8_t& byte : out)
      byte = static_cast<uint8_t>(next() >> 56);
  }

 private:
  uint64_t next() {  // SplitMix64
    uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  uint64_t state_;
};

}  // namespace centipede::fuzz
