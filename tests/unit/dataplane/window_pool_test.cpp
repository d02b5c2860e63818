#include "dataplane/window_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "dataplane/plan.h"

namespace centipede {
namespace {

TEST(WindowPool, hands_out_what_it_has_and_no_more) {
  std::vector<uint64_t> memory(128);
  WindowPool pool(memory);
  const auto first = pool.allocate(2, 32);
  const auto second = pool.allocate(1, 64);
  ASSERT_TRUE(first && second);
  EXPECT_EQ(pool.allocate(1, 1), nullptr);
  EXPECT_EQ(first->first_word(), 0U);
  EXPECT_EQ(second->first_word(), 64U);
}

TEST(WindowPool, a_stretch_given_back_is_zeroed_before_it_is_used_again) {
  std::vector<uint64_t> memory(64);
  WindowPool pool(memory);
  auto range = pool.allocate(2, 32);
  EXPECT_EQ(range->lane(1).words(), 32U);
  EXPECT_EQ(crypto::Window(range->lane(1)).commit(7), crypto::WindowVerdict::fresh);
  EXPECT_NE(memory[32], 0U);
  range.reset();
  range = pool.allocate(2, 32);
  ASSERT_TRUE(range);
  EXPECT_EQ(memory[32], 0U);
}

TEST(WindowPool, neighbours_grow_together_again_in_whatever_order_they_come_back) {
  std::mt19937 random(5);
  std::vector<uint64_t> memory(1024);
  WindowPool pool(memory);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::shared_ptr<WindowRange>> ranges;
    while (auto range = pool.allocate(1 + random() % 4, 16))
      ranges.push_back(std::move(range));
    std::ranges::shuffle(ranges, random);
    ranges.clear();
    ASSERT_TRUE(pool.allocate(1, 1024)) << "round " << round;
  }
}

TEST(WindowPool, no_window_of_a_line_or_more_shares_a_cache_line_with_another) {
  std::vector<WindowLine> memory(64);
  WindowPool pool(words_of(memory));
  std::vector<std::shared_ptr<WindowRange>> ranges;
  for (const uint32_t lanes : {3U, 1U, 2U}) {
    ranges.push_back(pool.allocate(lanes, 2));  // smaller, as a peer with many lanes may get them
    ranges.push_back(pool.allocate(lanes, 16));
  }
  std::vector<unsigned> writers(memory.size());
  for (const auto& range : ranges) {
    ASSERT_TRUE(range);
    for (uint32_t lane = 0; range->words() >= WindowPool::line_words && lane < range->lanes(); ++lane) {
      crypto::Window window = range->lane(lane);
      for (uint64_t word = 0; word < window.words(); ++word)
        EXPECT_EQ(window.commit((window.words() + word) * CP_WINDOW_WORD_BITS), crypto::WindowVerdict::fresh);
      for (size_t line = 0; line < memory.size(); ++line) {
        const bool written = std::ranges::any_of(memory[line].words, [](uint64_t word) { return word != 0; });
        if (written) ++writers[line];
        memory[line] = {};
      }
    }
  }
  EXPECT_EQ(std::ranges::max(writers), 1U);
  const auto whole = reinterpret_cast<uintptr_t>(memory.data());
  EXPECT_EQ(whole % 64, 0U);
}

TEST(SessionTable, finds_every_session_and_no_other) {
  std::mt19937_64 random(9);
  for (const size_t count : {0U, 1U, 2U, 3U, 100U, 1000U}) {
    std::vector<ReceiveEntry> entries(count);
    for (ReceiveEntry& entry : entries)
      entry.sid = random() & ~uint64_t{0xff};  // colliding low bits
    const SessionTable table(entries);
    for (const ReceiveEntry& entry : entries) {
      ASSERT_NE(table.find(entry.sid), nullptr);
      EXPECT_EQ(table.find(entry.sid)->sid, entry.sid);
    }
    EXPECT_EQ(table.find(1), nullptr);
  }
}

}  // namespace
}  // namespace centipede
