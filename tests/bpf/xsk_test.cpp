// AF_XDP queues under load: nothing lost from the pool of frames, whoever gives them back.
#include <poll.h>

#include <atomic>
#include <map>
#include <set>

#include "live_fixture.h"

namespace centipede::test {
namespace {

class XskTest : public LiveTest {};

TEST_F(XskTest, frames_circulate_for_ever_between_parallel_workers) {
  const auto queue = open_uplink(*wire, 0, 256);
  ASSERT_TRUE(queue);
  const XdpAttachment attachment = attach(*wire);
  const FileDescriptor socket = far_udp(*wire);
  constexpr uint64_t wanted = 20'000;  // each frame about 80 times
  std::atomic<bool> stop = false;
  std::atomic<uint64_t> mangled = 0;
  std::array<std::atomic<uint64_t>, live_workers> got{};
  std::thread sender([&] {
    for (uint64_t counter = 0; !stop; ++counter)
      (void)send(socket, static_cast<uint8_t>(counter % 2), counter);
  });
  std::vector<std::thread> workers;
  for (uint32_t worker = 0; worker < live_workers; ++worker)
    workers.emplace_back([&, worker] {
      while (!stop)
        for (const uint64_t number : take(*queue, worker))
          ++(number == UINT64_MAX ? mangled : got[worker]);
    });
  EXPECT_TRUE(eventually([&] { return got[0] + got[1] >= wanted; }));
  stop = true;
  sender.join();
  for (auto& worker : workers)
    worker.join();
  EXPECT_EQ(mangled, 0U);
  EXPECT_GT(got[0], 0U);
  EXPECT_GT(got[1], 0U);

  // Every frame is still there: all can be in hands at once, each a different one.
  for (uint32_t worker = 0; worker < live_workers; ++worker) {
    while (!take(*queue, worker).empty())
      continue;
    EXPECT_TRUE(queue->drained(worker));
  }
  std::set<uint64_t> addresses;
  std::vector<XskFrame> held;
  uint64_t counter = 1'000'000;
  EXPECT_TRUE(eventually([&] {
    (void)send(socket, 0, ++counter);
    std::array<XskFrame, 64> frames;
    const size_t count = queue->receive(0, frames);
    held.insert(held.end(), frames.begin(), frames.begin() + static_cast<std::ptrdiff_t>(count));
    return held.size() >= queue->frames();
  }));
  for (const XskFrame& frame : held)
    addresses.insert(frame.address);
  EXPECT_EQ(addresses.size(), queue->frames());

  // And with all of them in hands the kernel says that it has none.
  EXPECT_TRUE(eventually([&] {
    (void)send(socket, 0, ++counter);
    return queue->statistics().fill_ring_empty > 0;
  }));
  EXPECT_GT(queue->statistics().dropped, 0U);
  queue->release(0, held);
  EXPECT_TRUE(eventually([&] {
    (void)send(socket, 0, ++counter);
    return !take(*queue, 0).empty();
  })) << "and receives again once they are back";
}

TEST_F(XskTest, a_worker_that_sleeps_does_not_stop_the_other) {
  const auto queue = open_uplink(*wire, 0);
  ASSERT_TRUE(queue);
  const XdpAttachment attachment = attach(*wire);
  const FileDescriptor socket = far_udp(*wire);
  // More for worker 1 than its ring holds, and nobody takes them.
  for (uint64_t counter = 0; counter < 3000; ++counter)
    ASSERT_TRUE(send(socket, 1, counter));
  uint64_t counter = 0;
  EXPECT_TRUE(eventually([&] {
    (void)send(socket, 0, ++counter);
    return !take(*queue, 0).empty();
  }));
  EXPECT_GT(queue->statistics().ring_full, 0U) << "what worker 1 lost is counted";
}

TEST_F(XskTest, a_waiting_frame_makes_the_workers_descriptor_readable) {
  const auto queue = open_uplink(*wire, 0);
  ASSERT_TRUE(queue);
  const XdpAttachment attachment = attach(*wire);
  pollfd waiting{.fd = queue->fd(1), .events = POLLIN, .revents = 0};
  EXPECT_EQ(poll(&waiting, 1, 0), 0);
  const FileDescriptor socket = far_udp(*wire);
  ASSERT_TRUE(send(socket, 1, 5));
  EXPECT_EQ(poll(&waiting, 1, 10'000), 1);
  EXPECT_EQ(take(*queue, 1), std::vector<uint64_t>{uint64_t{1} << 56 | 5});
  EXPECT_EQ(poll(&waiting, 1, 0), 0);
}

TEST_F(XskTest, frames_are_sized_by_the_devices_mtu) {
  for (const auto& [mtu, size] : std::map<int, uint32_t>{{1500, 2048}, {3000, 4096}, {9000, 4096}}) {
    ASSERT_EQ(std::system(("ip link set n0 mtu " + std::to_string(mtu)).c_str()), 0);
    const auto queue = open_uplink(*wire, 0);
    ASSERT_TRUE(queue);
    EXPECT_EQ(queue->frame_size(), size) << "MTU " << mtu;
  }
}

TEST_F(XskTest, impossible_settings_are_errors) {
  const int fd = program->xsks_fd();
  EXPECT_FALSE(XskQueue::open({.device = "n0", .queue = 0, .workers = 0, .xsks_fd = fd}));
  EXPECT_FALSE(XskQueue::open({.device = "n0", .queue = 0, .workers = 1, .xsks_fd = fd, .frames = 1000}));
  const auto no_queue = XskQueue::open({.device = "n0", .queue = 7, .workers = 1, .xsks_fd = fd});
  ASSERT_FALSE(no_queue);
  EXPECT_NE(no_queue.error().text.find("queue 7 of n0"), std::string::npos) << no_queue.error().text;
  const auto no_device = XskQueue::open({.device = "gone0", .queue = 0, .workers = 1, .xsks_fd = fd});
  ASSERT_FALSE(no_device);
  const auto beyond_map =
      XskQueue::open({.device = "n0", .queue = 0, .workers = 2, .xsks_fd = fd, .first_xsk = xsk_slots - 1});
  ASSERT_FALSE(beyond_map);
  EXPECT_TRUE(open_uplink(*wire, 0)) << "a failed attempt leaves the queue free";
}

TEST_F(XskTest, a_queue_has_one_owner) {
  const auto queue = open_uplink(*wire, 0);
  ASSERT_TRUE(queue);
  EXPECT_FALSE(XskQueue::open({.device = "n0", .queue = 0, .workers = 1, .xsks_fd = program->xsks_fd()}));
}

}  // namespace
}  // namespace centipede::test
