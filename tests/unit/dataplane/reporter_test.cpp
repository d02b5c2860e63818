#include "dataplane/reporter.h"

#include <gtest/gtest.h>

namespace centipede {
namespace {

constexpr Instant start{seconds(1000)};

TunnelEvent event(const std::string& kind, const std::string& text) {
  return {.kind = kind, .peer = "office", .uplink = "eth0", .text = text};
}

TEST(Reporter, an_event_keeps_what_it_says) {
  EventLog events;
  Reporter reporter(events);
  TunnelEvent sent = event("path", "office: path eth0: active");
  sent.level = TunnelEvent::Level::warning;
  reporter.report(sent, start);
  const auto all = events.after(0);
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].level, TunnelEvent::Level::warning);
  EXPECT_EQ(all[0].kind + all[0].peer + all[0].uplink, "pathofficeeth0");
  EXPECT_EQ(all[0].text, sent.text);
}

TEST(Reporter, a_flood_of_one_kind_is_cut_and_told_of_and_leaves_room_for_the_others) {
  EventLog events;
  Reporter reporter(events);
  for (int i = 0; i < 1000; ++i)
    reporter.report(event("path", "flood"), start);
  EXPECT_EQ(events.newest(), 100U);
  reporter.report(event("session", "still heard"), start);
  EXPECT_EQ(events.newest(), 101U);
  reporter.tell_left_out(start + seconds(9));
  EXPECT_EQ(events.newest(), 101U) << "not at once: more may come";
  reporter.tell_left_out(start + seconds(10));
  ASSERT_EQ(events.newest(), 102U);
  const TunnelEvent told = events.after(101).at(0);
  EXPECT_EQ(told.kind, "path");
  EXPECT_NE(told.text.find("900"), std::string::npos) << told.text;
  reporter.tell_left_out(start + seconds(30));
  EXPECT_EQ(events.newest(), 102U) << "told once";
}

TEST(Reporter, for_ever_it_is_one_a_second) {
  EventLog events;
  Reporter reporter(events);
  for (int tenth = 0; tenth < 36'000; ++tenth) {
    reporter.report(event("path", "flood"), start + milliseconds(100) * tenth);
    reporter.tell_left_out(start + milliseconds(100) * tenth);
  }
  EXPECT_LE(events.newest(), 100U + 3600 + 360);
}

}  // namespace
}  // namespace centipede
