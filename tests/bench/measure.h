// What the micro-benchmarks have in common: the time for one packet, in seconds, and many short runs of which the
// fastest was disturbed least.
#pragma once

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <vector>

namespace centipede::test {

inline void a_packet(benchmark::State& state, size_t packets) {
  using Counter = benchmark::Counter;
  state.counters["a_packet"] =
      Counter(static_cast<double>(packets), Counter::kIsIterationInvariantRate | Counter::kInvert);
}

// For work that leaves its input as it was.
template <class Work>
void measure(benchmark::State& state, size_t packets, Work work) {
  for (auto _ : state)
    work();
  a_packet(state, packets);
}

// For work whose input has to be made anew: to be registered with UseManualTime().
template <class Prepare, class Work>
void measure(benchmark::State& state, size_t packets, Prepare prepare, Work work) {
  using Clock = std::chrono::steady_clock;
  for (auto _ : state) {
    prepare();
    const auto start = Clock::now();
    work();
    state.SetIterationTime(std::chrono::duration<double>(Clock::now() - start).count());
  }
  a_packet(state, packets);
}

inline void fastest_of(benchmark::internal::Benchmark* bench, int runs) {
  bench->Repetitions(runs)->ReportAggregatesOnly()->ComputeStatistics(
      "fastest", [](const std::vector<double>& times) { return std::ranges::min(times); });
}

inline void fastest(benchmark::internal::Benchmark* bench) {
  fastest_of(bench->MinTime(0.002), 25);
}

}  // namespace centipede::test
