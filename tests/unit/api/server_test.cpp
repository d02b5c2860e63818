#include "api/server.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "api/client.h"
#include "api/paths.h"
#include "api/unix_socket.h"
#include "fake_tunnel.h"
#include "temporary_folder.h"

namespace centipede::api {
namespace {

class ServerTest : public testing::Test {
 protected:
  ServerTest() : path_(folder_.file("cp0.sock")) {}

  void start(const ServerOptions& options = {}) {
    auto started = Server::start(tunnel_, path_, options);
    ASSERT_TRUE(started) << started.error().text;
    server_ = std::move(*started);
  }

  // Sends the bytes as they are and reads the answer to its end (at most ten seconds).
  std::string raw(const std::string& bytes) {
    auto connection = connect_unix(path_);
    if (!connection) return connection.error().text;
    (void)send(connection->get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    shutdown(connection->get(), SHUT_WR);
    return read_all(connection->get());
  }

  static std::string read_all(int fd) {
    std::string answer;
    std::array<char, 4096> buffer;
    pollfd readable{fd, POLLIN, 0};
    while (poll(&readable, 1, 10000) > 0) {
      const ssize_t got = recv(fd, buffer.data(), buffer.size(), 0);
      if (got <= 0) break;
      answer.append(buffer.data(), static_cast<size_t>(got));
    }
    return answer;
  }

  TemporaryFolder folder_;
  std::string path_;
  FakeTunnel tunnel_;
  std::unique_ptr<Server> server_;
};

std::string post(const std::string& target, const std::string& body, const std::string& headers = "") {
  return "POST " + target + " HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
         headers + "\r\n" + body;
}

int status_code(const std::string& answer) {
  return answer.starts_with("HTTP/1.1 ") && answer.size() > 12 ? std::stoi(answer.substr(9, 3)) : 0;
}

bool has_error_text(const std::string& answer) {
  const size_t body = answer.find("\r\n\r\n");
  if (body == std::string::npos) return false;
  const auto said = nlohmann::json::parse(answer.substr(body + 4), nullptr, false);
  return said.is_object() && said.contains("error") && !said["error"].get<std::string>().empty();
}

TEST_F(ServerTest, status_arrives_whole) {
  start();
  Client client(path_);
  const auto status = client.status();
  ASSERT_TRUE(status) << status.error().text;
  EXPECT_EQ(status->name, "cp0");
  EXPECT_EQ(status->peers.size(), 2U);
  const auto text = client.status_text();
  ASSERT_TRUE(text);
  EXPECT_TRUE(nlohmann::json::accept(*text));
}

TEST_F(ServerTest, uplinks_are_attached_and_detached_by_name) {
  start();
  Client client(path_);
  EXPECT_TRUE(client.attach_uplink({.name = "eth0"}));
  EXPECT_TRUE(client.attach_uplink({.name = "a.b_c-1+#?&"}));
  EXPECT_EQ(tunnel_.uplinks(), (std::set<std::string>{"eth0", "a.b_c-1+#?&"}));
  const auto twice = client.attach_uplink({.name = "eth0"});
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error().text, "eth0 is attached already");
  EXPECT_FALSE(client.attach_uplink({.name = "missing0"}));
  EXPECT_TRUE(client.detach_uplink("a.b_c-1+#?&"));
  EXPECT_TRUE(client.detach_uplink("eth0"));
  EXPECT_FALSE(client.detach_uplink("eth0"));
  EXPECT_TRUE(tunnel_.uplinks().empty());
}

TEST_F(ServerTest, stop_is_answered_and_carried_out) {
  start();
  EXPECT_TRUE(Client(path_).stop());
  EXPECT_TRUE(tunnel_.stopped());
}

TEST_F(ServerTest, the_sockets_go_with_the_server) {
  start();
  EXPECT_TRUE(Client(path_).reachable());
  EXPECT_TRUE(std::filesystem::exists(reading_socket_path(path_)));
  server_.reset();
  EXPECT_FALSE(std::filesystem::exists(path_));
  EXPECT_FALSE(std::filesystem::exists(reading_socket_path(path_)));
  const auto status = Client(path_).status();
  ASSERT_FALSE(status);
  EXPECT_TRUE(not_running(status.error())) << status.error().text;
}

TEST_F(ServerTest, a_stale_socket_is_replaced_and_a_live_one_or_a_file_is_not) {
  {
    auto listener = UnixListener::bind(path_);
    ASSERT_TRUE(listener);
    // As a killed daemon leaves it: the file without anybody behind it.
    std::filesystem::create_hard_link(path_, folder_.file("stale.sock"));
  }
  const std::string stale = folder_.file("stale.sock");
  EXPECT_TRUE(std::filesystem::exists(stale));
  EXPECT_FALSE(Client(stale).reachable());
  {
    FakeTunnel own;
    EXPECT_TRUE(Server::start(own, stale));
  }
  start();
  FakeTunnel other;
  const auto second = Server::start(other, path_);
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().text.find("another daemon"), std::string::npos) << second.error().text;
  EXPECT_TRUE(Client(path_).reachable());
  std::ofstream(folder_.file("file.sock")) << "precious";
  EXPECT_FALSE(Server::start(other, folder_.file("file.sock")));
  EXPECT_TRUE(std::filesystem::exists(folder_.file("file.sock")));
}

TEST_F(ServerTest, a_path_too_long_for_a_socket_is_a_clear_error) {
  const auto refused = Server::start(tunnel_, folder_.file(std::string(120, 'x')));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().text.find("longer than"), std::string::npos) << refused.error().text;
}

