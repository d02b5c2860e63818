#include "link-emulator/link_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

namespace centipede::emulator {
namespace {

using testing::ElementsAre;

constexpr Instant start{seconds(100)};

std::vector<uint8_t> frame_of(size_t bytes, uint8_t fill = 0) {
  return std::vector<uint8_t>(bytes, fill);
}

uint64_t accounted(const LinkCounters& c) {
  return c.delivered + c.lost + c.burst_lost + c.queue_drops + c.mtu_drops + c.down_drops;
}

std::vector<Duration> departure_times(LinkModel& link) {
  std::vector<Duration> times;
  for (const Departure& departure : link.take_due(never - seconds(1)))
    times.push_back(departure.at - start);
  return times;
}

// Offers `count` packets of 100 bytes, one each `spacing`, and takes out all that comes.
std::vector<Departure> run(LinkModel& link, size_t count, Duration spacing) {
  for (size_t i = 0; i < count; ++i)
    link.offer(frame_of(100), start + spacing * static_cast<int64_t>(i));
  return link.take_due(never - seconds(1));
}

TEST(LinkModel, DefaultLinkDeliversAtOnceUnchanged) {
  LinkModel link;
  EXPECT_EQ(link.next_departure(), never);
  link.offer(frame_of(60, 7), start);
  EXPECT_EQ(link.next_departure(), start);
  const auto due = link.take_due(start);
  ASSERT_EQ(due.size(), 1U);
  EXPECT_EQ(due[0].frame, frame_of(60, 7));
  EXPECT_EQ(link.next_departure(), never);
}

TEST(LinkModel, DelayIsExact) {
  LinkModel link({.delay = milliseconds(20)});
  link.offer(frame_of(100), start);
  EXPECT_EQ(link.next_departure(), start + milliseconds(20));
  EXPECT_TRUE(link.take_due(start + milliseconds(20) - nanoseconds(1)).empty());
  EXPECT_EQ(link.take_due(start + milliseconds(20)).size(), 1U);
}

TEST(LinkModel, LimitLeavesTheRestForTheNextCall) {
  LinkModel link;
  for (int i = 0; i < 5; ++i)
    link.offer(frame_of(100), start);
  std::vector<Departure> out;
  EXPECT_EQ(link.take_due(start, out, 3), 3U);
  EXPECT_EQ(link.on_the_way(), 2U);
  link.recycle(out);
  EXPECT_TRUE(out.empty());
  EXPECT_EQ(link.take_due(start, out, 3), 2U);
}

LinkSettings everything() {
  return {.delay = milliseconds(10),
          .jitter = milliseconds(5),
          .loss = 0.05,
          .burst = {.enter = 0.01, .leave = 0.2, .loss = 0.9},
          .reorder = 0.05,
          .duplicate = 0.05,
          .corrupt = 0.05,
          .corrupt_offset = 20,
          .rate_bits_per_s = 10'000'000,
          .queue_packets = 50};
}

std::string history(uint64_t seed, Duration poll) {
  LinkModel link(everything(), seed);
  std::string text;
  Instant polled = start;
  const auto note = [&](Instant until) {
    for (; polled <= until; polled += poll)
      for (const Departure& departure : link.take_due(polled))
        text += std::to_string(departure.number) + "@" + std::to_string(departure.at.time_since_epoch().count()) +
                std::string(departure.frame.begin(), departure.frame.end()) + ";";
  };
  for (int i = 0; i < 2000; ++i) {
    const Instant now = start + microseconds(70) * i;
    note(now);
    link.offer(frame_of(100), now);
  }
  note(start + seconds(1));
  return text;
}

TEST(LinkModel, SameSeedMakesTheSameHistory) {
  EXPECT_EQ(history(7, milliseconds(1)), history(7, milliseconds(1)));
  EXPECT_NE(history(7, milliseconds(1)), history(8, milliseconds(1)));
}

TEST(LinkModel, HistoryDoesNotDependOnHowOftenItIsPolled) {
  EXPECT_EQ(history(7, milliseconds(1)), history(7, microseconds(33)));
}

TEST(LinkModel, ReseedStartsTheSequenceAnew) {
  LinkModel link({.loss = 0.5}, 3);
  const auto first = run(link, 100, {});
  link.reseed(3);
  const auto second = run(link, 100, {});
  ASSERT_EQ(first.size(), second.size());
  for (size_t i = 0; i < first.size(); ++i)
    EXPECT_EQ(first[i].number + 100, second[i].number);
}

TEST(LinkModel, CountersAccountForEveryPacketUnderAllImpairments) {
  LinkSettings settings = everything();
  settings.mtu = 1000;
  settings.corrupt_copy = true;
  LinkModel link(settings, 5);
  for (int i = 0; i < 20'000; ++i)
    link.offer(frame_of(i % 50 == 0 ? 1500 : 100), start + microseconds(70) * i);
  settings.down = true;
  link.configure(settings, start + microseconds(70) * 20'000);
  EXPECT_EQ(link.on_the_way(), 0U);
  const LinkCounters& c = link.counters();
  EXPECT_EQ(c.offered, 20'000U);
  for (const uint64_t count : {c.lost, c.burst_lost, c.queue_drops, c.mtu_drops, c.down_drops, c.duplicated})
    EXPECT_GT(count, 0U);
  // Nothing was taken out before `down`, so that all that was still to be delivered counts as dropped by it.
  EXPECT_EQ(c.offered + c.duplicated + c.corrupt_copies, accounted(c));

  LinkModel drained(everything(), 5);
  const size_t delivered = run(drained, 20'000, microseconds(70)).size();
  EXPECT_EQ(drained.counters().delivered, delivered);
  EXPECT_EQ(drained.counters().delivered_bytes, 100 * delivered);
  EXPECT_EQ(drained.counters().offered + drained.counters().duplicated, accounted(drained.counters()));
}

TEST(LinkModel, LossRateIsWithinFiveDeviations) {
  for (const double loss : {0.001, 0.01, 0.2}) {
    LinkModel link({.loss = loss}, 11);
    constexpr double packets = 200'000;
    run(link, static_cast<size_t>(packets), microseconds(1));
    EXPECT_NEAR(static_cast<double>(link.counters().lost), packets * loss, 5 * std::sqrt(packets * loss * (1 - loss)));
  }
}

TEST(LinkModel, LossOfOneLosesAllAndOfZeroNothing) {
  LinkModel all({.loss = 1});
  EXPECT_TRUE(run(all, 1000, {}).empty());
  LinkModel none({.loss = 0});
  EXPECT_EQ(run(none, 1000, {}).size(), 1000U);
}

TEST(LinkModel, BurstsHaveTheConfiguredMeanLengthAndFrequency) {
  LinkModel link({.burst = {.enter = 0.01, .leave = 0.2, .loss = 1}}, 13);
  constexpr size_t packets = 500'000;
  std::vector<bool> arrived(packets + 1, false);
  for (const Departure& departure : run(link, packets, microseconds(1)))
    arrived[departure.number] = true;
  size_t bursts = 0;
  for (size_t i = 1; i <= packets; ++i)
    if (!arrived[i] && (i == 1 || arrived[i - 1])) ++bursts;
  const double mean_length = static_cast<double>(link.counters().burst_lost) / static_cast<double>(bursts);
  EXPECT_NEAR(mean_length, 1 / 0.2, 0.25);
  const double lost = static_cast<double>(link.counters().burst_lost) / static_cast<double>(packets);
  EXPECT_NEAR(lost, 0.01 / (0.01 + 0.2), 0.003);
}

TEST(LinkModel, RateSendsEachPacketAtTheComputedInstant) {
  LinkModel link({.delay = milliseconds(5), .rate_bits_per_s = 30'000'000, .queue_packets = 0});
  constexpr size_t packets = 1000;
  constexpr size_t bytes = 1514;
  for (size_t i = 0; i < packets; ++i)
    link.offer(frame_of(bytes), start);
  const auto times = departure_times(link);
  ASSERT_EQ(times.size(), packets);
  for (size_t i = 0; i < packets; ++i) {
    const uint64_t sent_ns = (i + 1) * bytes * 8 * 1'000'000'000ULL / 30'000'000ULL;
    ASSERT_EQ(times[i], milliseconds(5) + nanoseconds(static_cast<int64_t>(sent_ns)));
  }
}

TEST(LinkModel, IdleLineDoesNotSaveUpCapacity) {
  LinkModel link({.rate_bits_per_s = 8'000'000});  // one byte a microsecond
  link.offer(frame_of(1000), start);
  link.offer(frame_of(1000), start + seconds(1));
  link.offer(frame_of(1000), start + seconds(1));
  EXPECT_THAT(departure_times(link), ElementsAre(microseconds(1000), microseconds(1'001'000), microseconds(1'002'000)));
}

TEST(LinkModel, QueueBoundsDropTheTail) {
  LinkModel by_packets({.rate_bits_per_s = 8'000'000, .queue_packets = 3});
  for (int i = 0; i < 5; ++i)
    by_packets.offer(frame_of(1000), start);
  EXPECT_EQ(by_packets.counters().queue_drops, 2U);
  by_packets.offer(frame_of(1000), start + milliseconds(1));  // the first has been sent
  EXPECT_EQ(by_packets.counters().queue_drops, 2U);
  EXPECT_EQ(departure_times(by_packets).size(), 4U);

  LinkModel by_bytes({.rate_bits_per_s = 8'000'000, .queue_packets = 0, .queue_bytes = 2500});
  for (int i = 0; i < 3; ++i)
    by_bytes.offer(frame_of(1000), start);
  by_bytes.offer(frame_of(500), start);
  EXPECT_EQ(by_bytes.counters().queue_drops, 1U);
  by_bytes.offer(frame_of(1000), start + milliseconds(1));
  EXPECT_EQ(by_bytes.counters().queue_drops, 1U);
  EXPECT_EQ(departure_times(by_bytes).size(), 4U);
}

TEST(LinkModel, ChangedRateHoldsForWhatIsQueued) {
  LinkModel link({.rate_bits_per_s = 8'000});
  for (int i = 0; i < 3; ++i)
    link.offer(frame_of(1000), start);
  link.configure({.rate_bits_per_s = 8'000'000}, start + milliseconds(10));
  EXPECT_THAT(departure_times(link), ElementsAre(milliseconds(11), milliseconds(12), milliseconds(13)));

  LinkModel unlimited({.rate_bits_per_s = 8'000});
  for (int i = 0; i < 3; ++i)
    unlimited.offer(frame_of(1000), start);
  unlimited.configure({}, start + milliseconds(10));
  EXPECT_THAT(departure_times(unlimited), ElementsAre(milliseconds(10), milliseconds(10), milliseconds(10)));
}

TEST(LinkModel, LoweredDelayDoesNotOvertake) {
  LinkModel link({.delay = milliseconds(500)});
  link.offer(frame_of(100), start);
  link.configure({.delay = milliseconds(5)}, start);
  link.offer(frame_of(100), start + milliseconds(1));
  link.offer(frame_of(100), start + milliseconds(600));
  EXPECT_THAT(departure_times(link), ElementsAre(milliseconds(500), milliseconds(500), milliseconds(605)));
  EXPECT_EQ(link.counters().reordered, 0U);
}

TEST(LinkModel, JitterStaysInRangeAndKeepsTheOrder) {
  for (const JitterShape shape : {JitterShape::uniform, JitterShape::normal}) {
    LinkModel link({.delay = milliseconds(50), .jitter = milliseconds(10), .jitter_shape = shape}, 17);
    const auto departures = run(link, 20'000, microseconds(100));
    ASSERT_EQ(departures.size(), 20'000U);
    EXPECT_TRUE(std::ranges::is_sorted(departures, {}, &Departure::number));
    EXPECT_EQ(link.counters().reordered, 0U);
  }
}

TEST(LinkModel, JitterHasTheConfiguredSpread) {
  struct Row {
    JitterShape shape;
    double deviation_ms;
    double largest_ms;
  };
  for (const Row& row : {Row{JitterShape::uniform, 10 / std::sqrt(3.0), 10}, Row{JitterShape::normal, 10, 60}}) {
    LinkModel link({.delay = milliseconds(100), .jitter = milliseconds(10), .jitter_shape = row.shape}, 19);
    double sum = 0;
    double squares = 0;
    constexpr int packets = 20'000;
    for (int i = 0; i < packets; ++i) {
      const Instant now = start + seconds(i);  // far apart: order never holds a packet up
      link.offer(frame_of(100), now);
      const double ms = std::chrono::duration<double, std::milli>(link.next_departure() - now).count() - 100;
      ASSERT_LE(std::abs(ms), row.largest_ms);
      sum += ms;
      squares += ms * ms;
      ASSERT_EQ(link.take_due(now + seconds(1)).size(), 1U);
    }
    EXPECT_NEAR(sum / packets, 0, 0.4);
    EXPECT_NEAR(std::sqrt(squares / packets), row.deviation_ms, 0.3);
  }
}

TEST(LinkModel, JitterReordersOnlyWhenAllowed) {
  LinkModel link({.delay = milliseconds(50), .jitter = milliseconds(10), .allow_reorder = true}, 17);
  const auto departures = run(link, 10'000, microseconds(100));
  EXPECT_TRUE(std::ranges::is_sorted(departures, {}, &Departure::at));
  EXPECT_FALSE(std::ranges::is_sorted(departures, {}, &Departure::number));
  EXPECT_GT(link.counters().reordered, 1000U);
}

TEST(LinkModel, ReorderedPacketsComeLaterAndHoldNobodyUp) {
  LinkModel link({.delay = milliseconds(1), .reorder = 0.1, .reorder_delay = milliseconds(3)}, 23);
  const auto departures = run(link, 10'000, milliseconds(1));
  uint64_t late = 0;
  for (const Departure& departure : departures) {
    const Duration taken = departure.at - (start + milliseconds(static_cast<int64_t>(departure.number) - 1));
    if (taken != milliseconds(1)) {
      ASSERT_EQ(taken, milliseconds(4));
      ++late;
    }
  }
  EXPECT_EQ(late, link.counters().held_back);
  EXPECT_NEAR(static_cast<double>(late), 1000, 150);
  // Held back thrice the spacing, a packet is overtaken unless those behind it are held back as well.
  EXPECT_GT(link.counters().reordered, late * 8 / 10);
}

TEST(LinkModel, DuplicatesFollowTheirOriginal) {
  LinkModel link({.delay = milliseconds(1), .duplicate = 1});
  link.offer(frame_of(100, 1), start);
  link.offer(frame_of(100, 2), start);
  const auto departures = link.take_due(start + milliseconds(1));
  ASSERT_EQ(departures.size(), 4U);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(departures[i].kind, i % 2 == 0 ? DepartureKind::genuine : DepartureKind::duplicate);
    EXPECT_EQ(departures[i].frame, frame_of(100, i < 2 ? 1 : 2));
  }
  EXPECT_EQ(link.counters().duplicated, 2U);
  EXPECT_EQ(link.counters().reordered, 0U);
}

TEST(LinkModel, CorruptionFlipsOneBitBehindTheOffset) {
  LinkModel link({.corrupt = 1, .corrupt_offset = 90}, 29);
  std::vector<bool> hit(100, false);
  for (const Departure& departure : run(link, 2000, {})) {
    EXPECT_TRUE(departure.damaged);
    int bits = 0;
    for (size_t i = 0; i < departure.frame.size(); ++i) {
      bits += std::popcount(departure.frame[i]);
      if (departure.frame[i] != 0) hit[i] = true;
    }
    ASSERT_EQ(bits, 1);
  }
  EXPECT_EQ(std::ranges::count(hit.begin(), hit.begin() + 90, true), 0);
  EXPECT_EQ(std::ranges::count(hit.begin() + 90, hit.end(), true), 10);
}

TEST(LinkModel, FramesThatEndBeforeTheOffsetStayWhole) {
  LinkModel link({.corrupt = 1, .corrupt_offset = 100});
  for (const Departure& departure : run(link, 100, {}))
    EXPECT_EQ(departure.frame, frame_of(100));
  EXPECT_EQ(link.counters().corrupted, 0U);
}

TEST(LinkModel, MtuDropsLongerFramesButCountsVlanTagsAsHeader) {
  LinkModel link({.mtu = 1500});
  link.offer(frame_of(1514), start);
  link.offer(frame_of(1515), start);
  auto tagged = frame_of(1518);
  tagged[12] = 0x81;
  link.offer(tagged, start);
  tagged.push_back(0);
  link.offer(tagged, start);
  EXPECT_EQ(link.counters().mtu_drops, 2U);
  EXPECT_EQ(link.take_due(start).size(), 2U);
}

TEST(LinkModel, DownDropsWhatIsOfferedAndWhatIsOnTheWay) {
  LinkModel link({.delay = milliseconds(10), .rate_bits_per_s = 8'000'000});
  for (int i = 0; i < 3; ++i)
    link.offer(frame_of(1000), start);
  LinkSettings down = link.settings();
  down.down = true;
  link.configure(down, start + milliseconds(1));  // one has left the queue
  link.offer(frame_of(100), start + milliseconds(2));
  EXPECT_EQ(link.next_departure(), never);
  EXPECT_EQ(link.counters().down_drops, 4U);
  link.configure({}, start + milliseconds(3));
  link.offer(frame_of(100), start + milliseconds(4));
  EXPECT_THAT(departure_times(link), ElementsAre(milliseconds(4)));
}

std::shared_ptr<const DeliveryTrace> trace_of(const std::string& text) {
  return std::make_shared<const DeliveryTrace>(DeliveryTrace::parse(text).value());
}

TEST(LinkModel, TraceDeliversAtItsOpportunitiesAndLoops) {
  LinkModel link({.trace = trace_of("2\n5\n5\n10\n")});
  for (int i = 0; i < 7; ++i)
    link.offer(frame_of(1514), start);
  EXPECT_THAT(departure_times(link), ElementsAre(milliseconds(2), milliseconds(5), milliseconds(5), milliseconds(10),
                                                 milliseconds(12), milliseconds(15), milliseconds(15)));
}

TEST(LinkModel, SmallPacketsShareAnOpportunityAndLargeOnesSpanSeveral) {
  LinkModel link({.trace = trace_of("2\n5\n10\n")});
  for (int i = 0; i < 3; ++i)
    link.offer(frame_of(510 + 10), start);  // 510 each of 1,504: two whole and most of a third
  EXPECT_THAT(departure_times(link), ElementsAre(milliseconds(2), milliseconds(2), milliseconds(5)));
  LinkModel large({.trace = trace_of("2\n5\n10\n")});
  large.offer(frame_of(9014), start);
  EXPECT_THAT(departure_times(large), ElementsAre(milliseconds(20)));
}

TEST(LinkModel, UnusedOpportunitiesAreLost) {
  LinkModel link({.trace = trace_of("2\n5\n10\n")});
  link.offer(frame_of(100), start);
  link.offer(frame_of(1514), start + milliseconds(6));
  link.offer(frame_of(1514), start + seconds(1) + milliseconds(3));
  EXPECT_THAT(departure_times(link), ElementsAre(milliseconds(2), milliseconds(10), milliseconds(1005)));
}

}  // namespace
}  // namespace centipede::emulator
