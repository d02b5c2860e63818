// What a service manager is told, with a socket of the test in systemd's place.
#include "cli/service_manager.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstring>

#include "../api/fake_tunnel.h"
#include "temporary_folder.h"

namespace centipede::cli {
namespace {

constexpr timeval patience{10, 0};

class Socket {
 public:
  explicit Socket(const std::string& name) : socket_(socket(AF_UNIX, SOCK_DGRAM, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, name.data(), name.size());
    if (name.front() == '@') address.sun_path[0] = '\0';
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
    EXPECT_EQ(bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), length), 0) << name;
    EXPECT_EQ(setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
  }
  std::string next(int flags = 0) const {
    std::array<char, 512> text{};
    const ssize_t length = recv(socket_.get(), text.data(), text.size(), flags);
    return length < 0 ? "nothing" : std::string(text.data(), static_cast<size_t>(length));
  }

 private:
  FileDescriptor socket_;
};

class ServiceManagerTest : public testing::Test {
 protected:
  ~ServiceManagerTest() override {
    for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"})
      unsetenv(name);
  }
  static ServiceManager with(const std::string& socket, const std::string& watchdog = "", const std::string& pid = "") {
    setenv("NOTIFY_SOCKET", socket.c_str(), 1);
    if (!watchdog.empty()) setenv("WATCHDOG_USEC", watchdog.c_str(), 1);
    if (!pid.empty()) setenv("WATCHDOG_PID", pid.c_str(), 1);
    return ServiceManager::from_environment();
  }
  TemporaryFolder folder_;
};

TEST_F(ServiceManagerTest, is_told_in_the_words_of_sd_notify) {
  for (const std::string& name : {folder_.file("notify"), "@centipede-test-" + std::to_string(getpid())}) {
    const Socket systemd(name);
    const ServiceManager manager = with(name);
    manager.ready("cp0 over eth0");
    EXPECT_EQ(systemd.next(), "READY=1\nSTATUS=cp0 over eth0") << name;
    manager.alive();
    EXPECT_EQ(systemd.next(), "WATCHDOG=1");
    manager.stopping();
    EXPECT_EQ(systemd.next(), "STOPPING=1");
  }
}

TEST_F(ServiceManagerTest, is_not_spoken_to_by_what_we_execute) {
  (void)with(folder_.file("notify"), "1000000", std::to_string(getpid()));
  for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"})
    EXPECT_EQ(getenv(name), nullptr) << name;
}

TEST_F(ServiceManagerTest, that_is_not_there_or_cannot_be_one_is_no_obstacle) {
  const std::string nobody = folder_.file("nobody");
  for (const std::string& name : {std::string(), nobody, std::string(300, 'x'), std::string("@")})
    with(name).ready("cp0");
}

TEST_F(ServiceManagerTest, has_a_watchdog_only_for_whom_it_means) {
  using std::chrono::microseconds;
  const std::string name = folder_.file("notify");
  EXPECT_EQ(with(name, "2500").patience(), microseconds(2500));
  EXPECT_EQ(with(name, "2500", std::to_string(getpid())).patience(), microseconds(2500));
  EXPECT_EQ(with(name, "2500", std::to_string(getppid())).patience(), microseconds(0));
  for (const char* odd : {"-1", "x", "1s", "99999999999999999999999"})
    EXPECT_EQ(with(name, odd).patience(), microseconds(0)) << odd;
}

// Its control thread answers until it is told to hang.
class HangingTunnel : public api::FakeTunnel {
 public:
  Result<TunnelStatus> status() override {
    if (hang) {
      hanging = true;
      hang.wait(true);
    }
    return FakeTunnel::status();
  }
  std::atomic<bool> hang = false;
  std::atomic<bool> hanging = false;
};

TEST_F(ServiceManagerTest, hears_that_a_tunnel_is_alive_only_while_its_control_thread_answers) {
  const std::string name = folder_.file("notify");
  const Socket systemd(name);
  const ServiceManager manager = with(name, "2000");
  HangingTunnel tunnel;
  const Watchdog watchdog(manager, tunnel);
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(systemd.next(), "WATCHDOG=1");
  tunnel.hang = true;
  while (!tunnel.hanging)
    std::this_thread::yield();
  while (systemd.next(MSG_DONTWAIT) == "WATCHDOG=1") {
  }
  EXPECT_EQ(systemd.next(MSG_DONTWAIT), "nothing");
  tunnel.hang = false;
  tunnel.hang.notify_all();
  EXPECT_EQ(systemd.next(), "WATCHDOG=1");
}

TEST_F(ServiceManagerTest, does_not_hear_that_a_tunnel_is_alive_whose_control_thread_has_ended) {
  const std::string name = folder_.file("notify");
  const Socket systemd(name);
  const ServiceManager manager = with(name, "2000");
  HangingTunnel tunnel;
  tunnel.hang = true;
  {
    const Watchdog watchdog(manager, tunnel);
    while (!tunnel.hanging)
      std::this_thread::yield();
    tunnel.stopping = true;
    tunnel.hang = false;
    tunnel.hang.notify_all();
  }
  EXPECT_EQ(systemd.next(MSG_DONTWAIT), "nothing");
}

}  // namespace
}  // namespace centipede::cli
