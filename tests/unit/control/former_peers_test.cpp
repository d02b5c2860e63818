#include "control/former_peers.h"

#include <gtest/gtest.h>

namespace centipede::control {
namespace {

std::vector<crypto::PublicKey> some_keys(size_t count) {
  std::vector<crypto::PublicKey> keys;
  while (keys.size() < count)
    keys.push_back(crypto::Identity::generate().public_key());
  return keys;
}

TEST(FormerPeers, TheOldestIsForgottenForANewOneWhereThereIsNoRoom) {
  const auto keys = some_keys(4);
  FormerPeers former({}, 3);
  former.keep(keys[0], 20);
  former.keep(keys[1], 10);
  former.keep(keys[2], 30);
  former.keep(keys[1], 40);  // again: it is the newest now
  former.keep(keys[3], 35);
  EXPECT_EQ(former.all(), (std::map<crypto::PublicKey, uint64_t>{{keys[1], 40}, {keys[2], 30}, {keys[3], 35}}));
  EXPECT_EQ(former.take(keys[0]), 0U);
  EXPECT_EQ(former.take(keys[2]), 30U);
  EXPECT_EQ(former.take(keys[2]), 0U);
  EXPECT_EQ(former.all().size(), 2U);
}

TEST(FormerPeers, OnesFromAnEarlierProcessStayUntilPeersAreAddedAndRemoved) {
  const auto keys = some_keys(4);
  FormerPeers former({{keys[0], 1}, {keys[1], 2}, {keys[2], 3}, {keys[3], 4}}, 2);
  EXPECT_EQ(former.all().size(), 4U);
  EXPECT_EQ(former.take(keys[0]), 1U) << "a peer again";
  former.keep(keys[0], 5);
  EXPECT_EQ(former.all(), (std::map<crypto::PublicKey, uint64_t>{{keys[3], 4}, {keys[0], 5}}));
}

}  // namespace
}  // namespace centipede::control
