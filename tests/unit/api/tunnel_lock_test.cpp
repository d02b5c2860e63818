#include "api/tunnel_lock.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <thread>
#include <vector>

#include "api/paths.h"
#include "api/unix_socket.h"
#include "temporary_folder.h"

namespace centipede::api {
namespace {

TEST(TunnelLock, one_holder_a_tunnel_until_it_lets_go) {
  TemporaryFolder folder;
  auto first = TunnelLock::try_acquire(folder.path(), "cp0");
  ASSERT_TRUE(first && *first);
  auto second = TunnelLock::try_acquire(folder.path(), "cp0");
  ASSERT_TRUE(second);
  EXPECT_FALSE(*second);
  EXPECT_TRUE(*TunnelLock::try_acquire(folder.path(), "cp1")) << "another tunnel is another lock";
  first->reset();
  EXPECT_FALSE(std::filesystem::exists(lock_path(folder.path(), "cp0")));
  EXPECT_TRUE(*TunnelLock::try_acquire(folder.path(), "cp0"));
}

TEST(TunnelLock, of_many_that_try_at_once_never_two_hold_it) {
  TemporaryFolder folder;
  std::atomic<int> holders = 0;
  std::atomic<int> held = 0;
  std::atomic<bool> two = false;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 3000; ++round) {
        auto lock = TunnelLock::try_acquire(folder.path(), "cp0");
        if (!lock || !*lock) continue;
        if (++holders > 1) two = true;
        ++held;
        for (int turn = 0; turn < 20; ++turn)
          std::this_thread::yield();  // time for another to come in wrongly
        --holders;
      }
    });
  }
  for (auto& thread : threads)
    thread.join();
  EXPECT_FALSE(two);
  EXPECT_GT(held, 0);
}

TEST(TunnelLock, makes_the_folder_and_says_when_it_cannot) {
  TemporaryFolder folder;
  const std::string inside = folder.file("run");
  EXPECT_TRUE(*TunnelLock::try_acquire(inside, "cp0"));
  struct stat made{};
  ASSERT_EQ(stat(inside.c_str(), &made), 0);
  EXPECT_EQ(made.st_mode & 0777, 0755U);
  const auto refused = TunnelLock::try_acquire(folder.file("no/such"), "cp0");
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().text.find("no/such"), std::string::npos) << refused.error().text;
}

TEST(Paths, interface_names_are_what_the_kernel_and_a_file_name_bear) {
  for (const char* good : {"eth0", "wlp3s0", "a", "fifteen-letters", "eth0.100", "br-lan", "x@y"}) {
    EXPECT_TRUE(valid_interface_name(good)) << good;
  }
  for (const char* bad : {"", ".", "..", "sixteen-letters!", "a/b", "a b", "a\tb", "tun%d", "eth0:1", "\xc3\xa9"}) {
    EXPECT_FALSE(valid_interface_name(bad)) << bad;
  }
  EXPECT_FALSE(valid_interface_name(std::string_view("a\0b", 3)));
}

TEST(Paths, running_tunnels_are_the_sockets_in_the_folder) {
  TemporaryFolder folder;
  EXPECT_TRUE(running_tunnels(folder.file("missing")).empty());
  auto b = UnixListener::bind(socket_path(folder.path(), "cp1"));
  auto a = UnixListener::bind(socket_path(folder.path(), "cp0"));
  auto lock = TunnelLock::try_acquire(folder.path(), "cp7");
  EXPECT_EQ(running_tunnels(folder.path()), (std::vector<std::string>{"cp0", "cp1"}));
}

}  // namespace
}  // namespace centipede::api
