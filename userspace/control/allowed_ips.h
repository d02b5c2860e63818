// Routing table of the tunnel: inner addresses to peers, longest prefix first, IPv4 and IPv6. Used in both directions:
// the peer that a packet from TUN goes to, and the check that a packet's inner source belongs to the peer it came from.
// Threading: immutable once it is part of a Forwarding. lookup() allocates nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
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
  // An address or the start of one, its first bit on top of `high`; an IPv4 address has the upper half of that.
  struct Key {
    uint64_t high = 0;
    uint64_t low = 0;

    [[nodiscard]] unsigned bit(unsigned position) const;
    [[nodiscard]] unsigned bits_in_common(const Key& other) const;
    [[nodiscard]] Key first(unsigned bits) const;  // the others zero
  };
  // A binary trie in one vector for each family, with its paths compressed: a look-up visits a node for each network
  // that holds the address and for each place where networks part, not one for each bit. Index 0 is the root, length 0.
  struct Node {
    Key prefix;                  // the bits that lead here
    uint32_t child[2] = {0, 0};  // by the next bit; 0: none (the root is nobody's child)
    uint32_t peer_plus_one = 0;  // 0: no network ends here
    uint8_t length = 0;          // of the prefix, in bits
  };
  using Trie = std::vector<Node>;

  [[nodiscard]] static Key v4_key(const uint8_t* address);
  [[nodiscard]] static Key v6_key(const uint8_t* address);
  // The index of the network's node, which is made where there is none.
  [[nodiscard]] static uint32_t node_of(Trie& trie, const Key& prefix, unsigned length);
  [[nodiscard]] static std::optional<PeerId> longest_match(const Trie& trie, const Key& address, unsigned bits);

  Trie v4_ = Trie(1);
  Trie v6_ = Trie(1);
};

}  // namespace centipede::control
