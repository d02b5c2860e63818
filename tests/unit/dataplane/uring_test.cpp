#include "dataplane/uring.h"

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <thread>

namespace centipede::test {
namespace {

struct Pair {
  Pair() {
    std::array<int, 2> fds{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds.data()), 0);
    near.reset(fds[0]);
    far.reset(fds[1]);
  }
  void send() const { EXPECT_EQ(::send(far.get(), "x", 1, 0), 1); }
  void drain() const {
    char byte;
    while (::recv(near.get(), &byte, 1, 0) > 0) {
    }
  }
  FileDescriptor near;
  FileDescriptor far;
};

std::vector<Ready> wait(Uring& ring, Duration timeout) {
  const auto ready = ring.wait(timeout);
  EXPECT_TRUE(ready) << ready.error().text;
  return ready ? std::vector<Ready>(ready->begin(), ready->end()) : std::vector<Ready>{};
}

TEST(Uring, ReportsOnceUntilArmedAgain) {
  auto ring = Uring::create();
  ASSERT_TRUE(ring) << ring.error().text;
  const Pair pair;
  ASSERT_TRUE(ring->poll(pair.near.get(), 7));
  EXPECT_TRUE(wait(*ring, Duration::zero()).empty());
  pair.send();
  auto ready = wait(*ring, seconds(5));
  ASSERT_EQ(ready.size(), 1U);
  EXPECT_EQ(ready[0].token, 7U);
  EXPECT_NE(ready[0].events & POLLIN, 0U);
  EXPECT_TRUE(wait(*ring, milliseconds(1)).empty());
  ASSERT_TRUE(ring->poll(pair.near.get(), 7));
  EXPECT_EQ(wait(*ring, seconds(5)).size(), 1U) << "still readable, so arming has to report at once";
  pair.drain();
  ASSERT_TRUE(ring->poll(pair.near.get(), 7));
  EXPECT_TRUE(wait(*ring, milliseconds(1)).empty());
}

TEST(Uring, CollectingWithoutSleepingFindsWhatBecameReady) {
  auto ring = Uring::create();
  ASSERT_TRUE(ring);
  const Pair pair;
  ASSERT_TRUE(ring->poll(pair.near.get(), 1));
  EXPECT_TRUE(wait(*ring, Duration::zero()).empty());
  pair.send();
  EXPECT_EQ(wait(*ring, Duration::zero()).size(), 1U);
}

TEST(Uring, TimeoutPasses) {
  auto ring = Uring::create();
  ASSERT_TRUE(ring);
  const auto before = std::chrono::steady_clock::now();
  EXPECT_TRUE(wait(*ring, milliseconds(20)).empty());
  EXPECT_GE(std::chrono::steady_clock::now() - before, milliseconds(20));
}

TEST(Uring, CancelledPollStaysSilent) {
  auto ring = Uring::create();
  ASSERT_TRUE(ring);
  const Pair pair;
  ASSERT_TRUE(ring->poll(pair.near.get(), 3));
  EXPECT_TRUE(wait(*ring, Duration::zero()).empty());
  ASSERT_TRUE(ring->cancel(3));
  EXPECT_TRUE(wait(*ring, milliseconds(1)).empty());
  pair.send();
  EXPECT_TRUE(wait(*ring, milliseconds(1)).empty());
  ASSERT_TRUE(ring->cancel(99)) << "cancelling what was never armed is harmless";
  EXPECT_TRUE(wait(*ring, milliseconds(1)).empty());
}

TEST(Uring, BadDescriptorIsReportedAsAnError) {
  auto ring = Uring::create();
  ASSERT_TRUE(ring);
  ASSERT_TRUE(ring->poll(1'000'000, 5));
  const auto ready = wait(*ring, seconds(5));
  ASSERT_EQ(ready.size(), 1U);
  EXPECT_EQ(ready[0].token, 5U);
  EXPECT_EQ(ready[0].error, EBADF);
}

TEST(Uring, MoreThanTheRingHoldsIsSubmittedInParts) {
  auto ring = Uring::create(4);
  ASSERT_TRUE(ring);
  const std::vector<Pair> pairs(100);
  for (size_t i = 0; i < pairs.size(); ++i) {
    pairs[i].send();
    ASSERT_TRUE(ring->poll(pairs[i].near.get(), i));
  }
  std::vector<bool> seen(pairs.size());
  for (size_t total = 0; total < pairs.size();) {
    const auto ready = wait(*ring, seconds(5));
    ASSERT_FALSE(ready.empty());
    for (const Ready& one : ready) {
      ASSERT_LT(one.token, pairs.size());
      EXPECT_FALSE(seen[one.token]);
      seen[one.token] = true;
    }
    total += ready.size();
  }
}

TEST(Uring, WakeUpFromAnotherThreadEndsTheSleep) {
  const auto wake_up = WakeUp::create();
  ASSERT_TRUE(wake_up);
  std::atomic<bool> armed = false;
  std::thread worker([&] {
    auto ring = Uring::create();  // on the thread that uses it
    ASSERT_TRUE(ring);
    ASSERT_TRUE(ring->poll(wake_up->fd(), 1));
    armed = true;
    EXPECT_EQ(wait(*ring, Duration::max()).size(), 1U);
    EXPECT_TRUE(wake_up->drain());
    EXPECT_FALSE(wake_up->drain());
  });
  while (!armed)
    std::this_thread::yield();
  wake_up->wake();
  wake_up->wake();
  worker.join();
}

TEST(Uring, UseFromAnotherThreadIsAnErrorWhereTheKernelChecks) {
  auto ring = Uring::create();
  ASSERT_TRUE(ring);
  const Pair pair;
  std::thread([&] {
    ASSERT_TRUE(ring->poll(pair.near.get(), 1));
    const auto ready = ring->wait(milliseconds(1));
    if (ready) GTEST_SKIP() << "kernel without single-issuer rings";
    EXPECT_EQ(ready.error().code, EEXIST);
  }).join();
}

TEST(Uring, ForbiddenBySeccompIsSaidInWords) {
  const pid_t child = ::fork();
  if (child == 0) {
    std::array filter{
        sock_filter{BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
        sock_filter{BPF_JMP | BPF_JEQ | BPF_K, 0, 1, __NR_io_uring_setup},
        sock_filter{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | EPERM},
        sock_filter{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
    };
    const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) ::_exit(2);
    if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) ::_exit(3);
    const auto ring = Uring::create();
    ::_exit(!ring && ring.error().code == EPERM && ring.error().text.find("forbidden") != std::string::npos ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace centipede::test
