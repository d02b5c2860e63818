#include "cli/privilege.h"

#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <cstdint>
#include <fstream>

namespace centipede::cli {
namespace {

uint64_t effective_capabilities() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("CapEff:")) return std::strtoull(line.c_str() + 7, nullptr, 16);
  }
  return 0;
}

}  // namespace

bool has_capability(unsigned number) {
  return ((effective_capabilities() >> number) & 1) != 0;
}

std::string missing_tunnel_privilege() {
  std::string missing;
  if (!has_capability(CAP_NET_ADMIN)) missing += " CAP_NET_ADMIN";
  if (!has_capability(CAP_NET_RAW)) missing += " CAP_NET_RAW";
  if (!has_capability(CAP_BPF) && !has_capability(CAP_SYS_ADMIN)) missing += " CAP_BPF";
  return missing.empty() ? missing : missing.substr(1);
}

void protect_process_memory() {
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  const rlimit none{0, 0};
  (void)setrlimit(RLIMIT_CORE, &none);
  // Without CAP_IPC_LOCK, locked memory has a limit, and later mappings would fail at it.
  if (has_capability(CAP_IPC_LOCK)) (void)mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
}

}  // namespace centipede::cli
