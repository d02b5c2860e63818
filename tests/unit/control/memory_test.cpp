// What peers cost in memory, counted at operator new: nothing that only a peer in use needs may be there for an idle
// one, and publishing a change must not copy the rows of all.
#include <gtest/gtest.h>
#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "control/controller.h"
#include "network.h"

namespace {

std::atomic<size_t> bytes_alive{0};
std::atomic<size_t> bytes_made{0};

}  // namespace

// Never inlined: GCC takes a visible free() of what `new` returned for a mistake.
[[gnu::noinline]] void* operator new(size_t size) {
  void* memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) throw std::bad_alloc();
  const size_t usable = malloc_usable_size(memory);
  bytes_alive.fetch_add(usable, std::memory_order_relaxed);
  bytes_made.fetch_add(usable, std::memory_order_relaxed);
  return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  bytes_alive.fetch_sub(malloc_usable_size(memory), std::memory_order_relaxed);
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept {
  operator delete(memory);
}

namespace centipede::control::test {
namespace {

constexpr uint32_t many = 10'000;
constexpr size_t idle_bytes = 1210;

class ManyPeers : public testing::Test {
 protected:
  void SetUp() override {
    Settings settings{.identity = identity(0).clone(), .params = {}};
    controller = std::make_unique<Controller>(std::move(settings), randomness);
    Uplink uplink{.name = "eth0", .usable = true, .addresses = {ip("10.1.0.1")}};
    controller->set_uplink(std::move(uplink), now);
    before = bytes_alive;
    for (uint32_t number = 0; number < many; ++number)
      ASSERT_TRUE(controller->add_peer(stranger(number), now).has_value());
    (void)controller->take_actions();
    forwarding = controller->forwarding();
  }

  // Key pairs are made once: they take most of the time.
  static PeerSettings stranger(uint32_t number) {
    static const std::vector<crypto::PublicKey> keys = [] {
      std::vector<crypto::PublicKey> made;
      for (uint32_t seed = 0; seed < many; ++seed) {
        crypto::SecretKey secret;
        store_be(secret.data(), seed);
        secret.data()[31] = 7;
        made.push_back(crypto::Identity::from_seed(secret).public_key());
      }
      return made;
    }();
    std::array<uint8_t, 4> address{10, 64, static_cast<uint8_t>(number >> 8), static_cast<uint8_t>(number)};
    PeerSettings peer{.name = "laptop-" + std::to_string(number), .public_key = keys[number]};
    peer.allowed_ips.push_back({IpAddress::v4(address.data()), 32});
    return peer;
  }

  SeededRandomness randomness{1};
  std::unique_ptr<Controller> controller;
  Forwarding forwarding;
  size_t before = 0;
  Now now{Instant(seconds(1000)), {1'800'000'000'000'000'000}};
};

TEST_F(ManyPeers, AnIdleOneTakesLittleMemory) {
  const size_t each = (bytes_alive - before) / many;
  EXPECT_LT(each, idle_bytes);
  EXPECT_GT(each, 500U) << "they are counted";
}

TEST_F(ManyPeers, AreForgottenWhenNobodyCalledForLongAndNeedNoTimerThen) {
  const size_t idle = bytes_alive;
  now.monotonic += seconds(541);
  controller->on_timer(now);
  EXPECT_EQ(controller->next_deadline(), never);
  EXPECT_LE(bytes_alive, idle);
}

TEST_F(ManyPeers, AChangeOfOneIsPublishedWithoutCopyingTheOthers) {
  const size_t made = bytes_made;
  ASSERT_TRUE(controller->remove_peer(many / 2, now));
  const Forwarding& published_before = forwarding;
  const size_t removed = bytes_made;
  const Forwarding after = controller->forwarding();
  EXPECT_LT(bytes_made - removed, 8192U) << "a page, and the table of pages";
  EXPECT_GT(removed - made, 0U);
  EXPECT_EQ(after.peers.find(many / 2), nullptr);
  EXPECT_NE(published_before.peers.find(many / 2), nullptr) << "who has it already keeps it";
  for (const PeerId other : {PeerId{0}, many / 2 - 1, many / 2 + 1, many - 1})
    EXPECT_EQ(after.peers.find(other), published_before.peers.find(other));
  EXPECT_EQ(after.peers.find(many), nullptr);
}

}  // namespace
}  // namespace centipede::control::test
