#include "dataplane/resolve_schedule.h"

#include <gtest/gtest.h>

namespace centipede {
namespace {

const std::vector<control::HostEndpoint> hosts{{"vpn.example.org", 5820}};
const std::vector<control::UnresolvedPeer> one_peer{{.peer = 3, .hosts = hosts}};

// Asks when it is due and reports the outcome: the pauses between the questions.
std::vector<Duration> pauses(ResolveSchedule& schedule, const std::string& problem, int count, Instant& now) {
  std::vector<Duration> all;
  for (int i = 0; i < count; ++i) {
    EXPECT_EQ(schedule.due(one_peer, now).size(), 1U);
    EXPECT_EQ(schedule.next(), never) << "it is under way";
    EXPECT_TRUE(schedule.due(one_peer, now).empty());
    schedule.answered(3, hosts, problem, now);
    all.push_back(schedule.next() - now);
    EXPECT_TRUE(schedule.due(one_peer, schedule.next() - Duration(1)).empty());
    now = schedule.next();
  }
  return all;
}

TEST(ResolveSchedule, a_name_that_fails_is_tried_after_1_s_and_more_and_more_seldom_up_to_a_minute) {
  ResolveSchedule schedule;
  Instant now{};
  const std::vector<Duration> wanted{seconds(1),  seconds(2),  seconds(4),  seconds(8),
                                     seconds(16), seconds(32), seconds(60), seconds(60)};
  EXPECT_EQ(pauses(schedule, "no", 8, now), wanted);
}

TEST(ResolveSchedule, a_name_that_resolves_while_no_path_works_is_looked_up_every_five_minutes_in_the_end) {
  ResolveSchedule schedule;
  Instant now{};
  EXPECT_EQ(pauses(schedule, "", 10, now).back(), seconds(300));
}

TEST(ResolveSchedule, a_peer_whose_path_works_is_left_alone_and_begins_anew_when_it_is_down_again) {
  ResolveSchedule schedule;
  Instant now{};
  (void)pauses(schedule, "", 5, now);
  EXPECT_TRUE(schedule.due({}, now).empty());
  EXPECT_EQ(schedule.next(), never);
  EXPECT_EQ(pauses(schedule, "", 1, now), std::vector<Duration>{seconds(1)});
}

TEST(ResolveSchedule, other_names_and_other_uplinks_are_tried_at_once) {
  ResolveSchedule schedule;
  Instant now{};
  (void)pauses(schedule, "no", 6, now);
  now -= seconds(5);
  EXPECT_TRUE(schedule.due(one_peer, now).empty());
  schedule.uplinks_changed(now);
  EXPECT_EQ(schedule.due(one_peer, now).size(), 1U);
  schedule.uplinks_changed(now);
  schedule.answered(3, hosts, "no", now);
  EXPECT_EQ(schedule.next(), now) << "what was under way may have failed for want of the new uplink";
  (void)pauses(schedule, "no", 3, now);
  now -= milliseconds(1);
  EXPECT_EQ(schedule.due({{.peer = 3, .hosts = {{"other.example.org", 5820}}}}, now).size(), 1U);
}

TEST(ResolveSchedule, a_problem_is_news_once) {
  ResolveSchedule schedule;
  Instant now{};
  (void)schedule.due(one_peer, now);
  EXPECT_TRUE(schedule.answered(3, hosts, "no such name", now));
  EXPECT_FALSE(schedule.answered(3, hosts, "no such name", now));
  EXPECT_TRUE(schedule.answered(3, hosts, "", now));
  EXPECT_FALSE(schedule.answered(4, hosts, "nobody asked", now));
}

TEST(ResolveSchedule, an_answer_that_is_about_earlier_names_is_none) {
  ResolveSchedule schedule;
  const Instant now{};
  ASSERT_EQ(schedule.due(one_peer, now).size(), 1U);
  const std::vector<control::HostEndpoint> others{{"other.example.org", 5820}};
  ASSERT_EQ(schedule.due({{.peer = 3, .hosts = others}}, now).size(), 1U);
  EXPECT_FALSE(schedule.answered(3, hosts, "no such name", now));
  EXPECT_EQ(schedule.next(), never) << "the question about the others is still under way";
  EXPECT_TRUE(schedule.answered(3, others, "no such name", now));
  EXPECT_EQ(schedule.next(), now + seconds(1));
}

}  // namespace
}  // namespace centipede
