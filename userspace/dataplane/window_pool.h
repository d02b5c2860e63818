// Hands out stretches of an array of window words (the memory-mapped BPF map `windows`, or memory of the process) to
// receiving sessions, zeroed. First fit over a sorted list of free stretches, so that the front is used again first.
// Stretches are whole cache lines, so a window of at least one line, which is one worker's to write, shares none with
// another's.
// Ownership: a WindowRange returns its stretch when destroyed; the pool must outlive its ranges, the words the pool.
// Threading: safe from any thread (a worker may be the last to drop a plan); never called per packet.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>

#include "base/result.h"
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

  [[nodiscard]] const WindowPool& pool() const { return pool_; }
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
  [[nodiscard]] size_t size() const { return words_.size(); }
  [[nodiscard]] size_t used() const;

 private:
  friend class WindowRange;
  void give_back(uint32_t first_word, uint32_t count);

  std::span<uint64_t> words_;
  mutable std::mutex mutex_;
  std::map<uint32_t, uint32_t> free_;  // first word → length
  size_t used_ = 0;
};

// Words of this process alone. Address space only: the kernel gives a page when something is written to it. Move-only.
class WindowMemory {
 public:
  [[nodiscard]] static Result<WindowMemory> reserve(size_t words);
  [[nodiscard]] std::span<uint64_t> words() const { return {words_.get(), words_.get_deleter().count}; }

 private:
  struct Unmap {
    size_t count = 0;
    void operator()(uint64_t* words) const;
  };
  explicit WindowMemory(std::unique_ptr<uint64_t[], Unmap> words) : words_(std::move(words)) {}
  std::unique_ptr<uint64_t[], Unmap> words_;
};

}  // namespace centipede
