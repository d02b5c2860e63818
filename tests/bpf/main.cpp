// Runs the tests in namespaces of their own.
#include <gtest/gtest.h>

#include "environment.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (!testing::GTEST_FLAG(list_tests)) isolate();
  return RUN_ALL_TESTS();
}