TEST_F(ServerTest, hostile_bodies_are_answered_with_400_and_change_nothing) {
  start();
  const std::vector<std::string> bodies{"",
                                        "{",
                                        "null",
                                        "[]",
                                        "\"eth0\"",
                                        "{}",
                                        R"({"name": 5})",
                                        R"({"name": null})",
                                        R"({"name": ""})",
                                        R"({"name": "../../etc"})",
                                        R"({"name": "sixteen-letters!"})",
                                        R"({"name": "a b"})",
                                        R"({"name": "a\u0000b"})",
                                        R"({"name": "eth0", "more": 1})",
                                        "{\"name\": \"\xff\xfe\"}",
                                        std::string(60000, '['),
                                        std::string(60000, '\0')};
  for (const auto& body : bodies) {
    const std::string answer = raw(post("/v1/uplinks", body));
    EXPECT_EQ(status_code(answer), 400) << body.substr(0, 40);
    EXPECT_TRUE(has_error_text(answer)) << answer;
  }
  const std::string multipart = "Content-Type: multipart/form-data; boundary=x\r\n";
  EXPECT_EQ(status_code(raw(post("/v1/uplinks", "--x\r\n", multipart))), 400);
  const std::string pieces = "POST /v1/uplinks HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"nam\r\n";
  EXPECT_EQ(status_code(raw(pieces)), 411);
  // A genuine body, packed: what unpacks could be a thousand times longer than what was sent.
  const std::string packed(
      "\x1f\x8b\x08\x00\x00\x00\x00\x00"
      "\x02\x03\xab\x56\xca\x4b\xcc\x4d"
      "\x55\xb2\x52\x50\x4a\x2d\xc9\x30"
      "\x50\xaa\x05\x00\x69\xa8\x6f\x1c"
      "\x10\x00\x00\x00",
      36);
  EXPECT_EQ(status_code(raw(post("/v1/uplinks", packed, "Content-Encoding: gzip\r\n"))), 415);
  EXPECT_TRUE(tunnel_.uplinks().empty());
}

TEST_F(ServerTest, too_long_bodies_lines_and_headers_are_refused) {
  ServerOptions options;
  options.whole.body_bytes = 65536;
  start(options);
  const std::string ok = R"({"name": "eth0"})";
  EXPECT_EQ(status_code(raw(post("/v1/uplinks", ok + std::string(70000, ' ')))), 413);
  EXPECT_EQ(status_code(raw("POST /v1/uplinks HTTP/1.1\r\nContent-Length: 99999999999999\r\n\r\n")), 413);
  EXPECT_NE(status_code(raw("GET /" + std::string(9000, 'x') + " HTTP/1.1\r\n\r\n")), 200);
  EXPECT_NE(status_code(raw("GET /" + std::string(300000, 'x'))), 200);
  EXPECT_NE(status_code(raw("GET /v1/status HTTP/1.1\r\nX: " + std::string(9000, 'x') + "\r\n\r\n")), 200);
  std::string many = "GET /v1/status HTTP/1.1\r\n";
  while (many.size() < 300000)
    many += "X-Header: value\r\n";
  EXPECT_NE(status_code(raw(many + "\r\n")), 200);
  EXPECT_TRUE(tunnel_.uplinks().empty());
  EXPECT_TRUE(Client(path_).status()) << "and the server lives";
}

