// The end of `centipede dashboard`, in a process of its own.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <sstream>
#include <thread>

#include "api/paths.h"
#include "base/address.h"
#include "base/file_descriptor.h"
#include "cli/dashboard.h"
#include "cli/standard_output.h"
#include "temporary_folder.h"

namespace centipede::cli {
namespace {

using Clock = std::chrono::steady_clock;

// Takes connections and never says a word, as a daemon that is stopped.
FileDescriptor mute_daemon(const std::string& path) {
  FileDescriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  EXPECT_EQ(bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(listen(socket.get(), 1), 0);
  return socket;
}

[[noreturn]] void run_dashboard(const std::string& runtime_directory, int out_fd) {
  StandardOutput output(out_fd);
  std::istringstream in;
  std::ostream out(&output);
  std::ostringstream err;
  Host host{.in = in,
            .out = out,
            .err = err,
            .start_tunnel = {},
            .missing_privilege = {},
            .clear_leftovers = {},
            .protect_memory = {}};
  host.runtime_directory = runtime_directory;
  _exit(dashboard(host, {.interface = "cp0", .port = 0}));
}

class DashboardCommandTest : public testing::Test {
 protected:
  void SetUp() override {
    daemon_ = mute_daemon(api::reading_socket_path(api::socket_path(folder_.path(), "cp0")));
    std::array<int, 2> ends{};
    ASSERT_EQ(pipe(ends.data()), 0);
    const FileDescriptor in(ends[0]);
    child_ = fork();
    ASSERT_GE(child_, 0);
    if (child_ == 0) run_dashboard(folder_.path(), ends[1]);
    close(ends[1]);
    while (!url_.ends_with('\n')) {
      char c = 0;
      ASSERT_EQ(read(in.get(), &c, 1), 1);
      url_ += c;
    }
  }
  void TearDown() override {
    if (ended_) return;
    kill(child_, SIGKILL);
    waitpid(child_, nullptr, 0);
  }

  // A browser that asks for the status.
  [[nodiscard]] FileDescriptor asking() const {
    const size_t colon = url_.rfind(':');
    const Endpoint remote{*IpAddress::parse("127.0.0.1"), static_cast<uint16_t>(std::stoi(url_.substr(colon + 1)))};
    sockaddr_storage to{};
    const auto length = static_cast<socklen_t>(remote.to_sockaddr(to, false));
    FileDescriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), length), 0);
    const std::string path = url_.substr(url_.find('/', colon), 34);
    const std::string request = "GET " + path + "v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n";
    EXPECT_EQ(send(socket.get(), request.data(), request.size(), 0), ssize_t(request.size()));
    return socket;
  }
  // True when it has ended in time; how, is in `status_`. Asked to again and again, as an impatient user does.
  bool ends_by_signals(int number) {
    for (const auto deadline = Clock::now() + std::chrono::seconds(5); Clock::now() < deadline && !ended_;) {
      kill(child_, number);
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      ended_ = waitpid(child_, &status_, WNOHANG) == child_;
    }
    return ended_;
  }

  TemporaryFolder folder_;
  FileDescriptor daemon_;
  pid_t child_ = -1;
  std::string url_;
  int status_ = 0;
  bool ended_ = false;
};

TEST_F(DashboardCommandTest, one_signal_ends_it_with_success) {
  kill(child_, SIGTERM);
  ended_ = waitpid(child_, &status_, 0) == child_;
  EXPECT_TRUE(WIFEXITED(status_) && WEXITSTATUS(status_) == done) << status_;
}

TEST_F(DashboardCommandTest, a_second_signal_ends_it_at_once_though_the_daemon_does_not_answer) {
  const FileDescriptor browser = asking();
  pollfd asked{daemon_.get(), POLLIN, 0};
  ASSERT_EQ(poll(&asked, 1, 10000), 1) << "the daemon is asked";
  ASSERT_TRUE(ends_by_signals(SIGINT));
  EXPECT_TRUE(WIFSIGNALED(status_) && WTERMSIG(status_) == SIGINT) << status_;
}

}  // namespace
}  // namespace centipede::cli
