#include "control/allowed_ips.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace centipede::control {

unsigned AllowedIps::Key::bit(unsigned position) const {
  return static_cast<unsigned>((position < 64 ? high : low) >> (63 - position % 64)) & 1U;
}

unsigned AllowedIps::Key::bits_in_common(const Key& other) const {
  if (high != other.high) return static_cast<unsigned>(std::countl_zero(high ^ other.high));
  return 64U + static_cast<unsigned>(std::countl_zero(low ^ other.low));
}

AllowedIps::Key AllowedIps::Key::first(unsigned bits) const {
  if (bits <= 64) return {bits == 0 ? 0 : high >> (64 - bits) << (64 - bits), 0};
  return {high, low >> (128 - bits) << (128 - bits)};
}

AllowedIps::Key AllowedIps::v4_key(const uint8_t* address) {
  return {uint64_t{load_be<uint32_t>(address)} << 32, 0};
}

AllowedIps::Key AllowedIps::v6_key(const uint8_t* address) {
  return {load_be<uint64_t>(address), load_be<uint64_t>(address + 8)};
}

uint32_t AllowedIps::node_of(Trie& trie, const Key& prefix, unsigned length) {
  uint32_t at = 0;
  // The bits that lead to `at` are the first ones of the network.
  while (trie[at].length != length) {
    const unsigned side = prefix.bit(trie[at].length);
    const uint32_t next = trie[at].child[side];
    const unsigned common =
        next == 0 ? length : std::min({prefix.bits_in_common(trie[next].prefix), length, unsigned{trie[next].length}});
    if (next != 0 && common == trie[next].length) {
      at = next;
      continue;
    }
    // Nothing beyond here, or the ways part before the next node: a node where the common bits end.
    Node added{.prefix = prefix.first(common), .length = static_cast<uint8_t>(common)};
    if (next != 0) added.child[trie[next].prefix.bit(common)] = next;
    trie[at].child[side] = static_cast<uint32_t>(trie.size());
    at = trie[at].child[side];
    trie.push_back(added);
  }
  return at;
}

std::optional<PeerId> AllowedIps::longest_match(const Trie& trie, const Key& address, unsigned bits) {
  uint32_t best = trie[0].peer_plus_one;
  for (uint32_t at = 0; trie[at].length < bits;) {
    at = trie[at].child[address.bit(trie[at].length)];
    if (at == 0 || address.bits_in_common(trie[at].prefix) < trie[at].length) break;
    if (trie[at].peer_plus_one != 0) best = trie[at].peer_plus_one;
  }
  if (best == 0) return std::nullopt;
  return best - 1;
}

bool AllowedIps::insert(const Prefix& network, PeerId peer) {
  const unsigned bits = network.address.bits();
  if (bits == 0 || network.length > bits) return false;
  const bool v4 = network.address.is_v4();
  const uint8_t* address = network.address.bytes().data();
  const Key prefix = (v4 ? v4_key(address) : v6_key(address)).first(network.length);
  Trie& trie = v4 ? v4_ : v6_;
  Node& node = trie[node_of(trie, prefix, network.length)];
  if (node.peer_plus_one != 0 && node.peer_plus_one != peer + 1) return false;
  node.peer_plus_one = peer + 1;
  return true;
}

// Made anew from what is left, so that adding and removing peers does not grow the table.
void AllowedIps::remove(PeerId peer) {
  for (Trie* trie : {&v4_, &v6_}) {
    Trie rest(1);
    for (const Node& node : *trie) {
      if (node.peer_plus_one == 0 || node.peer_plus_one == peer + 1) continue;
      rest[node_of(rest, node.prefix, node.length)].peer_plus_one = node.peer_plus_one;
    }
    *trie = std::move(rest);
  }
}

std::optional<PeerId> AllowedIps::lookup_v4(const uint8_t* address) const {
  return longest_match(v4_, v4_key(address), 32);
}

std::optional<PeerId> AllowedIps::lookup_v6(const uint8_t* address) const {
  return longest_match(v6_, v6_key(address), 128);
}

}  // namespace centipede::control