TEST_F(ServerTest, unknown_resources_and_methods_get_an_error_text) {
  start();
  for (const char* request :
       {"GET / HTTP/1.1\r\n\r\n", "GET /v2/status HTTP/1.1\r\n\r\n", "PUT /v1/stop HTTP/1.1\r\n\r\n",
        "GET /v1/stop HTTP/1.1\r\n\r\n", "DELETE /v1/uplinks/ HTTP/1.1\r\n\r\n",
        "DELETE /v1/uplinks/a%2Fb HTTP/1.1\r\n\r\n", "DELETE /v1/uplinks/%00 HTTP/1.1\r\n\r\n"}) {
    const std::string answer = raw(request);
    EXPECT_GE(status_code(answer), 400) << request;
    EXPECT_LT(status_code(answer), 500) << request;
    EXPECT_TRUE(has_error_text(answer)) << request << answer;
  }
  EXPECT_FALSE(tunnel_.stopped());
}

TEST_F(ServerTest, an_exception_inside_is_a_500_for_that_request_alone) {
  start();
  const auto failed = Client(path_).detach_uplink("throws0");
  ASSERT_FALSE(failed);
  EXPECT_NE(failed.error().text.find("inside the daemon"), std::string::npos) << failed.error().text;
  EXPECT_TRUE(Client(path_).status());
}

TEST_F(ServerTest, garbage_does_not_disturb_it) {
  start();
  uint32_t random = 12345;
  for (int i = 0; i < 300; ++i) {
    std::string bytes(static_cast<size_t>(i * 7 % 2000), '\0');
    for (char& byte : bytes)
      byte = static_cast<char>((random = random * 1664525 + 1013904223) >> 24);
    (void)raw((i % 3 == 0 ? "GET /v1/status HTTP/1.1\r\n" : i % 3 == 1 ? "POST " : "") + bytes + "\r\n\r\n");
  }
  EXPECT_TRUE(Client(path_).status());
  EXPECT_FALSE(tunnel_.stopped());
}

TEST_F(ServerTest, slow_clients_are_cut_off_and_do_not_keep_others_out) {
  ServerOptions options;
  options.whole.request_time = std::chrono::milliseconds(300);
  start(options);
  std::vector<FileDescriptor> slow;
  for (unsigned i = 0; i < 3 * options.whole.threads; ++i) {
    auto connection = connect_unix(path_);
    ASSERT_TRUE(connection);
    (void)send(connection->get(), "GET /v1/st", 10, MSG_NOSIGNAL);
    slow.push_back(std::move(*connection));
  }
  const auto status = Client(path_).status();
  EXPECT_TRUE(status) << status.error().text;
  // One byte at a time does not extend the time either.
  auto dripping = connect_unix(path_);
  ASSERT_TRUE(dripping);
  const auto begin = std::chrono::steady_clock::now();
  pollfd closed{dripping->get(), POLLIN, 0};
  while (poll(&closed, 1, 20) == 0 && std::chrono::steady_clock::now() - begin < std::chrono::seconds(10)) {
    if (send(dripping->get(), "G", 1, MSG_NOSIGNAL) < 0) break;
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
}

TEST_F(ServerTest, ending_does_not_wait_for_idle_connections) {
  start();
  std::vector<FileDescriptor> idle;
  for (int i = 0; i < 20; ++i)
    idle.push_back(std::move(*connect_unix(path_)));
  const auto begin = std::chrono::steady_clock::now();
  server_.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(3));
}

TEST_F(ServerTest, a_client_that_leaves_before_the_answer_harms_nobody) {
  start();
  for (int i = 0; i < 50; ++i) {
    auto connection = connect_unix(path_);
    ASSERT_TRUE(connection);
    (void)send(connection->get(), "GET /v1/status HTTP/1.1\r\n\r\n", 27, MSG_NOSIGNAL);
  }
  EXPECT_TRUE(Client(path_).status());
}

TEST(Client, an_answer_that_is_no_centipedes_is_an_error) {
  TemporaryFolder folder;
  const std::string path = folder.file("x.sock");
  auto listener = UnixListener::bind(path);
  ASSERT_TRUE(listener);
  for (const std::string& answer :
       {std::string("garbage\r\n\r\n"), std::string(""), std::string("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"),
        std::string("HTTP/1.1 500 No\r\nContent-Length: 4\r\n\r\nnope")}) {
    std::thread daemon([&] {
      pollfd waiting{listener->fd(), POLLIN, 0};
      poll(&waiting, 1, 10000);
      const FileDescriptor connection(accept(listener->fd(), nullptr, nullptr));
      std::array<char, 1000> request;
      (void)recv(connection.get(), request.data(), request.size(), 0);
      (void)send(connection.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
    });
    const auto status = Client(path).status();
    daemon.join();
    ASSERT_FALSE(status) << answer;
    EXPECT_EQ(status.error().code, EPROTO) << status.error().text;
  }
}

}  // namespace
}  // namespace centipede::api
