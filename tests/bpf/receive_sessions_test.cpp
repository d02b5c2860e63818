// ReceiveSessions over the loaded program: what its entries make of frames when windows and counters are full.
#include "dataplane/receive_sessions.h"

#include "program_fixture.h"

namespace centipede::test {
namespace {

TEST_F(ProgramTest, sessions_beyond_the_windows_array_and_the_counters_are_listed_and_only_lose_their_early_drop) {
  WindowPool shared(program->windows().first(64));
  std::vector<uint64_t> memory(256);
  WindowPool plain(memory);
  ReceiveSessions sessions(program.get(), &shared, plain, {.counted = 1, .words_per_session = 64});
  const auto add = [&](wire::SessionId sid) {
    return sessions.add(0, std::make_shared<crypto::Session>(sid, wire::Params{.window_bits = 11},
                                                             crypto::Established{.peer_params = {.lanes = 1}})) !=
           ReceiveSessions::Added::waiting;
  };
  control::PeerTable peers;
  auto forwarding = std::make_shared<control::PeerForwarding>();
  forwarding->paths.push_back({.uplink = uplink_index, .counters = std::make_shared<control::PathCounters>(1)});
  peers.push_back(forwarding);
  const auto dropped_early = [&] {
    sessions.collect_counters(peers);
    return forwarding->paths[0].counters->dropped_early.load();
  };

  for (const wire::SessionId sid : {1, 2}) {
    ASSERT_TRUE(add(sid));
    ASSERT_EQ(sessions.table().find(sid)->windows->lane(0).commit(7), crypto::WindowVerdict::fresh);
  }
  EXPECT_TRUE(sessions.all_listed());
  expect("a copy on the first session", data_frame(0, 7, 1), XDP_DROP, CP_VERDICT_DUPLICATE);
  expect("a copy on the second", data_frame(0, 7, 2), XDP_PASS, CP_VERDICT_NO_SOCKET);  // there is no socket here
  EXPECT_EQ(dropped_early(), 1U);

  sessions.remove(1, peers);
  ASSERT_TRUE(add(3));
  ASSERT_EQ(sessions.table().find(3)->windows->lane(0).commit(7), crypto::WindowVerdict::fresh);
  expect("the first session has gone", data_frame(0, 7, 1), XDP_PASS, CP_VERDICT_UNLISTED);  // no shield here
  expect("a copy on the one that has its place", data_frame(0, 7, 3), XDP_DROP, CP_VERDICT_DUPLICATE);
  sessions.remove(3, peers);
  EXPECT_EQ(forwarding->paths[0].counters->dropped_early.load(), 2U) << "counted when it goes";
  EXPECT_EQ(dropped_early(), 2U);
}

}  // namespace
}  // namespace centipede::test
