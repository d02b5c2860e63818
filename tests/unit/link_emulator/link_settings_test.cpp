#include "link-emulator/link_settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iterator>
#include <sstream>
#include <string>
#include <vector>

namespace centipede::emulator {
namespace {

Result<LinkChange> apply(const std::string& text, const LinkSettings& current = {}) {
  std::istringstream stream(text);
  const std::vector<std::string> words{std::istream_iterator<std::string>(stream), {}};
  return apply_words(current, words, [](const std::string& path) -> Result<std::string> {
    if (path == "/good") return "1\n2\n";
    if (path == "/bad") return "2\n1\n";
    return fail("opening " + path + ": no such file");
  });
}

TEST(LinkSettings, UnderstandsEveryWord) {
  const auto change = apply(
      "delay=20ms jitter=1.5ms jitter_shape=normal allow_reorder=yes loss=1% burst_enter=0.005 burst_leave=20% "
      "burst_loss=90% reorder=5% reorder_delay=300us duplicate=2% corrupt=3% corrupt_offset=62 "
      "corrupt_checksum=repaired corrupt_copy=yes rate=50mbit queue_packets=200 queue_bytes=64kb mtu=1400 seed=9 down");
  ASSERT_TRUE(change) << change.error().text;
  const LinkSettings expected{.delay = milliseconds(20),
                              .jitter = microseconds(1500),
                              .jitter_shape = JitterShape::normal,
                              .allow_reorder = true,
                              .loss = 0.01,
                              .burst = {.enter = 0.005, .leave = 0.2, .loss = 0.9},
                              .reorder = 0.05,
                              .reorder_delay = microseconds(300),
                              .duplicate = 0.02,
                              .corrupt = 0.03,
                              .corrupt_offset = 62,
                              .repair_checksum = true,
                              .corrupt_copy = true,
                              .rate_bits_per_s = 50'000'000,
                              .queue_packets = 200,
                              .queue_bytes = 64'000,
                              .mtu = 1400,
                              .down = true};
  EXPECT_EQ(describe(change->settings), describe(expected));
  EXPECT_EQ(change->seed, 9U);
}

TEST(LinkSettings, DescriptionLeadsBackToTheSettings) {
  for (const char* text :
       {"", "delay=20ms loss=1% rate=50mbit down", "jitter=1234ns jitter_shape=normal queue_bytes=1 mtu=1280",
        "trace=/good burst_enter=0.1% corrupt_copy=yes corrupt_checksum=repaired"}) {
    const auto once = apply(text);
    ASSERT_TRUE(once);
    const auto twice = apply(describe(once->settings));
    ASSERT_TRUE(twice) << describe(once->settings);
    EXPECT_EQ(describe(twice->settings), describe(once->settings));
  }
  EXPECT_EQ(describe(LinkSettings{}), "");
}

TEST(LinkSettings, WordsChangeOnlyWhatTheyName) {
  const auto change = apply("loss=2% up", apply("delay=20ms loss=1% down")->settings);
  ASSERT_TRUE(change);
  EXPECT_EQ(describe(change->settings), "delay=20ms loss=0.02");
}

TEST(LinkSettings, ClearGoesBackToThePlainWire) {
  const auto change = apply("clear loss=2%", apply("delay=20ms trace=/good down")->settings);
  ASSERT_TRUE(change);
  EXPECT_EQ(describe(change->settings), "loss=0.02");
}

TEST(LinkSettings, BadWordsYieldAnErrorThatNamesThem) {
  for (const char* word : {"delay",
                           "delay=",
                           "delay=20",
                           "delay=-1ms",
                           "delay=20xs",
                           "delay=2h",
                           "delay=1e300s",
                           "delay=nan",
                           "delay=3601s",
                           "loss=101%",
                           "loss=2",
                           "loss=-0.1",
                           "loss=inf",
                           "loss=1%%",
                           "rate=50",
                           "rate=50MB",
                           "rate=9999gbit",
                           "mtu=70000",
                           "mtu=15x",
                           "jitter_shape=flat",
                           "allow_reorder=1",
                           "queue_packets=-1",
                           "seed=x",
                           "seed=-1",
                           "speed=1",
                           "sideways",
                           "=",
                           "=1",
                           "trace=/missing",
                           "trace=/bad",
                           "trace="}) {
    const auto change = apply(word);
    ASSERT_FALSE(change) << word;
    EXPECT_THAT(change.error().text, testing::HasSubstr(std::string(word).substr(0, std::string(word).find('='))));
  }
}

TEST(LinkSettings, RateAndTraceExcludeEachOther) {
  EXPECT_FALSE(apply("rate=1mbit trace=/good"));
  EXPECT_FALSE(apply("trace=/good", apply("rate=1mbit")->settings));
  EXPECT_TRUE(apply("trace=/good rate=0", apply("rate=1mbit")->settings));
  EXPECT_TRUE(apply("trace=none rate=1mbit", apply("trace=/good")->settings));
}

TEST(DeliveryTrace, MalformedTextsYieldAnErrorThatNamesTheLine) {
  for (const char* text : {"", "\n\n", "0\n0\n", "5\n4\n", "x\n", "1 2\n", "-1\n", "1.5\n", "99999999999999999999\n"})
    EXPECT_FALSE(DeliveryTrace::parse(text)) << text;
  EXPECT_EQ(DeliveryTrace::parse("1\n2\nx\n").error().text.substr(0, 12), "trace line 3");
}

TEST(DeliveryTrace, FirstOpportunityAgreesWithASearchFromTheStart) {
  const auto trace = DeliveryTrace::parse("0\r\n3\n3\n7\n10\n");
  ASSERT_TRUE(trace);
  for (int64_t us = 0; us <= 35'000; us += 250) {
    uint64_t expected = 0;
    while (trace->opportunity(expected) < microseconds(us))
      ++expected;
    ASSERT_EQ(trace->first_at(microseconds(us)), expected) << us;
  }
}

}  // namespace
}  // namespace centipede::emulator
