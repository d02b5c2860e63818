#include "dataplane/peer_routes.h"

#include <algorithm>
#include <iterator>
#include <vector>

namespace centipede {

std::set<Prefix> routes_of(const std::vector<control::PeerSettings>& peers) {
  std::set<Prefix> routes;
  for (const control::PeerSettings& peer : peers) {
    for (const Prefix& network : peer.allowed_ips) {
      for (const Prefix& part : route_parts(network))
        routes.insert(part);
    }
  }
  return routes;
}

Result<void> PeerRoutes::extend(const std::set<Prefix>& wanted) {
  std::vector<Prefix> missing;
  std::ranges::set_difference(wanted, present_, std::back_inserter(missing));
  std::vector<Prefix> added;
  for (const Prefix& network : missing) {
    if (auto result = netlink_.add_route(ifindex_, network); !result) {
      for (const Prefix& undone : added) {
        (void)netlink_.remove_route(ifindex_, undone);
        present_.erase(undone);
      }
      return result;
    }
    added.push_back(network);
    present_.insert(network);
  }
  return {};
}

Result<void> PeerRoutes::shrink(const std::set<Prefix>& wanted) {
  std::vector<Prefix> unwanted;
  std::ranges::set_difference(present_, wanted, std::back_inserter(unwanted));
  Result<void> outcome;
  for (const Prefix& network : unwanted) {
    if (auto removed = netlink_.remove_route(ifindex_, network); !removed)
      outcome = removed;
    else
      present_.erase(network);
  }
  return outcome;
}

}  // namespace centipede
