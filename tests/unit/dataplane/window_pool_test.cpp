#include "dataplane/window_pool.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <random>
#include <set>

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
  constexpr size_t lines = 64;
  const auto memory = WindowMemory::reserve(lines * WindowPool::line_words);
  ASSERT_TRUE(memory);
  WindowPool pool(memory->words());
  std::vector<std::shared_ptr<WindowRange>> ranges;
  for (const uint32_t lanes : {3U, 1U, 2U}) {
    ranges.push_back(pool.allocate(lanes, 2));  // smaller, as a peer with many lanes may get them
    ranges.push_back(pool.allocate(lanes, 16));
  }
  std::vector<unsigned> writers(lines);
  for (const auto& range : ranges) {
    ASSERT_TRUE(range);
    for (uint32_t lane = 0; range->words() >= WindowPool::line_words && lane < range->lanes(); ++lane) {
      crypto::Window window = range->lane(lane);
      for (uint64_t word = 0; word < window.words(); ++word)
        EXPECT_EQ(window.commit((window.words() + word) * CP_WINDOW_WORD_BITS), crypto::WindowVerdict::fresh);
      for (size_t line = 0; line < lines; ++line) {
        const auto words = memory->words().subspan(line * WindowPool::line_words, WindowPool::line_words);
        const bool written = std::ranges::any_of(words, [](uint64_t word) { return word != 0; });
        if (written) ++writers[line];
        std::ranges::fill(words, 0);
      }
    }
  }
  EXPECT_EQ(std::ranges::max(writers), 1U);
  const auto whole = reinterpret_cast<uintptr_t>(memory->words().data());
  EXPECT_EQ(whole % 64, 0U);
}

TEST(SessionTable, finds_every_session_and_no_other) {
  std::mt19937_64 random(9);
  for (const size_t count : {0U, 1U, 2U, 3U, 100U, 1000U}) {
    std::vector<ReceiveEntry> entries(count);
    for (ReceiveEntry& entry : entries)
      entry.sid = random() & ~uint64_t{0xff};  // colliding low bits
    const SessionTable table(entries);
    EXPECT_EQ(table.size(), count);
    for (const ReceiveEntry& entry : entries) {
      ASSERT_NE(table.find(entry.sid), nullptr);
      EXPECT_EQ(table.find(entry.sid)->sid, entry.sid);
    }
    EXPECT_EQ(table.find(1), nullptr);
    EXPECT_EQ(table.find(0), nullptr);
  }
}

TEST(SessionTable, a_copy_stays_as_it_was_when_sessions_come_and_go) {
  std::mt19937_64 random(11);
  std::set<wire::SessionId> model;
  SessionTable table;
  for (int round = 0; round < 2000; ++round) {
    const SessionTable before = table;
    const std::set<wire::SessionId> there = model;
    const wire::SessionId sid = (random() % 3 + 1) << 56 | random() % 50 << 8;  // few shards, colliding low bits
    if (model.erase(sid) != 0) {
      table.erase(sid);
    } else {
      table.insert({.sid = sid});
      model.insert(sid);
    }
    table.erase(1);
    EXPECT_EQ(table.size(), model.size());
    EXPECT_EQ(table.find(sid) != nullptr, model.contains(sid));
    EXPECT_EQ(before.size(), there.size());
    for (const wire::SessionId one : there)
      ASSERT_NE(before.find(one), nullptr);
    EXPECT_EQ(before.find(sid) != nullptr, there.contains(sid));
  }
}

TEST(WindowMemory, is_backed_by_pages_from_the_first_use_of_each) {
  constexpr size_t pages = 4096;
  const auto memory = WindowMemory::reserve(pages * 512);
  ASSERT_TRUE(memory) << memory.error().text;
  std::vector<unsigned char> present(pages);
  const auto resident = [&] {
    EXPECT_EQ(mincore(memory->words().data(), memory->words().size_bytes(), present.data()), 0);
    return std::ranges::count_if(present, [](unsigned char page) { return (page & 1) != 0; });
  };
  EXPECT_EQ(resident(), 0);
  WindowPool pool(memory->words());
  EXPECT_EQ(resident(), 0);
  const auto range = pool.allocate(2, 1024);
  EXPECT_GE(resident(), 4);
  EXPECT_LE(resident(), 512) << "at most a huge page";
  EXPECT_EQ(pool.used(), 2048U);
}

}  // namespace
}  // namespace centipede
