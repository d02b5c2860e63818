// What a worker writes for each packet lies on cache lines that no other thread writes: its counters, its rows of the
// paths' counters, its AF_XDP queue's locks. (Windows: window_pool_test.cpp. What two workers cost each other:
// bench_stages, workers/...)
#include <gtest/gtest.h>

#include "dataplane/worker.h"
#include "dataplane/xsk.h"

namespace centipede {
namespace {

constexpr size_t line = 64;

template <class Type>
constexpr bool has_lines_of_its_own = alignof(Type) >= line && sizeof(Type) % line == 0;

static_assert(has_lines_of_its_own<Worker>, "with its counters");
static_assert(has_lines_of_its_own<control::PathCounters::Row>);
static_assert(has_lines_of_its_own<XskQueue>);

TEST(CacheLines, RowsOfAPathsCountersAreALineApart) {
  control::PathCounters counters(3);
  for (size_t row = 0; row < 3; ++row) {
    const auto address = reinterpret_cast<uintptr_t>(&counters.row(row));
    EXPECT_EQ(address % line, 0U);
    EXPECT_EQ(address - reinterpret_cast<uintptr_t>(&counters.row(0)), row * line);
  }
}

}  // namespace
}  // namespace centipede
