// A worker beside the thread that publishes plans: whatever the moment, it takes over the newest and lets go of the
// others.
#include "dataplane/worker.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <random>
#include <thread>

#include "crypto/keys.h"
#include "rounds.h"
#include "two_ends.h"
#include "wire/message.h"

namespace centipede {
namespace {

using std::chrono::steady_clock;

class WorkerTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(crypto::initialise());
    std::array<int, 2> pair{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair.data()), 0);
    tun_.reset(pair[0]);
    other_end_.reset(pair[1]);
  }

  std::unique_ptr<Worker> start() {
    auto worker = Worker::start({.mtu = 1420,
                                 .tun = TunQueue(tun_.get()),
                                 .offloads = {},
                                 .board = board,
                                 .control = mailbox_,
                                 .failed = [](const Error& error) { ADD_FAILURE() << error.text; }});
    EXPECT_TRUE(worker) << worker.error().text;
    return worker ? std::move(*worker) : nullptr;
  }

  // A large one takes a while to let go of, in which the next is published.
  static std::shared_ptr<Plan> plan() {
    auto made = std::make_shared<Plan>();
    for (int i = 0; i < 2000; ++i)
      made->forwarding.peers.push_back(std::make_shared<control::PeerForwarding>());
    return made;
  }

  static bool expires(const std::weak_ptr<Plan>& plan) {
    const auto until = steady_clock::now() + std::chrono::seconds(5);
    while (!plan.expired() && steady_clock::now() < until)
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    return plan.expired();
  }

  [[nodiscard]] int application() const { return other_end_.get(); }

  test::TwoEnds ends;
  PlanBoard board;

 private:
  FileDescriptor tun_;
  FileDescriptor other_end_;
  ControlMailbox mailbox_{WakeUp::create().value()};
};

TEST_F(WorkerTest, a_plan_published_while_another_is_taken_over_is_not_missed) {
  const auto worker = start();
  ASSERT_NE(worker, nullptr);
  std::mt19937 random(5);
  for (uint64_t round = 0; round < test::rounds(1000); ++round) {
    auto first = plan();
    auto second = plan();
    const std::weak_ptr<Plan> replaced = first;
    board.publish(std::move(first));
    worker->wake();
    const auto until = steady_clock::now() + std::chrono::microseconds(50 + random() % 300);
    while (steady_clock::now() < until) {
    }
    board.publish(std::move(second));
    worker->wake();
    ASSERT_TRUE(expires(replaced)) << "round " << round << ": asleep with a plan that has been replaced";
  }
}

TEST_F(WorkerTest, a_plan_from_before_its_start_is_taken_over) {
  auto before = plan();
  board.publish(before);
  const auto worker = start();
  ASSERT_NE(worker, nullptr);
  const auto until = steady_clock::now() + std::chrono::seconds(5);
  while (before.use_count() < 3 && steady_clock::now() < until)
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  EXPECT_EQ(before.use_count(), 3) << "ours, the board's and the worker's";
}

TEST_F(WorkerTest, a_data_packet_that_is_handed_over_reaches_tun) {
  board.publish(ends.plans[0]);
  const auto worker = start();
  ASSERT_NE(worker, nullptr);
  std::vector<uint8_t> datagram(CP_DATA_HEADER_SIZE + 21);
  uint8_t* inner = datagram.data() + CP_DATA_HEADER_SIZE;
  inner[0] = 0x45;
  store_be<uint16_t>(inner + 2, 21);
  inner[9] = 253;
  std::ranges::copy(IpAddress::parse("10.9.0.2")->bytes(), inner + 12);
  std::ranges::copy(IpAddress::parse("10.9.0.1")->bytes(), inner + 16);
  wire::write_data_header({.number = {.lane = 0, .counter = 7}, .sid = test::TwoEnds::sid(0)}, datagram.data());
  crypto::AeadJob job{.packet = datagram.data(), .payload_size = 21};
  crypto::make_sodium_aead()->seal(ends.sessions[1]->send_key(), {&job, 1});
  ASSERT_TRUE(worker->hand_over({{.remote = test::TwoEnds::outer(1)}, datagram}));
  std::array<uint8_t, 100> written{};
  const auto until = steady_clock::now() + std::chrono::seconds(5);
  ssize_t bytes = -1;
  while ((bytes = ::read(application(), written.data(), written.size())) < 0 && steady_clock::now() < until)
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  ASSERT_EQ(bytes, static_cast<ssize_t>(VirtioHeader::wire_bytes + 21));
  EXPECT_EQ(written[VirtioHeader::wire_bytes], 0x45);
  EXPECT_EQ(worker->counters().delivered, 1U);
}

}  // namespace
}  // namespace centipede
