#include "control/allowed_ips.h"

namespace centipede::control {
namespace {

unsigned bit_of(const uint8_t* address, unsigned position) {
  return (address[position / 8] >> (7 - position % 8)) & 1U;
}

template <class Node>
std::optional<PeerId> longest_match(const std::vector<Node>& trie, const uint8_t* address, unsigned bits) {
  uint32_t best = trie[0].peer_plus_one;
  uint32_t at = 0;
  for (unsigned position = 0; position < bits; ++position) {
    at = trie[at].child[bit_of(address, position)];
    if (at == 0) break;
    if (trie[at].peer_plus_one != 0) best = trie[at].peer_plus_one;
  }
  if (best == 0) return std::nullopt;
  return best - 1;
}

// Copies what still leads to a network, so that adding and removing peers does not grow the table. Returns the copy's
// index, 0 for a branch that is empty (the root's own copy is always index 0). Depth is at most 128.
template <class Node>
uint32_t copy_without(const std::vector<Node>& from, uint32_t index, uint32_t removed_plus_one, std::vector<Node>& to) {
  const auto copy = static_cast<uint32_t>(to.size());
  to.emplace_back();
  uint32_t kept = from[index].peer_plus_one;
  if (kept == removed_plus_one) kept = 0;
  to[copy].peer_plus_one = kept;
  bool used = kept != 0;
  for (unsigned side = 0; side < 2; ++side) {
    if (from[index].child[side] == 0) continue;
    const uint32_t child = copy_without(from, from[index].child[side], removed_plus_one, to);
    to[copy].child[side] = child;
    used = used || child != 0;
  }
  if (used || copy == 0) return copy;
  to.pop_back();
  return 0;
}

}  // namespace

bool AllowedIps::insert(const Prefix& network, PeerId peer) {
  const unsigned bits = network.address.bits();
  if (bits == 0 || network.length > bits) return false;
  std::vector<Node>& trie = network.address.is_v4() ? v4_ : v6_;
  const uint8_t* address = network.address.bytes().data();
  uint32_t at = 0;
  for (unsigned position = 0; position < network.length; ++position) {
    const unsigned side = bit_of(address, position);
    if (trie[at].child[side] == 0) {
      const auto added = static_cast<uint32_t>(trie.size());
      trie.emplace_back();
      trie[at].child[side] = added;
    }
    at = trie[at].child[side];
  }
  if (trie[at].peer_plus_one != 0 && trie[at].peer_plus_one != peer + 1) return false;
  trie[at].peer_plus_one = peer + 1;
  return true;
}

void AllowedIps::remove(PeerId peer) {
  for (std::vector<Node>* trie : {&v4_, &v6_}) {
    std::vector<Node> rest;
    rest.reserve(trie->size());
    copy_without(*trie, 0, peer + 1, rest);
    *trie = std::move(rest);
  }
}

std::optional<PeerId> AllowedIps::lookup_v4(const uint8_t* address) const {
  return longest_match(v4_, address, 32);
}

std::optional<PeerId> AllowedIps::lookup_v6(const uint8_t* address) const {
  return longest_match(v6_, address, 128);
}

}  // namespace centipede::control
