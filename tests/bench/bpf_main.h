// main() of the benchmarks that load the BPF programs: in namespaces of their own, and not without what that needs.
#pragma once

#include <benchmark/benchmark.h>
#include <gtest/gtest.h>

#include <cstdio>

#include "environment.h"

namespace centipede::test {

// name: for messages. add: registers what is not registered by a macro.
inline int run_benchmarks(int argc, char** argv, const char* name, void (*add)() = [] {}) {
  testing::InitGoogleTest();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  isolate();
  if (!environment_problem().empty()) {
    std::fprintf(stderr, "%s: %s\n", name, environment_problem().c_str());
    return 1;
  }
  add();
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace centipede::test
