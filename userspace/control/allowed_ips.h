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
  // No look-up of a single address compares more than so many, whatever a peer sends.
  [[nodiscard]] size_t longest_host_search() const;

 private:
  // An address or the start of one, its first bit on top of `high`; an IPv4 address has the upper half of that.
  struct Key {
    uint64_t high = 0;
    uint64_t low = 0;

    bool operator==(const Key&) const = default;

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
  // Networks of a single address, which is what most peers have: found in one step however many there are, and before
  // all others, since nothing is longer. Open addressing in a power of two of rows, at most half full.
  class Hosts {
   public:
    [[nodiscard]] uint32_t peer_plus_one(const Key& address) const;  // 0: none
    bool insert(const Key& address, uint32_t peer_plus_one);
    void remove(uint32_t peer_plus_one);
    [[nodiscard]] size_t longest_run() const;

   private:
    struct Row {
      Key address;
      uint32_t peer_plus_one = 0;  // 0: empty
    };
    [[nodiscard]] size_t row_of(const Key& address) const;  // its own, or the empty one where it belongs
    void resize(size_t rows);

    std::vector<Row> rows_ = std::vector<Row>(2);
    size_t used_ = 0;
  };
  struct Family {
    Hosts hosts;
    Trie networks = Trie(1);
  };

  [[nodiscard]] static Key v4_key(const uint8_t* address);
  [[nodiscard]] static Key v6_key(const uint8_t* address);
  // The index of the network's node, which is made where there is none.
  [[nodiscard]] static uint32_t node_of(Trie& trie, const Key& prefix, unsigned length);
  [[nodiscard]] static std::optional<PeerId> longest_match(const Family& family, const Key& address);

  Family v4_;
  Family v6_;
};

}  // namespace centipede::control
