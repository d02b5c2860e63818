// The dashboard's server over TCP, with a fake tunnel's API behind it. The page itself: tests/browser/dashboard.py.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "../api/fake_tunnel.h"
#include "api/paths.h"
#include "api/status_json.h"
#include "base/file_descriptor.h"
#include "cli/dashboard_server.h"
#include "temporary_folder.h"

namespace centipede::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

class DashboardTest : public testing::Test {
 protected:
  void start_api() {
    auto started = api::Server::start(tunnel_, api::socket_path(folder_.path(), "cp0"));
    ASSERT_TRUE(started) << started.error().text;
    api_ = std::move(*started);
  }

  void SetUp() override {
    auto started = DashboardServer::start({"cp0", folder_.path()}, 0);
    ASSERT_TRUE(started) << started.error().text;
    dashboard_ = std::move(*started);
    const std::string& url = dashboard_->url();
    ASSERT_THAT(url, testing::MatchesRegex("http://127\\.0\\.0\\.1:[0-9]+/[0-9a-f]{32}/"));
    const size_t path = url.find('/', 7);
    prefix_ = url.substr(path);
    port_ = static_cast<uint16_t>(std::stoi(url.substr(url.rfind(':', path) + 1)));
  }

  [[nodiscard]] FileDescriptor connect_to(const char* address) const {
    sockaddr_storage to{};
    const Endpoint remote{*IpAddress::parse(address), port_};
    const auto length = static_cast<socklen_t>(remote.to_sockaddr(to, false));
    FileDescriptor socket(::socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), length) != 0) socket.reset();
    return socket;
  }

  // Sends the bytes as they are and reads the answer to its end (at most ten seconds).
  [[nodiscard]] std::string raw(const std::string& bytes) const {
    const FileDescriptor connection = connect_to("127.0.0.1");
    if (!connection) return "no connection";
    (void)send(connection.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    std::string answer;
    std::array<char, 4096> buffer;
    pollfd readable{connection.get(), POLLIN, 0};
    while (poll(&readable, 1, 10000) > 0) {
      const ssize_t got = recv(connection.get(), buffer.data(), buffer.size(), 0);
      if (got <= 0) break;
      answer.append(buffer.data(), static_cast<size_t>(got));
    }
    return answer;
  }
  [[nodiscard]] std::string request(const std::string& method, const std::string& target) const {
    return raw(method + " " + target + " HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
  }
  // Of what stands below the token.
  [[nodiscard]] std::string get(const std::string& name) const { return request("GET", prefix_ + name); }

  TemporaryFolder folder_;
  api::FakeTunnel tunnel_;
  std::unique_ptr<api::Server> api_;
  std::unique_ptr<DashboardServer> dashboard_;
  std::string prefix_;
  uint16_t port_ = 0;
};

std::string status_line(const std::string& answer) {
  return answer.substr(0, answer.find("\r\n"));
}

std::string body(const std::string& answer) {
  return answer.substr(answer.find("\r\n\r\n") + 4);
}

TEST_F(DashboardTest, serves_the_page_and_its_files_whole) {
  struct File {
    std::string name;
    std::string type;
    std::string begin;
    std::string end;
  };
  for (const File& file :
       std::vector<File>{{"", "text/html", "<!doctype html>\n", "</html>\n"},
                         {"style.css", "text/css", "/* Colours", "}\n"},
                         {"script.js", "text/javascript", "// Asks the dashboard's", "\npoll();\n"}}) {
    const std::string answer = get(file.name);
    EXPECT_THAT(answer, HasSubstr("Content-Type: " + file.type + "; charset=utf-8\r\n"));
    EXPECT_THAT(body(answer), testing::AllOf(testing::StartsWith(file.begin), testing::EndsWith(file.end)));
  }
}

TEST_F(DashboardTest, every_answer_forbids_what_the_page_does_not_need) {
  for (const std::string& answer : {get(""), get("script.js"), get("v1/status"), get("nothing"), request("GET", "/")}) {
    EXPECT_THAT(answer, HasSubstr("Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; "
                                  "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
                                  "frame-ancestors 'none'\r\n"));
    EXPECT_THAT(answer, HasSubstr("X-Content-Type-Options: nosniff\r\n"));
    EXPECT_THAT(answer, HasSubstr("Cache-Control: no-store\r\n"));
    EXPECT_THAT(answer, HasSubstr("Referrer-Policy: no-referrer\r\n"));
    EXPECT_THAT(answer, Not(HasSubstr("Access-Control-Allow")));
  }
}

TEST_F(DashboardTest, without_its_token_nothing_is_shown) {
  start_api();
  std::string other = prefix_;
  other[5] = other[5] == '0' ? '1' : '0';
  for (const std::string& target : {std::string("/"), std::string("/v1/status"), other, other + "v1/status",
                                    prefix_.substr(0, prefix_.size() - 1), std::string("//") + prefix_}) {
    const std::string answer = request("GET", target);
    EXPECT_THAT(status_line(answer), HasSubstr(" 403 ")) << target;
    EXPECT_THAT(answer, HasSubstr("token"));
    EXPECT_THAT(answer, Not(HasSubstr("cp0")));
  }
  EXPECT_NE(DashboardServer::start({"cp0", folder_.path()}, 0).value()->url().substr(20), dashboard_->url().substr(20));
}

TEST_F(DashboardTest, a_request_under_a_foreign_name_is_refused) {
  start_api();
  for (const char* host : {"Host: evil.example\r\n", "Host: evil.example:8420\r\n", "Host: 127.0.0.1.evil.example\r\n",
                           "Host: localhost.evil\r\n", "Host: 127.0.0.1:80:evil\r\n", "Host: \r\n",
                           "Host: 10.0.0.1\r\n", "", "Host: 127.0.0.1\r\nHost: evil.example\r\n"}) {
    const std::string answer = raw("GET " + prefix_ + "v1/status HTTP/1.1\r\n" + host + "\r\n");
    EXPECT_THAT(status_line(answer), HasSubstr(" 403 ")) << host;
    EXPECT_THAT(answer, HasSubstr("localhost")) << "what to do";
  }
  for (const char* host : {"127.0.0.1", "127.0.0.1:8420", "localhost", "localhost:9000", "[::1]", "[::1]:8420"}) {
    const std::string answer = raw("GET " + prefix_ + "v1/status HTTP/1.1\r\nHost: " + host + "\r\n\r\n");
    EXPECT_THAT(status_line(answer), HasSubstr(" 200 ")) << host;
  }
}

TEST_F(DashboardTest, passes_on_status_and_events_and_nothing_else) {
  start_api();
  EXPECT_EQ(nlohmann::json::parse(body(get("v1/status"))), nlohmann::json::parse(api::to_json(*tunnel_.status())));
  tunnel_.events().post({.kind = "path", .peer = "office", .text = "first"});
  tunnel_.events().post({.kind = "path", .peer = "office", .text = "second"});
  const auto events = nlohmann::json::parse(body(get("v1/events?after=1")))["events"];
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0]["text"], "second");
  for (const char* after : {"", "?after=", "?after=-1", "?after=1x", "?after=99999999999999999999"})
    EXPECT_THAT(status_line(get(std::string("v1/events") + after)), HasSubstr(" 400 ")) << after;
  for (const char* method : {"POST", "PUT", "PATCH", "DELETE"}) {
    for (const char* target : {"v1/stop", "v1/uplinks", "v1/uplinks/eth0", "v1/config", "v1/reload", "v1/status"})
      EXPECT_THAT(status_line(request(method, prefix_ + target)), HasSubstr(" 403 ")) << method << target;
  }
  for (const char* target : {"v1/stop", "v1/config", "v1/peers", "v1/../v1/config", "v1/status%2f..%2fconfig", "v1/"})
    EXPECT_THAT(status_line(get(target)), HasSubstr(" 404 ")) << target;
  EXPECT_FALSE(tunnel_.stopped());
  EXPECT_EQ(tunnel_.changes(), 0U);
}

