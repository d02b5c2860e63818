// Replay window and duplicate elimination (docs/protocol.md, section 4): one array of tagged words for each (session,
// lane). word = {generation 32 | bits 32}; slot = (counter >> 5) & (words - 1); generation = counter >> 5, which never
// wraps because counters stay below CP_COUNTER_LIMIT. Nothing is zeroed when the window moves and no gap stalls it.
// RFC 6479 has the idea of a bitmap in blocks; the tag in each word replaces its global maximum.
//
// Only an authenticated packet ever changes the window: check(), open the packet, then commit().
// Ownership: a view of words that belong to somebody else (the `windows` BPF map, or plain memory in tests).
// Threading: any number of threads; commit() is one compare-and-swap on one word.
#pragma once

#include <cstdint>
#include <span>

namespace centipede::crypto {

enum class WindowVerdict : uint8_t {
  fresh,
  duplicate,  // this counter has been committed before
  too_old,    // the word has moved on to a newer generation
  beyond,     // counter at or above CP_COUNTER_LIMIT
};

class Window {
 public:
  Window() = default;
  // words: a power of two of 64-bit words, all zero when the session starts.
  explicit Window(std::span<uint64_t> words) : words_(words) {}

  [[nodiscard]] WindowVerdict check(uint64_t counter) const;
  // Marks the counter. `fresh` to exactly one of any number of callers.
  [[nodiscard]] WindowVerdict commit(uint64_t counter);
  [[nodiscard]] size_t words() const { return words_.size(); }

 private:
  std::span<uint64_t> words_;
};

}  // namespace centipede::crypto
