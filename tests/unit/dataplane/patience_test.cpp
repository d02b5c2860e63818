#include "dataplane/patience.h"

#include <gtest/gtest.h>

namespace centipede {
namespace {

constexpr Duration step = microseconds(1);

// A worker in made-up time: looks every microsecond while it is patient.
class FakeClock {
 public:
  explicit FakeClock(Duration at_least = Duration::zero()) : patience_(at_least) {}

  void sleep(Duration duration) { now_ += duration; }
  // A round that found work; then how long it looks on for more.
  Duration work() {
    const Instant from = now_;
    if (!patience_.goes_on(now_, true)) return Duration::zero();
    do {
      now_ += step;
    } while (patience_.goes_on(now_, false));
    return now_ - from;
  }
  [[nodiscard]] Instant now() const { return now_; }

 private:
  Patience patience_;
  Instant now_ = Instant(seconds(1000));
};

TEST(Patience, LooksOnForAsLongAsAWakeUpCosts) {
  FakeClock clock;
  for (int i = 0; i < 10000; ++i)
    EXPECT_GE(clock.work(), Patience::wake_up_cost);
}

TEST(Patience, LooksOnForLongerAfterSilence) {
  FakeClock clock;
  for (int i = 0; i < 10; ++i) {
    clock.sleep(seconds(1));
    EXPECT_EQ(clock.work(), Patience::longest);
  }
}

TEST(Patience, NeverSleepsWhileThereIsWork) {
  Patience patience;
  Instant now = Instant(seconds(1000));
  for (int i = 0; i < 100000; ++i)
    ASSERT_TRUE(patience.goes_on(now += microseconds(30), i % 2 == 0));
}

TEST(Patience, ATrickleCostsATwentiethOfACoreAndItsWakeUps) {
  for (const Duration gap : {Duration(microseconds(300)), Duration(milliseconds(1)), Duration(milliseconds(5)),
                             Duration(milliseconds(20)), Duration(milliseconds(500))}) {
    FakeClock clock;
    for (int i = 0; i < 200; ++i) {  // what was saved up is used up
      clock.sleep(gap);
      clock.work();
    }
    const Instant from = clock.now();
    Duration looked = Duration::zero();
    constexpr int packets = 1000;
    for (int i = 0; i < packets; ++i) {
      clock.sleep(gap);
      looked += clock.work();
    }
    const Duration allowed = (clock.now() - from) / Patience::share + packets * (Patience::wake_up_cost + 2 * step);
    EXPECT_LE(looked, allowed) << gap.count() << " ns apart";
  }
}

TEST(Patience, AWorkerThatFindsNothingSleepsAtOnce) {
  Patience patience;
  Instant now = Instant(seconds(1000));
  EXPECT_FALSE(patience.goes_on(now, false));
  EXPECT_TRUE(patience.goes_on(now, true));
  now += seconds(1);
  EXPECT_FALSE(patience.goes_on(now, false));
}

TEST(Patience, AtLeastAsLongAsConfigured) {
  FakeClock clock(milliseconds(20));
  for (int i = 0; i < 100; ++i)
    EXPECT_GE(clock.work(), milliseconds(20));
}

TEST(Patience, AYieldThatTookLongMakesItSleepAtOnceForAWhileThatDoubles) {
  Patience patience;
  Instant now = Instant(seconds(1000));
  Duration expected = Patience::shortest_sleepy;
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(patience.goes_on(now, true));
    ASSERT_TRUE(patience.goes_on(now + step, false));
    patience.yielded(now + step, now + milliseconds(3));
    now += milliseconds(3);
    ASSERT_TRUE(patience.goes_on(now, true)) << "work is always done";
    EXPECT_FALSE(patience.goes_on(now + step, false));
    EXPECT_FALSE(patience.goes_on(now + expected - step, false));
    now += expected;
    ASSERT_TRUE(patience.goes_on(now, true));
    EXPECT_TRUE(patience.goes_on(now + step, false)) << "another try";
    expected = std::min(2 * expected, Patience::longest_sleepy);
  }
  now += 2 * Patience::longest_sleepy;
  ASSERT_TRUE(patience.goes_on(now, true));
  patience.yielded(now, now + step);
  patience.yielded(now, now + milliseconds(3));
  now += milliseconds(3) + Patience::shortest_sleepy;
  ASSERT_TRUE(patience.goes_on(now, true));
  EXPECT_TRUE(patience.goes_on(now + step, false)) << "it begins anew when yields are short again";
}

}  // namespace
}  // namespace centipede
