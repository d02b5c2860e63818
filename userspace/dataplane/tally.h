// Counters with one writer and any reader: plain 64-bit fields, written and read as relaxed atomics without a locked
// instruction.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>

namespace centipede {

// The only writer of `counter` is the calling thread.
inline void tally(uint64_t& counter, uint64_t count = 1) {
  const std::atomic_ref<uint64_t> shared(counter);
  shared.store(shared.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
}

// `total` += `counters`, field by field; both consist of uint64_t alone.
template <class Counters>
void add_tallies(Counters& total, Counters& counters) {
  static_assert(sizeof(Counters) % sizeof(uint64_t) == 0 && alignof(Counters) == alignof(uint64_t));
  auto* sum = reinterpret_cast<uint64_t*>(&total);
  auto* part = reinterpret_cast<uint64_t*>(&counters);
  for (size_t i = 0; i < sizeof(Counters) / sizeof(uint64_t); ++i) {
    sum[i] += std::atomic_ref<uint64_t>(part[i]).load(std::memory_order_relaxed);
  }
}

}  // namespace centipede
