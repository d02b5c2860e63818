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

size_t AllowedIps::Hosts::row_of(const Key& address) const {
  // Every bit of the address reaches every bit of the row (the finaliser of SplitMix64): address plans are regular, and
  // some leave only the upper bits different.
  uint64_t mixed = address.high ^ address.low * 0xff51afd7ed558ccd;
  mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
  mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
  size_t row = (mixed ^ mixed >> 31) & (rows_.size() - 1);
  while (rows_[row].peer_plus_one != 0 && rows_[row].address != address)
    row = (row + 1) & (rows_.size() - 1);
  return row;
}

uint32_t AllowedIps::Hosts::peer_plus_one(const Key& address) const {
  return rows_[row_of(address)].peer_plus_one;
}

bool AllowedIps::Hosts::insert(const Key& address, uint32_t peer_plus_one) {
  Row& row = rows_[row_of(address)];
  if (row.peer_plus_one != 0) return row.peer_plus_one == peer_plus_one;
  row = {address, peer_plus_one};
  if (++used_ * 2 > rows_.size()) resize(rows_.size() * 2);
  return true;
}

void AllowedIps::Hosts::remove(uint32_t peer_plus_one) {
  const auto its = [&](const Row& row) { return row.peer_plus_one == peer_plus_one; };
  used_ -= static_cast<size_t>(std::ranges::count_if(rows_, its));
  std::ranges::replace_if(rows_, its, Row{});
  resize(std::bit_ceil(std::max<size_t>(used_, 1) * 2));  // also when it stays: gaps would hide what lies behind them
}

size_t AllowedIps::Hosts::longest_run() const {
  size_t longest = 0;
  size_t run = 0;
  for (const Row& row : rows_) {
    run = row.peer_plus_one == 0 ? 0 : run + 1;
    longest = std::max(longest, run);
  }
  return longest;
}

void AllowedIps::Hosts::resize(size_t rows) {
  const std::vector<Row> before = std::exchange(rows_, std::vector<Row>(rows));
  for (const Row& row : before)
    if (row.peer_plus_one != 0) rows_[row_of(row.address)] = row;
}

std::optional<PeerId> AllowedIps::longest_match(const Family& family, const Key& address) {
  if (const uint32_t host = family.hosts.peer_plus_one(address)) return host - 1;
  const Trie& trie = family.networks;
  uint32_t best = trie[0].peer_plus_one;
  for (uint32_t at = 0;;) {
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
  Family& family = v4 ? v4_ : v6_;
  if (network.length == bits) return family.hosts.insert(prefix, peer + 1);
  Node& node = family.networks[node_of(family.networks, prefix, network.length)];
  if (node.peer_plus_one != 0 && node.peer_plus_one != peer + 1) return false;
  node.peer_plus_one = peer + 1;
  return true;
}

// Made anew from what is left, so that adding and removing peers does not grow the table.
void AllowedIps::remove(PeerId peer) {
  for (Family* family : {&v4_, &v6_}) {
    family->hosts.remove(peer + 1);
    Trie rest(1);
    for (const Node& node : family->networks) {
      if (node.peer_plus_one == 0 || node.peer_plus_one == peer + 1) continue;
      rest[node_of(rest, node.prefix, node.length)].peer_plus_one = node.peer_plus_one;
    }
    family->networks = std::move(rest);
  }
}

std::optional<PeerId> AllowedIps::lookup_v4(const uint8_t* address) const {
  return longest_match(v4_, v4_key(address));
}

std::optional<PeerId> AllowedIps::lookup_v6(const uint8_t* address) const {
  return longest_match(v6_, v6_key(address));
}

size_t AllowedIps::longest_host_search() const {
  return std::max(v4_.hosts.longest_run(), v6_.hosts.longest_run());
}

}  // namespace centipede::control
