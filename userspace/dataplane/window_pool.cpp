#include "dataplane/window_pool.h"

#include <sys/mman.h>

#include <atomic>
#include <iterator>

namespace centipede {
namespace {

uint32_t stretch_of(uint32_t lanes, uint32_t words_per_lane) {
  return (lanes * words_per_lane + WindowPool::line_words - 1) / WindowPool::line_words * WindowPool::line_words;
}

}  // namespace

WindowRange::~WindowRange() {
  pool_.give_back(first_word_, stretch_of(lanes_, words_));
}

crypto::Window WindowRange::lane(uint32_t lane) const {
  return crypto::Window(pool_.words_.subspan(first_word_ + size_t{lane} * words_, words_));
}

WindowPool::WindowPool(std::span<uint64_t> words) : words_(words) {
  free_.emplace(0, static_cast<uint32_t>(words.size()));
}

std::shared_ptr<WindowRange> WindowPool::allocate(uint32_t lanes, uint32_t words_per_lane) {
  const uint32_t count = stretch_of(lanes, words_per_lane);
  uint32_t first = 0;
  {
    const std::scoped_lock lock(mutex_);
    auto stretch = free_.begin();
    while (stretch != free_.end() && stretch->second < count)
      ++stretch;
    if (stretch == free_.end()) return nullptr;
    first = stretch->first;
    const uint32_t rest = stretch->second - count;
    free_.erase(stretch);
    if (rest > 0) free_.emplace(first + count, rest);
    used_ += count;
  }
  // The XDP program may still be reading this memory for a session that has just been removed.
  for (uint64_t& word : words_.subspan(first, count))
    std::atomic_ref(word).store(0, std::memory_order_relaxed);
  return std::make_shared<WindowRange>(*this, first, lanes, words_per_lane);
}

size_t WindowPool::used() const {
  const std::scoped_lock lock(mutex_);
  return used_;
}

void WindowPool::give_back(uint32_t first_word, uint32_t count) {
  const std::scoped_lock lock(mutex_);
  used_ -= count;
  const auto here = free_.emplace(first_word, count).first;
  const auto next = std::next(here);
  if (next != free_.end() && here->first + here->second == next->first) {
    here->second += next->second;
    free_.erase(next);
  }
  if (here == free_.begin()) return;
  const auto previous = std::prev(here);
  if (previous->first + previous->second == here->first) {
    previous->second += here->second;
    free_.erase(here);
  }
}

Result<WindowMemory> WindowMemory::reserve(size_t words) {
  void* memory = mmap(nullptr, words * sizeof(uint64_t), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return fail_system("reserving memory for replay windows");
  return WindowMemory({static_cast<uint64_t*>(memory), Unmap{words}});
}

void WindowMemory::Unmap::operator()(uint64_t* words) const {
  munmap(words, count * sizeof(uint64_t));
}

}  // namespace centipede
