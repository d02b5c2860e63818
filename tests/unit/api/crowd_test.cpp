// Many clients, slow clients, clients that may not: somebody is always served, and what they cost is bounded.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <grp.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "api/client.h"
#include "api/paths.h"
#include "api_fixture.h"
#include "raw_client.h"
#include "temporary_folder.h"

namespace centipede::api {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::HasSubstr;

size_t open_descriptors() {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
    ++count;
  return count;
}

class CrowdTest : public testing::Test {
 protected:
  CrowdTest() : path_(folder_.file("cp0.sock")) {}

  void start(const ServerOptions& options = {}) {
    auto started = Server::start(tunnel_, path_, options);
    ASSERT_TRUE(started) << started.error().text;
    server_ = std::move(*started);
  }

  TemporaryFolder folder_;
  std::string path_;
  FakeTunnel tunnel_;
  std::unique_ptr<Server> server_;
};

// A thread each would measure the machine; so 50 threads have 20 connections each, all of them open before any asks.
TEST_F(CrowdTest, a_thousand_clients_at_once_are_all_served) {
  start();
  std::atomic<int> served = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 50; ++i) {
    threads.emplace_back([&, i] {
      for (int j = 0; j < 20; ++j) {
        Client client(path_);
        const int number = i * 20 + j;
        const bool fine = number % 10 != 0 ? client.request("GET", "/v1/policies").has_value()
                                           : client.attach_uplink({.name = "u" + std::to_string(number)}).has_value();
        if (fine) ++served;
      }
    });
  }
  for (auto& thread : threads)
    thread.join();
  EXPECT_EQ(served, 1000);
  EXPECT_EQ(tunnel_.uplinks().size(), 100U);
}

TEST_F(CrowdTest, a_thousand_half_sent_requests_cost_little_and_others_are_served) {
  ServerOptions options;
  options.whole.connections = 64;
  options.whole.patience = 20ms;
  options.whole.request_time = 60s;  // longer than a client waits: only who makes room helps
  start(options);
  const size_t before = open_descriptors();
  std::atomic<bool> over = false;
  std::atomic<int> sent = 0;
  // The kernel's queue before us is limited, so the crowd needs threads to wait in it.
  std::vector<std::thread> crowd;
  for (int i = 0; i < 4; ++i) {
    crowd.emplace_back([&] {
      std::vector<RawClient> clients;
      while (!over && clients.size() < 250) {
        clients.emplace_back(path_).send("POST /v1/peers HTTP/1.1\r\nContent-Length: 1000\r\n\r\n{");
        ++sent;
      }
      while (!over)
        std::this_thread::sleep_for(1ms);
    });
  }
  size_t ours = 0;
  while (sent < 1000) {
    const auto status = Client(path_).status();
    ASSERT_TRUE(status) << status.error().text;
    // 1,000 are the clients' own ends.
    ours = std::max(ours, open_descriptors() - before - std::min<size_t>(static_cast<size_t>(sent), 1000));
  }
  EXPECT_TRUE(Client(path_).status());
  over = true;
  for (auto& thread : crowd)
    thread.join();
  EXPECT_LE(ours, options.whole.connections + 64 + 8) << "descriptors of the server's";
}

// Whose configuration is longer than what fits into a socket.
TunnelSettings long_settings() {
  TunnelSettings settings = some_settings();
  for (int i = 0; i < 2000; ++i) {
    control::PeerSettings peer;
    peer.name = "peer" + std::to_string(i);
    settings.peers.push_back(peer);
  }
  return settings;
}
constexpr const char* ask_for_all = "GET /v1/config HTTP/1.1\r\n\r\n";

TEST_F(CrowdTest, readers_too_slow_for_their_answers_hold_up_nobody) {
  FakeTunnel large(long_settings());
  ServerOptions options;
  options.whole.threads = 2;
  options.whole.buffered_bytes = size_t{1} << 20;
  options.whole.answer_time = 60s;  // longer than a client waits: who is answered did not wait for them
  auto server = Server::start(large, path_, options);
  ASSERT_TRUE(server);
  std::vector<RawClient> slow;
  for (int i = 0; i < 8; ++i)
    slow.emplace_back(path_).send(ask_for_all);
  const auto answer = Client(path_).request("GET", "/v1/policies");
  EXPECT_TRUE(answer) << answer.error().text;
  // There is room for some of these answers only.
  int refused = 0;
  for (RawClient& client : slow) {
    const std::string text = client.read_all();
    EXPECT_TRUE(client.ended());
    if (text.find("try again") != std::string::npos) ++refused;
  }
  EXPECT_GT(refused, 0);
  EXPECT_LT(refused, 8);
}

