// How often a test repeats what is random in it: as often as it says, and a tenth of that under a sanitizer, which is
// 10 to 100 times slower and finds its faults in what is reached, not in how often. Multiples of 1,000 stay whole.
#pragma once

#include <cstdint>

namespace centipede::test {

constexpr uint64_t rounds(uint64_t whole) {
#ifdef CENTIPEDE_TEST_SANITIZED
  return whole / 10;
#else
  return whole;
#endif
}

}  // namespace centipede::test
