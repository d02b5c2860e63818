#include "cli/privilege.h"

#include <grp.h>
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

namespace centipede::cli {

std::string missing_tunnel_privilege() {
  return has_capability(CAP_NET_ADMIN) ? "" : "CAP_NET_ADMIN";
}

void protect_process_memory() {
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  const rlimit none{0, 0};
  (void)setrlimit(RLIMIT_CORE, &none);
  // Without CAP_IPC_LOCK, locked memory has a limit, and later mappings would fail at it.
  if (has_capability(CAP_IPC_LOCK)) (void)mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
}

void join_group(const std::string& name) {
  const group* found = getgrnam(name.c_str());  // before there are other threads
  const int count = getgroups(0, nullptr);
  if (found == nullptr || count < 0) return;
  std::vector<gid_t> groups(static_cast<size_t>(count));
  if (getgroups(count, groups.data()) != count) return;
  if (std::ranges::find(groups, found->gr_gid) != groups.end()) return;
  groups.push_back(found->gr_gid);
  (void)setgroups(groups.size(), groups.data());
}

}  // namespace centipede::cli
