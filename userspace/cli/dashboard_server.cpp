#include "cli/dashboard_server.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "api/client.h"
#include "api/paths.h"
#include "base/address.h"
#include "base/file_descriptor.h"
#include "cli/dashboard_files.h"
#include "cli/socket_stream.h"

namespace centipede::cli {
namespace {

using httplib::Request;
using httplib::Response;

constexpr unsigned thread_count = 8;
constexpr int backlog = 64;
constexpr size_t head_bytes = size_t{16} * 1024;
constexpr StreamLimits stream_limits{std::chrono::milliseconds(2000), std::chrono::milliseconds(5000), head_bytes};

Result<FileDescriptor> listen_on(const Endpoint& local) {
  const std::string attempt = "listening on " + local.text();
  const int family = local.address.is_v4() ? AF_INET : AF_INET6;
  FileDescriptor socket(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return fail_system(attempt);
  // A dashboard that has just ended leaves connections that would keep the port for a minute.
  const int one = 1;
  setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  sockaddr_storage address{};
  const auto length = static_cast<socklen_t>(local.to_sockaddr(address, false));
  if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), length) != 0 ||
      listen(socket.get(), backlog) != 0) {
    return fail_system(attempt);
  }
  return socket;
}

Result<uint16_t> port_of(const FileDescriptor& socket) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0) return fail_system("getsockname");
  const auto local = Endpoint::from_sockaddr(reinterpret_cast<const sockaddr*>(&address));
  return local ? local->port : uint16_t{0};
}

struct Listeners {
  std::vector<FileDescriptor> sockets;
  uint16_t port = 0;
};

// 127.0.0.1 and, where this machine has it, ::1.
Result<Listeners> listen_on_loopback(uint16_t port) {
  Listeners listeners;
  auto v4 = listen_on({*IpAddress::parse("127.0.0.1"), port});
  if (!v4) return std::unexpected(v4.error());
  const auto bound = port_of(*v4);
  if (!bound) return std::unexpected(bound.error());
  listeners.port = *bound;
  listeners.sockets.push_back(std::move(*v4));
  auto v6 = listen_on({*IpAddress::parse("::1"), listeners.port});
  if (v6) {
    listeners.sockets.push_back(std::move(*v6));
  } else if (v6.error().code != EAFNOSUPPORT && v6.error().code != EADDRNOTAVAIL) {
    return std::unexpected(v6.error());
  }
  return listeners;
}

// Of the port, no matter which, since it may be forwarded.
bool names_loopback(std::string host) {
  const size_t port = host.rfind(':');
  if (port != std::string::npos && host.find_first_not_of("0123456789", port + 1) == std::string::npos) {
    host.resize(port);
  }
  return host == "127.0.0.1" || host == "localhost" || host == "[::1]";
}

void refuse(Response& response, int status, const std::string& why) {
  const nlohmann::json body{{"error", why}};
  response.status = status;
  response.set_content(body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n", "application/json");
}

httplib::Headers every_answer() {
  return {
      {"Cache-Control", "no-store"},
      {"Content-Security-Policy",
       "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
       "form-action 'none'; frame-ancestors 'none'"},
      {"Cross-Origin-Opener-Policy", "same-origin"},
      {"Cross-Origin-Resource-Policy", "same-origin"},
      {"Referrer-Policy", "no-referrer"},
      {"X-Content-Type-Options", "nosniff"},
  };
}

}  // namespace

class DashboardServer::Impl : private httplib::Server {
 public:
  Impl(DashboardTunnel tunnel, Listeners listeners, FileDescriptor stop_event);
  ~Impl() override;
  [[nodiscard]] const std::string& url() const { return url_; }

 private:
  void add_routes();
  [[nodiscard]] std::optional<std::string> refusal(const Request& request) const;
  [[nodiscard]] Result<std::string> ask(const std::string& target) const;
  void pass_on(Response& response, const std::string& target) const;
  void serve();
  void serve_connection(FileDescriptor connection);

  DashboardTunnel tunnel_;
  Listeners listeners_;
  FileDescriptor stop_event_;
  std::string prefix_;  // "/<token>/"
  std::string url_;
  std::vector<std::thread> threads_;
};

DashboardServer::Impl::Impl(DashboardTunnel tunnel, Listeners listeners, FileDescriptor stop_event)
    : tunnel_(std::move(tunnel)), listeners_(std::move(listeners)), stop_event_(std::move(stop_event)) {
  std::array<uint8_t, 16> token{};
  randombytes_buf(token.data(), token.size());
  std::array<char, 2 * token.size() + 1> digits{};
  sodium_bin2hex(digits.data(), digits.size(), token.data(), token.size());
  prefix_ = std::string("/") + digits.data() + "/";
  url_ = "http://127.0.0.1:" + std::to_string(listeners_.port) + prefix_;
  add_routes();
  for (unsigned i = 0; i < thread_count; ++i)
    threads_.emplace_back([this] { serve(); });
}

DashboardServer::Impl::~Impl() {
  const uint64_t one = 1;
  // An eventfd takes eight bytes unless it is full, and a full one wakes the threads just as well.
  [[maybe_unused]] const ssize_t written = write(stop_event_.get(), &one, sizeof one);
  for (auto& thread : threads_)
    thread.join();
}

// Why the request is none of ours, or nothing.
std::optional<std::string> DashboardServer::Impl::refusal(const Request& request) const {
  if (request.get_header_value_count("Host") != 1 || !names_loopback(request.get_header_value("Host"))) {
    return "this page is for 127.0.0.1, localhost and [::1] only: open it under one of these names";
  }
  // In constant time: how long the answer takes tells nothing of the token.
  if (request.path.size() < prefix_.size() || sodium_memcmp(request.path.data(), prefix_.data(), prefix_.size()) != 0) {
    return "the address lacks the token: open it as `centipede dashboard` printed it when it was started";
  }
  if (request.method != "GET" && request.method != "HEAD") {
    return "the dashboard shows and changes nothing: use the command line";
  }
  return std::nullopt;
}

