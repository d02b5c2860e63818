#include "environment.h"

#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace {

std::string problem;

std::string enter_namespaces() {
  if (geteuid() != 0) return "needs root";
  if (unshare(CLONE_NEWNET | CLONE_NEWNS) != 0) return std::string("no namespaces: ") + std::strerror(errno);
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      mount("sysfs", "/sys", "sysfs", 0, nullptr) != 0)
    return std::string("no private mounts: ") + std::strerror(errno);
  if (std::system("ip link set lo up") != 0) return "ip(8) is missing";
  return {};
}

}  // namespace

void isolate() {
  problem = enter_namespaces();
}

const std::string& environment_problem() {
  return problem;
}
