// Who watches is told when the program cannot judge all that it should, and when it can again.
#include "dataplane/shield.h"
#include "live_fixture.h"

namespace centipede::test {
namespace {

TEST_F(LiveTest, a_map_of_calls_without_room_is_told_of_and_so_is_the_end_of_it) {
  const auto loaded = XdpProgram::load({.tunnel = "cp7", .window_words = 64, .max_calls = 2, .xsk_slots = 4});
  ASSERT_TRUE(loaded) << loaded.error().text;
  std::vector<std::string> told;
  centipede::Shield shield(loaded->get(), {}, [&told](TunnelEvent::Level level, const std::string& text) {
    told.push_back((level == TunnelEvent::Level::warning ? "warning: " : "info: ") + text);
  });
  shield.set_secrets({});
  EXPECT_TRUE(told.empty());
  uint64_t calls = 0;
  while (told.empty() && calls < 100'000)
    shield.call_started(++calls);
  shield.call_started(++calls);
  ASSERT_EQ(told.size(), 1U) << "once, however many they are";
  EXPECT_EQ(told[0],
            "warning: the XDP program lets answers that nobody asked for through to us: there is no room in its maps");
  for (; calls > 0; --calls)
    shield.call_ended(calls);
  ASSERT_EQ(told.size(), 2U);
  EXPECT_EQ(told[1], "info: the XDP program drops answers that nobody asked for again");
}

}  // namespace
}  // namespace centipede::test