void DashboardServer::Impl::add_routes() {
  set_payload_max_length(0);
  set_default_headers(every_answer());
  set_pre_routing_handler([this](const Request& request, Response& response) {
    const auto why = refusal(request);
    if (!why) return HandlerResponse::Unhandled;
    refuse(response, 403, *why);
    return HandlerResponse::Handled;
  });
  const auto file = [this](const char* name, std::string_view content, const char* type) {
    Get("/[0-9a-f]+/" + std::string(name), [content, type](const Request&, Response& response) {
      response.set_content(content.data(), content.size(), type);
    });
  };
  file("", dashboard_page_html, "text/html; charset=utf-8");
  file("style\\.css", dashboard_style_css, "text/css; charset=utf-8");
  file("script\\.js", dashboard_script_js, "text/javascript; charset=utf-8");
  Get("/[0-9a-f]+/v1/status", [this](const Request&, Response& response) { pass_on(response, "/v1/status"); });
  Get("/[0-9a-f]+/v1/events", [this](const Request& request, Response& response) {
    const std::string after = request.get_param_value("after");
    constexpr size_t longest = 19;  // digits of a number of 64 bits, less one
    if (after.empty() || after.size() > longest || after.find_first_not_of("0123456789") != std::string::npos) {
      return refuse(response, 400, "after must be an event's number, 0 for all of them");
    }
    pass_on(response, "/v1/events?follow=0&after=" + after);
  });
  set_error_handler(HandlerWithResponse([](const Request&, Response& response) {
    if (!response.body.empty()) return HandlerResponse::Unhandled;
    refuse(response, response.status,
           response.status == 404 ? "there is no such page" : "the request is not understood");
    return HandlerResponse::Handled;
  }));
  set_exception_handler([](const Request&, Response& response, const std::exception_ptr&) {
    refuse(response, 500, "the request failed inside the dashboard");
  });
}

// Over the socket that only reads. A daemon without it, or one that has just ended, may have the other.
Result<std::string> DashboardServer::Impl::ask(const std::string& target) const {
  const std::string path = api::socket_path(tunnel_.runtime_directory, tunnel_.interface);
  auto answer = api::Client(api::reading_socket_path(path)).request("GET", target);
  if (answer || !api::not_running(answer.error())) return answer;
  return api::Client(path).request("GET", target);
}

void DashboardServer::Impl::pass_on(Response& response, const std::string& target) const {
  auto answer = ask(target);
  if (answer) return response.set_content(*answer, "application/json");
  const Error& error = answer.error();
  const std::string& name = tunnel_.interface;
  if (api::not_running(error)) {
    return refuse(response, 503, name + " does not run: start it with `centipede attach -i " + name + "`");
  }
  if (error.code == EACCES || error.code == EPERM) {
    return refuse(response, 503,
                  name + ": only root and the group centipede may ask its daemon: start the dashboard with sudo");
  }
  refuse(response, 502, name + ": " + error.text);
}

// Each thread takes one connection at a time straight from a listen queue: no queue of our own that could grow.
void DashboardServer::Impl::serve() {
  std::vector<pollfd> waiting{{stop_event_.get(), POLLIN, 0}};
  for (const auto& socket : listeners_.sockets)
    waiting.push_back({socket.get(), POLLIN, 0});
  while (true) {
    if (poll(waiting.data(), waiting.size(), -1) < 0) continue;  // EINTR
    if (waiting[0].revents != 0) return;
    for (size_t i = 1; i < waiting.size(); ++i) {
      if (waiting[i].revents == 0) continue;
      FileDescriptor connection(accept4(waiting[i].fd, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (connection) {
        serve_connection(std::move(connection));
      } else if (errno != EAGAIN && errno != ECONNABORTED) {
        // Out of descriptors or memory: the connection stays in the queue, so poll() would return at once.
        poll(waiting.data(), 1, 100);
      }
    }
  }
}

void DashboardServer::Impl::serve_connection(FileDescriptor connection) {
  SocketStream stream(std::move(connection), stop_event_.get(), stream_limits);
  bool closed = false;
  try {
    process_request(stream, true, closed, nullptr);
  } catch (const std::exception&) {
    closed = true;  // whatever the library throws over a request ends that connection alone
  }
  // Unread bytes at close() would make the kernel drop the answer on its way to the browser.
  ::shutdown(stream.socket(), SHUT_WR);
  std::array<char, 4096> rest;
  for (int i = 0; i < 64 && recv(stream.socket(), rest.data(), rest.size(), MSG_DONTWAIT) > 0; ++i) {
  }
}

DashboardServer::DashboardServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
DashboardServer::~DashboardServer() = default;

const std::string& DashboardServer::url() const {
  return impl_->url();
}

Result<std::unique_ptr<DashboardServer>> DashboardServer::start(const DashboardTunnel& tunnel, uint16_t port) {
  if (auto ready = crypto::initialise(); !ready) return std::unexpected(ready.error());
  FileDescriptor stop_event(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stop_event) return fail_system("opening an eventfd");
  auto listeners = listen_on_loopback(port);
  if (!listeners) return std::unexpected(listeners.error());
  auto impl = std::make_unique<Impl>(tunnel, std::move(*listeners), std::move(stop_event));
  return std::unique_ptr<DashboardServer>(new DashboardServer(std::move(impl)));
}

}  // namespace centipede::cli
