#include "dataplane/uplink_selection.h"

#include <centipede/abi.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace centipede {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(UplinkPattern, stars_stand_for_any_characters_and_question_marks_for_one) {
  const auto all = [](const char* pattern, std::initializer_list<const char*> devices, bool wanted) {
    for (const char* device : devices)
      EXPECT_EQ(matches_uplink(pattern, device), wanted) << pattern << " and " << device;
  };
  all("wl*", {"wl", "wlan0", "wlp3s0"}, true);
  all("wl*", {"", "w", "eth0", "xwl"}, false);
  all("eth?", {"eth0", "ethx"}, true);
  all("eth?", {"eth", "eth10"}, false);
  all("*", {"", "eth0"}, true);
  all("*0", {"0", "eth0", "e0th0"}, true);
  all("*0", {"eth01", "eth"}, false);
  all("e*h*?", {"eth0", "ehhh", "exhxx"}, true);
  all("e*h*?", {"eth", "xeth0", "e0"}, false);
  all("eth0", {"eth0"}, true);
  all("eth0", {"eth", "eth00"}, false);
  all("a.c", {"abc"}, false);
  all("[ab]", {"a"}, false);
}

TEST(UplinkPattern, a_pattern_of_many_stars_does_not_take_for_ever) {
  EXPECT_FALSE(matches_uplink(std::string(2000, '*') + "b", std::string(2000, 'a')));
  std::string nasty;
  for (int i = 0; i < 500; ++i)
    nasty += "*a";
  EXPECT_FALSE(matches_uplink(nasty + "b", std::string(2000, 'a')));
}

std::string taken_by(const TunnelSettings& settings, std::string_view device) {
  const UplinkSettings* entry = entry_for(settings.uplinks, settings.excluded_uplinks, device);
  return entry == nullptr ? "" : entry->name;
}

TEST(UplinkSelection, the_very_name_comes_first_then_the_first_pattern_and_exclusions_concern_patterns_only) {
  const TunnelSettings settings{.uplinks = {{.name = "w*"}, {.name = "wwan*"}, {.name = "wwan0"}, {.name = "eth0"}},
                                .excluded_uplinks = {"wlan1", "eth*"},
                                .peers = {}};
  EXPECT_EQ(taken_by(settings, "wwan0"), "wwan0");
  EXPECT_EQ(taken_by(settings, "wwan1"), "w*");
  EXPECT_EQ(taken_by(settings, "wlan1"), "");
  EXPECT_EQ(taken_by(settings, "eth0"), "eth0") << "named, though a pattern excludes it";
  EXPECT_EQ(taken_by(settings, "eth1"), "");
  EXPECT_EQ(taken_by(settings, "docker0"), "");
}

TEST(UplinkSelection, what_a_pattern_took_is_excluded_when_detached_until_it_is_attached_by_name) {
  TunnelSettings settings{.uplinks = {{.name = "wl*"}}, .excluded_uplinks = {}, .peers = {}};
  ASSERT_TRUE(remove_uplink(settings, "wlan0", true));
  EXPECT_THAT(settings.excluded_uplinks, ElementsAre("wlan0"));
  EXPECT_EQ(taken_by(settings, "wlan0"), "");
  ASSERT_TRUE(add_uplink(settings, {.name = "wlan0"}));
  EXPECT_THAT(settings.excluded_uplinks, ElementsAre());
  EXPECT_EQ(taken_by(settings, "wlan0"), "wlan0");
  ASSERT_TRUE(remove_uplink(settings, "wlan0", true));
  EXPECT_EQ(taken_by(settings, "wlan0"), "") << "or the pattern would take it again at once";
  ASSERT_TRUE(remove_uplink(settings, "wl*", false));
  EXPECT_TRUE(settings.uplinks.empty());
}

TEST(UplinkSelection, attaching_twice_and_detaching_what_is_not_attached_fail) {
  TunnelSettings settings{.uplinks = {{.name = "eth0"}, {.name = "wl*"}}, .excluded_uplinks = {}, .peers = {}};
  EXPECT_EQ(add_uplink(settings, {.name = "eth0"}).error().code, EEXIST);
  EXPECT_EQ(add_uplink(settings, {.name = "wl*"}).error().code, EEXIST);
  EXPECT_EQ(remove_uplink(settings, "eth1", false).error().code, ENOENT);
  EXPECT_EQ(remove_uplink(settings, "wlan7", false).error().code, ENOENT) << "matches, but is not there";
  EXPECT_TRUE(settings.excluded_uplinks.empty());
}

TEST(UplinkSelection, settings_that_make_no_sense_are_refused_with_what_to_do) {
  const auto refused = [](TunnelSettings settings) {
    const auto outcome = check_uplinks(settings, "cp0");
    EXPECT_FALSE(outcome);
    EXPECT_EQ(outcome ? 0 : outcome.error().code, EINVAL);
    return outcome ? std::string() : outcome.error().text;
  };
  EXPECT_THAT(refused({.uplinks = {{.name = "sixteen-letters!"}}}), HasSubstr("1 to 15"));
  EXPECT_THAT(refused({.uplinks = {{.name = "a\nb\x01" + std::string(300, 'x')}}}), HasSubstr("\"a?b?xx"));
  EXPECT_THAT(refused({.uplinks = {{.name = "eth0"}, {.name = "eth0"}}}), HasSubstr("twice"));
  EXPECT_THAT(refused({.uplinks = {{.name = "cp0"}}}), HasSubstr("the tunnel itself"));
  EXPECT_THAT(refused({.uplinks = {}, .excluded_uplinks = {"docker*", "docker*"}}), HasSubstr("twice"));
  TunnelSettings many;
  for (int i = 0; i <= CP_MAX_UPLINKS; ++i)
    many.uplinks.push_back({.name = "eth" + std::to_string(i)});
  EXPECT_THAT(refused(many), HasSubstr("at most 16"));
  many.uplinks.back().name = "wl*";
  EXPECT_TRUE(check_uplinks(many, "cp0")) << "a pattern takes no row by itself";
}

}  // namespace
}  // namespace centipede
