#include "crypto/window.h"

#include <centipede/wire.h>

#include <atomic>

namespace centipede::crypto {
namespace {

// Where a counter lives. A word starts as zero, that is generation 0 with no bits. Generation 0 itself belongs to slot
// 0 alone, so in every other slot the first real generation is newer than what it finds there, and in slot 0 it is
// equal with its bit clear: no "never used" mark is needed.
struct Place {
  uint64_t generation;
  uint64_t bit;
  std::atomic_ref<uint64_t> word;

  Place(std::span<uint64_t> words, uint64_t counter)
      : generation(counter >> CP_WINDOW_WORD_SHIFT),
        bit(uint64_t{1} << (counter & (CP_WINDOW_WORD_BITS - 1))),
        word(words[generation & (words.size() - 1)]) {}

  [[nodiscard]] WindowVerdict judge(uint64_t value) const {
    const uint64_t found = value >> 32;
    if (found > generation) return WindowVerdict::too_old;
    if (found == generation && (value & bit) != 0) return WindowVerdict::duplicate;
    return WindowVerdict::fresh;
  }
  [[nodiscard]] uint64_t marked(uint64_t value) const {
    return (value >> 32) == generation ? value | bit : generation << 32 | bit;
  }
};

static_assert(std::atomic_ref<uint64_t>::is_always_lock_free, "the words are shared with an XDP program");
static_assert((CP_COUNTER_LIMIT >> CP_WINDOW_WORD_SHIFT) - 1 <= UINT32_MAX, "a generation fits its 32 bits");

}  // namespace

// Relaxed order throughout: a word says everything by itself and guards no other memory.
WindowVerdict Window::check(uint64_t counter) const {
  if (counter >= CP_COUNTER_LIMIT) return WindowVerdict::beyond;
  const Place place(words_, counter);
  return place.judge(place.word.load(std::memory_order_relaxed));
}

WindowVerdict Window::commit(uint64_t counter) {
  if (counter >= CP_COUNTER_LIMIT) return WindowVerdict::beyond;
  const Place place(words_, counter);
  uint64_t value = place.word.load(std::memory_order_relaxed);
  do {
    const WindowVerdict verdict = place.judge(value);
    if (verdict != WindowVerdict::fresh) return verdict;
  } while (!place.word.compare_exchange_weak(value, place.marked(value), std::memory_order_relaxed));
  return WindowVerdict::fresh;
}

}  // namespace centipede::crypto
