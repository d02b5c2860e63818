// The kernel's routes into the tunnel: one for each network of a peer. A default route is its two halves, which another
// peer may have as well: each is there once, as long as one wants it.
// Ownership: borrows the netlink socket. Threading: that socket's.
#pragma once

#include <set>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "control/settings.h"
#include "dataplane/netlink.h"

namespace centipede {

[[nodiscard]] std::set<Prefix> routes_of(const std::vector<control::PeerSettings>& peers);

class PeerRoutes {
 public:
  PeerRoutes(Netlink& netlink, int ifindex) : netlink_(netlink), ifindex_(ifindex) {}

  // Adds those of `wanted` that are missing. When one cannot be added, none is.
  Result<void> extend(const std::set<Prefix>& wanted);
  // Removes those that are not in `wanted`, as far as it goes; the last failure. One that could not be removed is tried
  // again the next time.
  Result<void> shrink(const std::set<Prefix>& wanted);

 private:
  Netlink& netlink_;
  int ifindex_;
  std::set<Prefix> present_;
};

}  // namespace centipede
