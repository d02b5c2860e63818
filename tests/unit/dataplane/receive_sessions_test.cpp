#include "dataplane/receive_sessions.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace centipede {
namespace {

constexpr uint32_t words_per_lane = 1U << (CP_WINDOW_BITS_DEFAULT - CP_WINDOW_WORD_SHIFT);

std::shared_ptr<crypto::Session> session(wire::SessionId sid, uint8_t lanes) {
  return std::make_shared<crypto::Session>(sid, wire::Params{},
                                           crypto::Established{.peer_sid = sid, .peer_params = {.lanes = lanes}});
}

using Added = ReceiveSessions::Added;

class ReceiveSessionsTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(crypto::initialise()); }
};

TEST_F(ReceiveSessionsTest, a_session_that_finds_no_window_memory_gets_it_when_another_has_gone) {
  std::vector<uint64_t> memory(words_per_lane);
  WindowPool pool(memory);
  ReceiveSessions sessions(nullptr, nullptr, pool, {.words_per_session = words_per_lane});
  ASSERT_EQ(sessions.add(0, session(1, 1)), Added::whole);
  auto plan_of_a_slow_worker = sessions.table();
  EXPECT_EQ(sessions.add(0, session(2, 1)), Added::waiting);
  EXPECT_EQ(sessions.waiting(), 1U);
  sessions.remove(1, {});
  EXPECT_FALSE(sessions.retry()) << "a worker still reads the window";
  EXPECT_EQ(sessions.table().size(), 0U);
  plan_of_a_slow_worker = {};
  EXPECT_TRUE(sessions.retry());
  EXPECT_EQ(sessions.table().size(), 1U);
  EXPECT_NE(sessions.table().find(2), nullptr);
  EXPECT_FALSE(sessions.retry()) << "once is enough";
}

TEST_F(ReceiveSessionsTest, a_session_removed_while_it_waits_is_forgotten) {
  std::vector<uint64_t> memory(words_per_lane);
  WindowPool pool(memory);
  ReceiveSessions sessions(nullptr, nullptr, pool, {.words_per_session = words_per_lane});
  ASSERT_EQ(sessions.add(0, session(1, 1)), Added::whole);
  EXPECT_EQ(sessions.add(0, session(2, 1)), Added::waiting);
  sessions.remove(2, {});
  sessions.remove(1, {});
  EXPECT_FALSE(sessions.retry());
  EXPECT_EQ(sessions.table().size(), 0U);
}

TEST_F(ReceiveSessionsTest, a_peer_with_many_lanes_gets_smaller_windows_and_leaves_the_others_theirs) {
  std::vector<uint64_t> memory(size_t{2} * words_per_lane);
  WindowPool pool(memory);
  ReceiveSessions sessions(nullptr, nullptr, pool, {.words_per_session = words_per_lane});
  ASSERT_EQ(sessions.add(0, session(1, CP_DATA_LANES)), Added::whole);
  ASSERT_EQ(sessions.add(1, session(2, 1)), Added::whole);
  EXPECT_EQ(sessions.table().find(1)->windows->lanes(), CP_DATA_LANES);
  EXPECT_EQ(sessions.table().find(1)->windows->words(), 8U);
  EXPECT_EQ(sessions.table().find(2)->windows->lanes(), 1U);
  EXPECT_EQ(sessions.table().find(2)->windows->words(), words_per_lane);
}

TEST_F(ReceiveSessionsTest,
       windows_lie_where_xdp_sees_them_as_long_as_there_is_room_and_then_in_memory_of_the_process) {
  std::vector<uint64_t> seen(words_per_lane);
  std::vector<uint64_t> unseen(size_t{4} * words_per_lane);
  WindowPool shared(seen);
  WindowPool plain(unseen);
  ReceiveSessions sessions(nullptr, &shared, plain, {.words_per_session = words_per_lane, .reserved_words = 256});
  for (wire::SessionId sid = 1; sid <= 4; ++sid)
    ASSERT_EQ(sessions.add(0, session(sid, 1)), sid == 4 ? Added::shrunk : Added::whole);
  const auto windows = [&](wire::SessionId sid) -> const WindowRange& { return *sessions.table().find(sid)->windows; };
  EXPECT_EQ(&windows(1).pool(), &shared);
  EXPECT_EQ(&windows(2).pool(), &plain);
  EXPECT_EQ(windows(3).words(), words_per_lane);
  EXPECT_EQ(sessions.shrunk(), 1U);
  EXPECT_EQ(windows(4).words(), 256U) << "half of the memory is used: what is left is shared out";
  sessions.remove(1, {});
  ASSERT_EQ(sessions.add(0, session(5, 1)), Added::whole);
  EXPECT_EQ(&windows(5).pool(), &shared) << "what comes back is seen first";
}

