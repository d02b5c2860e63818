// Runs the tests in namespaces of their own: network, so that no device of the machine is touched; mounts, so that /sys
// shows those devices and /sys/fs/bpf is empty. bpffs itself is left to the code under test.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "environment.h"

namespace {

std::string problem;

std::string isolate() {
  if (geteuid() != 0) return "needs root";
  if (unshare(CLONE_NEWNET | CLONE_NEWNS) != 0) return std::string("no namespaces: ") + std::strerror(errno);
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      mount("sysfs", "/sys", "sysfs", 0, nullptr) != 0)
    return std::string("no private mounts: ") + std::strerror(errno);
  if (std::system("ip link set lo up") != 0) return "ip(8) is missing";
  return {};
}

}  // namespace

const std::string& environment_problem() {
  return problem;
}

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (!testing::GTEST_FLAG(list_tests)) problem = isolate();
  return RUN_ALL_TESTS();
}