// Every edit waits until it is let go on.
class BusyTunnel : public FakeTunnel {
 public:
  Result<void> change(const Edit& edit) override {
    busy.wait(true);
    return FakeTunnel::change(edit);
  }
  void go_on() {
    busy = false;
    busy.notify_all();
  }
  std::atomic<bool> busy = true;
};

TEST_F(CrowdTest, requests_that_wait_for_a_worker_count_among_what_is_buffered) {
  BusyTunnel busy;
  ServerOptions options;
  options.whole.threads = 1;
  options.whole.buffered_bytes = size_t{1} << 20;
  auto server = Server::start(busy, path_, options);
  ASSERT_TRUE(server);
  const auto request = [](size_t spaces) {
    const std::string body = R"({"uplinks": [], "exclude_uplinks": [], "peers": []})" + std::string(spaces, ' ');
    return "PUT /v1/config HTTP/1.1\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  };
  // Three wait for their answers. A fourth would fit, if they counted for nothing.
  std::vector<RawClient> clients;
  for (int i = 0; i < 3; ++i)
    clients.emplace_back(path_).send(request(200'000));
  RawClient fourth(path_);
  fourth.send(request(600'000));
  EXPECT_TRUE(fourth.contains("503 ")) << fourth.text();
  EXPECT_TRUE(fourth.contains("try again")) << fourth.text();
  busy.go_on();
  for (RawClient& client : clients)
    EXPECT_THAT(client.read_all(), HasSubstr("HTTP/1.1 200 OK"));
  // What has been answered makes room.
  RawClient later(path_);
  later.send(request(600'000));
  EXPECT_THAT(later.read_all(), HasSubstr("HTTP/1.1 200 OK"));
}

TEST_F(CrowdTest, who_does_not_read_the_answer_is_cut_off_and_counted) {
  FakeTunnel large(long_settings());
  ServerOptions options;
  options.whole.answer_time = 50ms;
  auto server = Server::start(large, path_, options);
  ASSERT_TRUE(server);
  RawClient slow(path_);
  slow.send(ask_for_all);
  uint64_t cut = 0;
  for (const auto end = std::chrono::steady_clock::now() + 20s; cut == 0 && std::chrono::steady_clock::now() < end;) {
    const auto statistics = Client(path_).request("GET", "/v1/statistics");
    if (statistics) cut = json::parse(*statistics)["api"]["connections_cut"];
  }
  EXPECT_EQ(cut, 1U);
  EXPECT_FALSE(slow.read_all().ends_with("}\n")) << "the rest never came";
}

TEST_F(CrowdTest, a_body_of_many_pieces_arrives_whole) {
  start();
  RawClient client(path_);
  const std::string body = R"({"name": "eth0", "metered": true})" + std::string(100'000, ' ');
  const std::string request = "POST /v1/uplinks HTTP/1.1\r\nContent-Length: " + std::to_string(body.size()) +
                              "\r\nExpect: 100-continue\r\n\r\n";
  for (const char c : request)
    client.send(std::string(1, c));
  ASSERT_TRUE(client.contains("100 Continue\r\n\r\n"));
  for (size_t at = 0; at < body.size(); at += 777)
    client.send(body.substr(at, 777));
  EXPECT_THAT(client.read_all(), HasSubstr("HTTP/1.1 200 OK"));
  EXPECT_EQ(client.text().find("Continue", 30), std::string::npos) << "told once";
  EXPECT_EQ(tunnel_.uplinks(), std::set<std::string>{"eth0"});
}

TEST_F(CrowdTest, ranges_are_not_given_a_thousand_times) {
  start();
  std::string ranges = "bytes=0-";
  for (int i = 0; i < 1000; ++i)
    ranges += ",0-";
  RawClient client(path_);
  client.send("GET /v1/openapi.json HTTP/1.1\r\nRange: " + ranges + "\r\n\r\n");
  EXPECT_LT(client.read_all().size(), 200'000U);
}

TEST_F(CrowdTest, the_end_lets_the_answers_under_way_be_read) {
  start();
  std::vector<RawClient> clients;
  for (int i = 0; i < 20; ++i)
    clients.emplace_back(path_).send("GET /v1/status HTTP/1.1\r\n\r\n");
  server_.reset();
  for (RawClient& client : clients) {
    const std::string text = client.read_all();
    EXPECT_TRUE(client.ended());
    // Nobody gets half an answer.
    EXPECT_TRUE(text.empty() || text.ends_with("}\n")) << text.substr(0, 100);
  }
}

// What another user gets, tried in a child that becomes one.
class OtherUser {
 public:
  OtherUser(uid_t user, gid_t group) : user_(user), group_(group) {}
  // The status line's code over the socket, or minus errno.
  [[nodiscard]] int status(const std::string& path, const std::string& method) const {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0) return -1000;
    const pid_t child = fork();
    if (child == 0) {
      const int found = try_it(path, method);
      [[maybe_unused]] const auto written = write(ends[1], &found, sizeof found);
      _exit(0);
    }
    close(ends[1]);
    int found = -1001;
    [[maybe_unused]] const auto got = read(ends[0], &found, sizeof found);
    close(ends[0]);
    waitpid(child, nullptr, 0);
    return found;
  }

 private:
  [[nodiscard]] int try_it(const std::string& path, const std::string& method) const {
    if (setgroups(0, nullptr) != 0 || setresgid(group_, group_, group_) != 0 || setresuid(user_, user_, user_) != 0) {
      return -1002;
    }
    const auto connected = connect_unix(path);
    if (!connected) return -connected.error().code;
    const std::string request = method + " /v1/uplinks HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}";
    (void)send(connected->get(), request.data(), request.size(), MSG_NOSIGNAL);
    std::array<char, 12> line{};
    if (recv(connected->get(), line.data(), line.size(), MSG_WAITALL) != 12) return -1003;
    return std::stoi(std::string(line.data() + 9, 3));
  }
  uid_t user_;
  gid_t group_;
};

class PermissionTest : public CrowdTest {
 protected:
  void SetUp() override {
    ASSERT_EQ(geteuid(), 0U) << "run it as root: it becomes other users";
    // Everybody may look into the folder, as into /run/centipede.
    ASSERT_EQ(chmod(folder_.path().c_str(), 0755), 0);
    const group* daemon = getgrnam("daemon");
    ASSERT_NE(daemon, nullptr);
    group_ = daemon->gr_gid;
  }
  mode_t mode(const std::string& path) {
    struct stat there{};
    EXPECT_EQ(stat(path.c_str(), &there), 0);
    gid_of_file_ = there.st_gid;
    return there.st_mode & 07777;
  }
  static constexpr uid_t somebody = 54321;
  gid_t group_ = 0;
  gid_t gid_of_file_ = 0;
};

TEST_F(PermissionTest, root_may_change_the_group_may_read_and_others_nothing) {
  ServerOptions options;
  options.reading_group = "daemon";
  start(options);
  const std::string reading = reading_socket_path(path_);
  EXPECT_EQ(mode(path_), 0600U);
  EXPECT_EQ(gid_of_file_, getegid());
  EXPECT_EQ(mode(reading), 0660U);
  EXPECT_EQ(gid_of_file_, group_);
  const OtherUser member(somebody, group_);
  EXPECT_EQ(member.status(reading, "GET"), 200);
  EXPECT_EQ(member.status(reading, "POST"), 403);
  EXPECT_EQ(member.status(path_, "GET"), -EACCES);
  EXPECT_EQ(member.status(path_, "POST"), -EACCES);
  const OtherUser stranger(somebody, somebody);
  EXPECT_EQ(stranger.status(reading, "GET"), -EACCES);
  EXPECT_EQ(stranger.status(path_, "GET"), -EACCES);
  EXPECT_EQ(OtherUser(0, 0).status(path_, "POST"), 400) << "understood, though not as a change";
  EXPECT_EQ(tunnel_.changes(), 0U);
}

TEST_F(PermissionTest, without_the_group_both_are_roots_alone) {
  ServerOptions options;
  options.reading_group = "no-such-group-here";
  start(options);
  EXPECT_EQ(mode(path_), 0600U);
  EXPECT_EQ(mode(reading_socket_path(path_)), 0600U);
  EXPECT_EQ(OtherUser(somebody, group_).status(reading_socket_path(path_), "GET"), -EACCES);
}

TEST_F(PermissionTest, a_client_that_may_only_read_reads) {
  ServerOptions options;
  options.reading_group = "daemon";
  start(options);
  const pid_t child = fork();
  if (child == 0) {
    if (setgroups(0, nullptr) != 0 || setresgid(group_, group_, group_) != 0 ||
        setresuid(somebody, somebody, somebody) != 0) {
      _exit(10);
    }
    Client client(path_);
    if (!client.status()) _exit(11);
    const auto attached = client.attach_uplink({.name = "eth0"});
    _exit(!attached && attached.error().code == EACCES ? 0 : 12);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 0);
}

}  // namespace
}  // namespace centipede::api
