// The replay window against an exact model: a set of what was committed and, for each word, the newest generation in
// it. First byte: size of the window. Then steps of 9 bytes: what to do, and a number.
#include "crypto/window.h"

#include <centipede/wire.h>

#include <bit>
#include <set>
#include <unordered_map>

#include "fuzz.h"

namespace centipede::fuzz {
namespace {

using crypto::WindowVerdict;

class Model {
 public:
  explicit Model(size_t words) : words_(words) {}

  [[nodiscard]] WindowVerdict verdict(uint64_t counter) const {
    if (counter >= CP_COUNTER_LIMIT) return WindowVerdict::beyond;
    const uint64_t generation = counter / CP_WINDOW_WORD_BITS;
    const auto found = newest_.find(generation % words_);
    if (found != newest_.end() && found->second > generation) return WindowVerdict::too_old;
    return seen_.contains(counter) ? WindowVerdict::duplicate : WindowVerdict::fresh;
  }
  void commit(uint64_t counter) {
    const uint64_t generation = counter / CP_WINDOW_WORD_BITS;
    newest_[generation % words_] = generation;
    seen_.insert(counter);
    highest_ = std::max(highest_, counter);
  }
  // Nothing this close to the highest counter is ever too old.
  [[nodiscard]] bool recent(uint64_t counter) const {
    return counter < CP_COUNTER_LIMIT && counter / CP_WINDOW_WORD_BITS + words_ > highest_ / CP_WINDOW_WORD_BITS;
  }
  [[nodiscard]] uint64_t highest() const { return highest_; }

 private:
  size_t words_;
  std::set<uint64_t> seen_;
  std::unordered_map<uint64_t, uint64_t> newest_;  // by slot
  uint64_t highest_ = 0;
};

uint64_t choose_counter(unsigned how, uint64_t argument, const Model& model, size_t words) {
  const uint64_t packets = words * CP_WINDOW_WORD_BITS;
  const uint64_t highest = model.highest();
  switch (how) {
    case 0:
      return argument;  // anything at all
    case 1:
      return argument % (CP_COUNTER_LIMIT + 64);
    case 2:
      return highest + argument % 64;
    case 3:
      return highest - std::min(highest, argument % 64);
    case 4:
      return highest - std::min(highest, argument % (2 * packets));
    case 5:
      return highest + argument % (2 * packets);
    case 6:
      return highest + packets * (argument % 8);  // the same word again
    default:
      return highest - std::min(highest, packets * (argument % 8));
  }
}

void run(Input& input) {
  const size_t words = size_t{1} << (CP_WINDOW_BITS_MIN - CP_WINDOW_WORD_SHIFT + input.below(3));
  std::vector<uint64_t> memory(words, 0);
  crypto::Window window(memory);
  Model model(words);
  while (!input.empty()) {
    const auto step = input.number();
    const uint64_t counter = choose_counter(step % 8, input.number<uint64_t>(), model, words);
    const WindowVerdict expected = model.verdict(counter);
    const auto before = memory;
    promise(window.check(counter) == expected, "check() says what the model says");
    promise(memory == before, "check() changes nothing");
    if (model.recent(counter)) promise(expected != WindowVerdict::too_old, "recent counters are never too old");
    if ((step & 0x80) != 0) continue;  // its tag was wrong: looked up, never committed
    promise(window.commit(counter) == expected, "commit() says what the model says");
    if (expected != WindowVerdict::fresh) {
      promise(memory == before, "a refused commit changes nothing");
      continue;
    }
    model.commit(counter);
    promise(window.check(counter) == WindowVerdict::duplicate, "what was committed is a duplicate");
    const uint64_t word = memory[counter / CP_WINDOW_WORD_BITS % words];
    promise(word >> 32 == counter / CP_WINDOW_WORD_BITS && (word >> counter % CP_WINDOW_WORD_BITS & 1) != 0,
            "a word is generation, then bits, as the XDP program reads it");
  }
}

}  // namespace
}  // namespace centipede::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  centipede::fuzz::Input input(data, size);
  centipede::fuzz::run(input);
  return 0;
}
