// Routing table of the tunnel: inner addresses to peers, longest prefix first, IPv4 and IPv6. Used in both directions:
// the peer that a packet from TUN goes to, and the check that a packet's inner source belongs to the peer it came from.
// Threading: immutable once it is part of a Forwarding. lookup() allocates nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/address.h"
#include "control/settings.h"

namespace centipede::control {

class AllowedIps {
 public:
  // False when exactly this network already belongs to another peer.
  bool insert(const Prefix& network, PeerId peer);
  void remove(PeerId peer);

  // address: 4 or 16 bytes in network order, as they stand in the packet.
  [[nodiscard]] std::optional<PeerId> lookup_v4(const uint8_t* address) const;
  [[nodiscard]] std::optional<PeerId> lookup_v6(const uint8_t* address) const;

 private:
  // A binary trie in one vector for each family; index 0 is the root.
  struct Node {
    uint32_t child[2] = {0, 0};  // 0: none (the root is nobody's child)
    uint32_t peer_plus_one = 0;  // 0: no network ends here
  };
  std::vector<Node> v4_{1};
  std::vector<Node> v6_{1};
};

}  // namespace centipede::control
