// The tunnel's name servers, given to what manages the system's resolver while the tunnel runs: systemd-resolved where
// it runs (through resolvectl), or else resolvconf. They may outlive a killed process, with resolvconf always, with
// resolved as long as the interface stays; so a file beside the state file tells the next start of them.
// Threading: any one thread at a time; each call waits for the programs it runs, a few seconds at most.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/result.h"

namespace centipede {

struct NameServers {
  std::vector<IpAddress> servers;
  std::vector<std::string> search;  // domains to ask them about; none: everything. resolvconf: everything in any case
};

// How to reach the two: the real ones, but for tests.
struct ResolverPrograms {
  std::string resolved_runs = "/run/systemd/resolve/resolv.conf";   // is there while systemd-resolved runs
  std::string interface_order = "/etc/resolvconf/interface-order";  // is there with Debian's resolvconf
  std::string resolv_conf = "/etc/resolv.conf";                     // what the system reads
};

// The interface must exist; what was set for it before is replaced. Fails with ENOENT where there is neither of the
// two.
Result<void> set_name_servers(std::string_view tunnel, const NameServers& wanted, const std::string& state_directory,
                              const ResolverPrograms& programs = {});
// Takes back what set_name_servers() did, in this process or in one that was killed; false: there was nothing.
Result<bool> revert_name_servers(std::string_view tunnel, const std::string& state_directory,
                                 const ResolverPrograms& programs = {});

}  // namespace centipede
