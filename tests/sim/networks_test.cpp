#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <iostream>
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

TEST(SimulatedNetworks, KeepTheirPromisesUnderFaultsAndHealAfterThem) {
  if (const auto seed = number_from("CENTIPEDE_SIM_SEED")) {
    const Outcome outcome = play(*seed);
    print(outcome);
    EXPECT_TRUE(outcome.violations.empty()) << "seed " << *seed;
    return;
  }
  const uint64_t seeds = number_from("CENTIPEDE_SIM_SEEDS").value_or(200);
  uint64_t sent = 0;
  uint64_t delivered = 0;
  Duration slowest{};
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    const Outcome outcome = play(seed);
    if (!outcome.violations.empty()) {
      print(outcome);
      FAIL() << "CENTIPEDE_SIM_SEED=" << seed << " plays this again";
    }
    sent += outcome.sent;
    delivered += outcome.delivered;
    slowest = std::max(slowest, outcome.healed_after);
  }
  std::cout << seeds << " networks, " << sent << " data packets sent, " << delivered << " delivered, slowest recovery "
            << static_cast<double>(slowest.count()) / 1e9 << " s\n";
  EXPECT_GT(delivered, sent / 10) << "the faults leave hardly anything to check";
}

TEST(SimulatedNetworks, TheSameSeedTellsTheSameStory) {
  EXPECT_EQ(play(7).transcript, play(7).transcript);
}

}  // namespace
}  // namespace centipede::sim
