#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>
#include <iostream>
#include <optional>
#include <string>

#include "scenario.h"

namespace centipede::sim {
namespace {

std::optional<uint64_t> number_from(const char* variable) {
  const char* text = std::getenv(variable);
  return text == nullptr ? std::nullopt : std::optional(std::strtoull(text, nullptr, 10));
}

void print(const Outcome& outcome) {
  for (const std::string& line : outcome.transcript)
    std::cout << line << '\n';
  for (const std::string& violation : outcome.violations)
    std::cout << "VIOLATION " << violation << '\n';
}

struct Totals {
  uint64_t sent = 0;
  uint64_t delivered = 0;
  uint64_t kept_safe = 0;
  uint64_t attacks = 0;
  uint64_t apart = 0;
  Duration slowest{};

  void add(const Outcome& outcome) {
    sent += outcome.sent;
    delivered += outcome.delivered;
    kept_safe += outcome.kept_safe;
    attacks += outcome.attacks;
    apart += outcome.apart ? 1 : 0;
    slowest = std::max(slowest, outcome.healed_after);
  }
};

TEST(SimulatedNetworks, KeepTheirPromisesUnderFaultsAndAttacksAndHealAfterThem) {
  if (const auto seed = number_from("CENTIPEDE_SIM_SEED")) {
    const Outcome outcome = play(*seed, Recording::on);
    print(outcome);
    EXPECT_TRUE(outcome.violations.empty()) << "seed " << *seed;
    return;
  }
  const uint64_t first = number_from("CENTIPEDE_SIM_FIRST").value_or(1);
  const uint64_t seeds = number_from("CENTIPEDE_SIM_SEEDS").value_or(1000);
  const std::clock_t begin = std::clock();
  Totals totals;
  for (uint64_t seed = first; seed < first + seeds; ++seed) {
    const Outcome outcome = play(seed);
    if (!outcome.violations.empty()) {
      print(play(seed, Recording::on));
      FAIL() << "CENTIPEDE_SIM_SEED=" << seed << " plays this again";
    }
    totals.add(outcome);
  }
  const double milliseconds_each =
      static_cast<double>(std::clock() - begin) * 1000 / CLOCKS_PER_SEC / static_cast<double>(seeds);
  std::cout << seeds << " networks from seed " << first << ", " << totals.sent << " data packets sent, "
            << totals.delivered << " delivered, " << totals.kept_safe << " of them over the one honest link, "
            << totals.attacks << " datagrams from the attacker, " << totals.apart
            << " crossings decided by following, slowest recovery " << static_cast<double>(totals.slowest.count()) / 1e9
            << " s, " << milliseconds_each << " ms of processor time a network\n";
  EXPECT_GT(totals.delivered, totals.sent / 10) << "the faults leave hardly anything to check";
  EXPECT_GT(totals.attacks, seeds) << "the attacker has hardly done anything";
  EXPECT_LE(totals.apart, 1 + seeds / 100) << "crossing handshakes are not decided alike";
  EXPECT_GT(totals.kept_safe, seeds) << "hardly anything depended on an honest link";
}

TEST(SimulatedNetworks, TheSameSeedTellsTheSameStory) {
  EXPECT_EQ(play(7, Recording::on).transcript, play(7, Recording::on).transcript);
}

}  // namespace
}  // namespace centipede::sim
