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

class ReceiveSessionsTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(crypto::initialise()); }
};

TEST_F(ReceiveSessionsTest, a_session_that_finds_no_window_memory_gets_it_when_another_has_gone) {
  std::vector<uint64_t> memory(words_per_lane);
  WindowPool pool(memory);
  ReceiveSessions sessions(nullptr, pool, {.words_per_session = words_per_lane});
  ASSERT_TRUE(sessions.add(0, session(1, 1)));
  auto plan_of_a_slow_worker = sessions.entries();
  EXPECT_FALSE(sessions.add(0, session(2, 1)));
  sessions.remove(1);
  EXPECT_FALSE(sessions.retry()) << "a worker still reads the window";
  EXPECT_TRUE(sessions.entries().empty());
  plan_of_a_slow_worker.clear();
  EXPECT_TRUE(sessions.retry());
  ASSERT_EQ(sessions.entries().size(), 1U);
  EXPECT_EQ(sessions.entries()[0].sid, 2U);
  EXPECT_FALSE(sessions.retry()) << "once is enough";
}

TEST_F(ReceiveSessionsTest, a_session_removed_while_it_waits_is_forgotten) {
  std::vector<uint64_t> memory(words_per_lane);
  WindowPool pool(memory);
  ReceiveSessions sessions(nullptr, pool, {.words_per_session = words_per_lane});
  ASSERT_TRUE(sessions.add(0, session(1, 1)));
  EXPECT_FALSE(sessions.add(0, session(2, 1)));
  sessions.remove(2);
  sessions.remove(1);
  EXPECT_FALSE(sessions.retry());
  EXPECT_TRUE(sessions.entries().empty());
}

TEST_F(ReceiveSessionsTest, a_peer_with_many_lanes_gets_smaller_windows_and_leaves_the_others_theirs) {
  std::vector<uint64_t> memory(size_t{2} * words_per_lane);
  WindowPool pool(memory);
  ReceiveSessions sessions(nullptr, pool, {.words_per_session = words_per_lane});
  ASSERT_TRUE(sessions.add(0, session(1, CP_DATA_LANES)));
  ASSERT_TRUE(sessions.add(1, session(2, 1)));
  for (const ReceiveEntry& entry : sessions.entries()) {
    EXPECT_EQ(entry.windows->lanes(), entry.sid == 1 ? CP_DATA_LANES : 1U);
    EXPECT_EQ(entry.windows->words(), entry.sid == 1 ? 8U : words_per_lane);
  }
}

}  // namespace
}  // namespace centipede