TEST_F(DashboardTest, a_tunnel_that_does_not_run_is_told_and_found_when_it_does) {
  const std::string answer = get("v1/status");
  EXPECT_THAT(status_line(answer), HasSubstr(" 503 "));
  EXPECT_THAT(answer, HasSubstr("centipede attach -i cp0"));
  start_api();
  EXPECT_THAT(status_line(get("v1/status")), HasSubstr(" 200 "));
}

TEST_F(DashboardTest, is_on_both_loopback_addresses_and_no_other) {
  EXPECT_TRUE(connect_to("127.0.0.1"));
  EXPECT_TRUE(connect_to("::1"));
  EXPECT_FALSE(connect_to("127.0.0.2")) << "bound to 127.0.0.1 alone, not to every address";
}

TEST_F(DashboardTest, a_port_in_use_is_an_error_that_names_it) {
  const auto second = DashboardServer::start({"cp0", folder_.path()}, port_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, EADDRINUSE);
  EXPECT_THAT(second.error().text, HasSubstr("127.0.0.1:" + std::to_string(port_)));
}

TEST_F(DashboardTest, garbage_bodies_and_silent_connections_keep_nobody_out) {
  start_api();
  uint32_t random = 12345;
  for (int i = 0; i < 100; ++i) {
    std::string bytes(static_cast<size_t>(i * 7 % 2000), '\0');
    for (char& byte : bytes)
      byte = static_cast<char>((random = random * 1664525 + 1013904223) >> 24);
    (void)raw((i % 2 == 0 ? "GET " + prefix_ : "POST ") + bytes + "\r\n\r\n");
  }
  EXPECT_THAT(
      status_line(raw("GET " + prefix_ + "v1/status HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc")),
      HasSubstr("HTTP/1.1 "));
  EXPECT_THAT(raw("GET /" + std::string(100000, 'x') + " HTTP/1.1\r\n\r\n"), Not(HasSubstr(" 200 ")));
  std::vector<FileDescriptor> silent;
  for (int i = 0; i < 10; ++i)
    silent.push_back(connect_to("127.0.0.1"));
  EXPECT_THAT(status_line(get("v1/status")), HasSubstr(" 200 ")) << "after those in front have been given up";
  const auto begin = std::chrono::steady_clock::now();
  dashboard_.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(2)) << "ending does not wait for them";
}

TEST_F(DashboardTest, a_browser_that_does_not_read_does_not_hold_up_the_end) {
  start_api();
  for (unsigned i = 0; i < EventLog::capacity; ++i)
    tunnel_.events().post({.kind = "path", .text = std::string(8000, 'x')});
  const FileDescriptor browser = connect_to("127.0.0.1");
  const std::string request = "GET " + prefix_ + "v1/events?after=0 HTTP/1.1\r\nHost: localhost\r\n\r\n";
  ASSERT_EQ(send(browser.get(), request.data(), request.size(), MSG_NOSIGNAL), static_cast<ssize_t>(request.size()));
  pollfd readable{browser.get(), POLLIN, 0};
  ASSERT_EQ(poll(&readable, 1, 10000), 1) << "the answer begins";
  const auto begin = std::chrono::steady_clock::now();
  dashboard_.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(2));
}

}  // namespace
}  // namespace centipede::cli
