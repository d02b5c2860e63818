#include "crypto/window.h"

#include <centipede/wire.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "rounds.h"

namespace centipede::crypto {

std::ostream& operator<<(std::ostream& out, WindowVerdict verdict) {
  constexpr const char* names[] = {"fresh", "duplicate", "too_old", "beyond"};
  return out << names[static_cast<size_t>(verdict)];
}

namespace {

using enum WindowVerdict;
using Words = std::vector<uint64_t>;

constexpr uint64_t packets_of(const Words& words) {
  return words.size() * CP_WINDOW_WORD_BITS;
}

TEST(Window, Boundaries) {
  // One window of 32 words, that is 1024 packets, through one history; check() must say the same just before commit().
  constexpr uint64_t size = 1024;
  constexpr uint64_t limit = CP_COUNTER_LIMIT;
  const struct {
    uint64_t counter;
    WindowVerdict verdict;
  } rows[] = {
      {0, fresh},
      {0, duplicate},
      {1, fresh},
      {1, duplicate},
      {9, fresh},
      {8, fresh},
      {7, fresh},
      {7, duplicate},
      {31, fresh},
      {32, fresh},
      {31, duplicate},
      {size - 1, fresh},  // the last slot, never used before
      {size - 1, duplicate},
      {size, fresh},  // slot 0 again: generation 0 is gone
      {2, too_old},
      {31, too_old},
      {33, fresh},  // slot 1 still holds its first generation
      {32, duplicate},
      {size + 32, fresh},
      {34, too_old},
      {size + 31, fresh},
      {size, duplicate},
      {2 * size - 1, fresh},
      {size - 2, too_old},
      {10 * size, fresh},  // a jump over many windows
      {9 * size, too_old},
      {9 * size + 32, fresh},  // its slot has seen nothing newer
      {10 * size, duplicate},
      {limit - 1, fresh},
      {limit - 1, duplicate},
      {limit - size, fresh},
      {limit, beyond},
      {limit + 1, beyond},
      {CP_COUNTER_MASK, beyond},
      {UINT64_MAX, beyond},
      {limit - 1, duplicate},
  };
  Words words(size / CP_WINDOW_WORD_BITS, 0);
  Window window(words);
  for (const auto& row : rows) {
    EXPECT_EQ(window.check(row.counter), row.verdict) << row.counter;
    EXPECT_EQ(window.commit(row.counter), row.verdict) << row.counter;
  }
}

TEST(Window, CheckNeverChangesAWord) {
  Words words(32, 0);
  Window window(words);
  (void)window.commit(77);
  const Words before = words;
  for (const uint64_t counter :
       std::initializer_list<uint64_t>{0, 77, 78, 5000, CP_COUNTER_LIMIT - 1, CP_COUNTER_LIMIT}) {
    (void)window.check(counter);
  }
  EXPECT_EQ(words, before);
}

TEST(Window, ARefusedCommitNeverChangesAWord) {
  Words words(32, 0);
  Window window(words);
  ASSERT_EQ(window.commit(1024), fresh);
  const Words before = words;
  EXPECT_EQ(window.commit(1024), duplicate);
  EXPECT_EQ(window.commit(0), too_old);
  EXPECT_EQ(window.commit(CP_COUNTER_LIMIT), beyond);
  EXPECT_EQ(words, before);
}

TEST(Window, AWordIsGenerationThenBitsAsTheXdpProgramReadsIt) {
  Words words(32, 0);
  Window window(words);
  const uint64_t counter = (uint64_t{0xabcdef01} << CP_WINDOW_WORD_SHIFT) | 5;
  ASSERT_EQ(window.commit(counter), fresh);
  ASSERT_EQ(window.commit(counter + 3), fresh);
  EXPECT_EQ(words[0xabcdef01 % 32], 0xabcdef0100000120U);
  EXPECT_EQ(std::ranges::count(words, 0U), 31);
}

TEST(Window, EveryCounterOfTheFirstWindowsIsTakenOnce) {
  for (const int bits : {CP_WINDOW_BITS_MIN, CP_WINDOW_BITS_DEFAULT, CP_WINDOW_BITS_MAX}) {
    Words words((size_t{1} << bits) / CP_WINDOW_WORD_BITS, 0);
    Window window(words);
    for (uint64_t counter = 0; counter < packets_of(words) * 3; ++counter) {
      ASSERT_EQ(window.check(counter), fresh) << counter;
      ASSERT_EQ(window.commit(counter), fresh) << counter;
      ASSERT_EQ(window.commit(counter), duplicate) << counter;
    }
  }
}

TEST(Window, AGapOfAnySizeStallsNothing) {
  for (const unsigned gap : {14U, 20U, 32U, 36U}) {
    Words words(1024, 0);
    Window window(words);
    for (uint64_t counter = 0; counter < 100; ++counter)
      ASSERT_EQ(window.commit(counter), fresh);
    const uint64_t resumed = uint64_t{1} << gap;
    for (uint64_t counter = resumed; counter < resumed + 100'000; ++counter) {
      ASSERT_EQ(window.commit(counter), fresh) << gap << " " << counter;
      ASSERT_EQ(window.check(counter), duplicate) << gap << " " << counter;
    }
  }
}

TEST(Window, AFarFutureCounterMakesItsWordRefuseThePast) {
  Words words(1024, 0);
  Window window(words);
  const uint64_t past = 5 * 32;
  const uint64_t future = past + packets_of(words) * 1'000'000;
  ASSERT_EQ(window.commit(past), fresh);
  ASSERT_EQ(window.commit(future), fresh);
  for (uint64_t bit = 0; bit < 32; ++bit)
    EXPECT_EQ(window.commit(past + bit), too_old);
  EXPECT_EQ(window.commit(future), duplicate);
  EXPECT_EQ(window.commit(future + 1), fresh);
}

TEST(Window, NothingWithinItsSizeOfTheHighestIsLost) {
  std::mt19937_64 random(7);
  Words words(64, 0);
  Window window(words);
  std::set<uint64_t> seen;
  uint64_t highest = 0;
  for (int i = 0; i < 300'000; ++i) {
    highest += random() % 40;
    // Words are replaced whole, hence the promise holds down to the first word that shares no slot with the highest.
    const uint64_t oldest = highest < packets_of(words) ? 0 : (highest / 32 - words.size() + 1) * 32;
    const uint64_t counter = random() % 4 == 0 ? highest : oldest + random() % (highest - oldest + 1);
    ASSERT_EQ(window.commit(counter), seen.insert(counter).second ? fresh : duplicate) << counter << " of " << highest;
  }
}

TEST(Window, AgreesWithAnExactModelOverAMillionRandomSteps) {
  std::mt19937_64 random(42);
  Words words(32, 0);
  Window window(words);
  std::map<uint64_t, uint64_t> newest;  // generation last committed in each slot
  std::set<uint64_t> seen;
  std::array<unsigned, 3> tally{};
  uint64_t around = 0;
  for (uint64_t step = 0; step < test::rounds(1'000'000); ++step) {
    if (random() % 16 == 0) around += random() % 300;
    if (random() % 50'000 == 0) around += random() % 100'000'000;
    const uint64_t spread = random() % 2500;
    const uint64_t counter = around > spread ? around - spread : spread;
    const uint64_t generation = counter / 32;
    const auto found = newest.find(generation % 32);
    const bool old = found != newest.end() && found->second > generation;
    const WindowVerdict expected = old ? too_old : seen.contains(counter) ? duplicate : fresh;
    ASSERT_EQ(window.check(counter), expected) << counter;
    if (random() % 3 == 0) continue;  // an unauthenticated packet: looked up, never committed
    ASSERT_EQ(window.commit(counter), expected) << counter;
    if (expected == fresh) {
      newest[generation % 32] = generation;
      seen.insert(counter);
    }
    ++tally[static_cast<size_t>(expected)];
  }
  for (const unsigned count : tally)
    EXPECT_GT(count, test::rounds(10'000));
}

TEST(Window, FourThreadsOverTheSameCountersTakeEachExactlyOnce) {
  constexpr uint64_t counters = 1U << 20;
  constexpr unsigned threads = 4;
  // Large enough that nothing can become too old while a slower thread lags behind.
  Words words(counters / CP_WINDOW_WORD_BITS, 0);
  Window window(words);
  std::vector<std::atomic<uint8_t>> taken(counters);
  std::atomic<uint64_t> duplicates{0};
  std::atomic<unsigned> ready{0};
  const auto work = [&] {
    uint64_t own_duplicates = 0;
    ready.fetch_add(1);
    while (ready.load() < threads)
      std::this_thread::yield();
    for (uint64_t counter = 0; counter < counters; ++counter) {
      const WindowVerdict verdict = window.commit(counter);
      if (verdict == fresh) taken[counter].fetch_add(1, std::memory_order_relaxed);
      if (verdict == duplicate) ++own_duplicates;
    }
    duplicates.fetch_add(own_duplicates);
  };
  {
    std::vector<std::jthread> pool;
    for (unsigned i = 0; i < threads; ++i)
      pool.emplace_back(work);
  }
  for (uint64_t counter = 0; counter < counters; ++counter)
    ASSERT_EQ(taken[counter].load(), 1U) << counter;
  EXPECT_EQ(duplicates.load(), counters * (threads - 1));
}

TEST(Window, ThreadsInASmallWindowNeverTakeACounterTwice) {
  constexpr uint64_t counters = 1U << 20;
  Words words(32, 0);
  Window window(words);
  std::vector<std::atomic<uint8_t>> taken(counters);
  std::atomic<uint64_t> front{0};
  const auto work = [&](unsigned seed) {
    std::minstd_rand random(seed);
    // Each thread retries counters around a shared front, so that words are replaced under one another all the time.
    for (uint64_t at = 0; (at = front.fetch_add(1)) < counters;) {
      for (int i = 0; i < 3; ++i) {
        const uint64_t back = random() % 64;
        const uint64_t counter = at > back ? at - back : at;
        if (window.commit(counter) == fresh) taken[counter].fetch_add(1, std::memory_order_relaxed);
      }
    }
  };
  {
    std::vector<std::jthread> pool;
    for (unsigned i = 1; i <= 4; ++i)
      pool.emplace_back(work, i);
  }
  EXPECT_TRUE(std::ranges::all_of(taken, [](const auto& count) { return count.load() <= 1; }));
}

}  // namespace
}  // namespace centipede::crypto
