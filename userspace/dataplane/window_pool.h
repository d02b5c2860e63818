// Hands out stretches of the `windows` array (the memory-mapped BPF map, or plain memory where there is no XDP) to
// receiving sessions, zeroed. First fit over a sorted list of free stretches. Stretches are whole cache lines, so a
// window of at least one line, which is one worker's to write, shares none with another's.
// Ownership: a WindowRange returns its stretch when destroyed; the pool must outlive its ranges.
// Threading: safe from any thread (a worker may be the last to drop a plan); never called per packet.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "crypto/window.h"

namespace centipede {

class WindowPool;

class WindowRange {
 public:
  WindowRange(WindowPool& pool, uint32_t first_word, uint32_t lanes, uint32_t words)
      : pool_(pool), first_word_(first_word), lanes_(lanes), words_(words) {}
  ~WindowRange();
  WindowRange(const WindowRange&) = delete;
  WindowRange& operator=(const WindowRange&) = delete;

  [[nodiscard]] uint32_t first_word() const { return first_word_; }  // index into the whole array
  [[nodiscard]] uint32_t lanes() const { return lanes_; }
  [[nodiscard]] uint32_t words() const { return words_; }  // of one lane
  [[nodiscard]] crypto::Window lane(uint32_t lane) const;

 private:
  WindowPool& pool_;
  uint32_t first_word_;
  uint32_t lanes_;
  uint32_t words_;
};

class WindowPool {
 public:
  static constexpr uint32_t line_words = 8;  // of a cache line

  // words: starts on a cache line.
  explicit WindowPool(std::span<uint64_t> words);

  // words_per_lane: a power of two. Null when no stretch is long enough.
  [[nodiscard]] std::shared_ptr<WindowRange> allocate(uint32_t lanes, uint32_t words_per_lane);

 private:
  friend class WindowRange;
  void give_back(uint32_t first_word, uint32_t count);

  std::span<uint64_t> words_;
  std::mutex mutex_;
  std::map<uint32_t, uint32_t> free_;  // first word → length
};

// Plain memory for a pool.
struct alignas(64) WindowLine {
  std::array<uint64_t, WindowPool::line_words> words{};
};
[[nodiscard]] inline std::span<uint64_t> words_of(std::vector<WindowLine>& lines) {
  return {lines.data()->words.data(), lines.size() * WindowPool::line_words};
}

}  // namespace centipede