TEST_F(ReceiveSessionsTest, peers_of_many_lanes_leave_half_of_what_xdp_sees_to_the_others) {
  std::vector<uint64_t> seen(size_t{32} * words_per_lane);
  std::vector<uint64_t> unseen(size_t{64} * words_per_lane);
  WindowPool shared(seen);
  WindowPool plain(unseen);
  ReceiveSessions sessions(nullptr, &shared, plain, {.words_per_session = 8 * words_per_lane, .reserved_words = 256});
  for (wire::SessionId sid = 1; sid <= 4; ++sid)
    ASSERT_EQ(sessions.add(0, session(sid, 8)), Added::whole);
  ASSERT_EQ(sessions.add(1, session(5, 4)), Added::whole);
  const auto pool_of = [&](wire::SessionId sid) { return &sessions.table().find(sid)->windows->pool(); };
  EXPECT_EQ(pool_of(2), &shared);
  EXPECT_EQ(pool_of(3), &plain);
  EXPECT_EQ(pool_of(4), &plain);
  EXPECT_EQ(pool_of(5), &shared);
}

TEST_F(ReceiveSessionsTest, every_session_of_every_peer_finds_its_reserve_however_much_the_first_ones_took) {
  constexpr size_t peers = 4000;
  const SessionCapacity capacity = session_capacity(peers, CP_WINDOW_BITS_DEFAULT);
  std::vector<uint64_t> unseen(capacity.plain_words);
  WindowPool plain(unseen);
  ReceiveSessions sessions(nullptr, nullptr, plain, capacity);
  const auto spread = [](uint64_t number) { return number * 0x9e3779b97f4a7c15; };  // as random ones are
  for (uint64_t number = 1; number <= peers * 5; ++number)
    ASSERT_NE(sessions.add(0, session(spread(number), 16)), Added::waiting) << number;
  EXPECT_GE(sessions.table().find(spread(peers * 5))->windows->words(), 32U);
}

TEST(SessionCapacity, few_peers_get_full_windows_and_many_idle_ones_cost_the_kernel_little) {
  const SessionCapacity one = session_capacity(1, CP_WINDOW_BITS_DEFAULT);
  EXPECT_EQ(one.words_per_session, 16 * words_per_lane);
  EXPECT_EQ(one.shared_words, 9 * 16 * words_per_lane) << "each of 5 sessions and 4 on their way out, 16 lanes";
  EXPECT_GE(one.reserved_words, one.words_per_session / 2) << "even when 256 more have come";
  EXPECT_GE(one.sessions, 257 * 5U) << "256 peers may be added while it runs";
  EXPECT_LE(one.counted * CP_MAX_UPLINKS * sizeof(cp_session_counters), size_t{25'000}) << "on each CPU";
  const SessionCapacity many = session_capacity(10'000, CP_WINDOW_BITS_DEFAULT);
  EXPECT_GE(many.sessions, 50'000U) << "an entry for every session, or strangers' packets would have to pass";
  EXPECT_EQ(many.words_per_session, one.words_per_session);
  EXPECT_LE(many.shared_words * sizeof(uint64_t), size_t{16} << 20);
  EXPECT_LE(many.counted * CP_MAX_UPLINKS * sizeof(cp_session_counters), size_t{400'000}) << "on each CPU";
  EXPECT_GE(many.reserved_words, 300U);
  const SessionCapacity most = session_capacity(1'000'000, CP_WINDOW_BITS_MAX);
  EXPECT_LE(most.plain_words * sizeof(uint64_t), size_t{256} << 20);
}

}  // namespace
}  // namespace centipede
