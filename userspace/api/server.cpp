#include "api/server.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <csignal>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "api/paths.h"
#include "api/socket_stream.h"
#include "api/status_json.h"
#include "api/unix_socket.h"

namespace centipede::api {
namespace {

// Request line and headers, beyond the body.
constexpr size_t head_bytes = size_t{32} * 1024;

using httplib::Request;
using httplib::Response;

void answer(Response& response, const std::string& json, int status = 200) {
  response.status = status;
  response.set_content(json + "\n", "application/json");
}

void refuse(Response& response, int status, const std::string& why) {
  const nlohmann::json body{{"error", why}};
  answer(response, body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace), status);
}

const char* reason_of(int status) {
  switch (status) {
    case 400:
      return "the request is not understood";
    case 404:
      return "no such resource: there are /v1/status, /v1/uplinks and /v1/stop";
    case 413:
      return "the body is too long";
    case 414:
      return "the request line is too long";
    default:
      return "the request failed";
  }
}

// The name in {"name": "eth0"}, or nothing, with the refusal written.
std::optional<std::string> uplink_name(const Request& request, Response& response) {
  const auto body = nlohmann::json::parse(request.body, nullptr, false);
  const bool has_name = body.is_object() && body.size() == 1 && body.contains("name") && body["name"].is_string();
  if (!has_name) {
    refuse(response, 400, R"(the body must be {"name": "<uplink>"})");
    return std::nullopt;
  }
  auto name = body["name"].get<std::string>();
  if (!valid_interface_name(name)) {
    refuse(response, 400, "no valid uplink name: 1 to 15 visible characters without '/', ':' and '%'");
    return std::nullopt;
  }
  return name;
}

void answer_outcome(Response& response, const Result<void>& outcome) {
  if (outcome) return answer(response, "{}");
  refuse(response, outcome.error().code == ENOENT || outcome.error().code == ENODEV ? 404 : 409, outcome.error().text);
}

}  // namespace

class Server::Impl : private httplib::Server {
 public:
  Impl(TunnelControl& control, UnixListener listener, FileDescriptor stop_event, const ServerLimits& limits);
  ~Impl() override;

 private:
  void add_routes();
  void serve();
  void serve_connection(FileDescriptor connection);

  TunnelControl& control_;
  UnixListener listener_;
  FileDescriptor stop_event_;
  ServerLimits limits_;
  std::vector<std::thread> threads_;
};

Server::Impl::Impl(TunnelControl& control, UnixListener listener, FileDescriptor stop_event, const ServerLimits& limits)
    : control_(control), listener_(std::move(listener)), stop_event_(std::move(stop_event)), limits_(limits) {
  add_routes();
  // Signals are the main thread's: its handlers end the tunnel.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  for (unsigned i = 0; i < limits_.threads; ++i)
    threads_.emplace_back([this] { serve(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Server::Impl::~Impl() {
  const uint64_t one = 1;
  // An eventfd takes eight bytes unless it is full, and a full one wakes the threads just as well.
  [[maybe_unused]] const ssize_t written = write(stop_event_.get(), &one, sizeof one);
  for (auto& thread : threads_)
    thread.join();
}

void Server::Impl::add_routes() {
  set_payload_max_length(limits_.body_bytes);
  set_pre_routing_handler([](const Request& request, Response& response) {
    // Neither is of use here, and both let a short body become a long one.
    const bool packed = request.has_header("Content-Encoding");
    if (!packed && !request.is_multipart_form_data()) return HandlerResponse::Unhandled;
    refuse(response, 400, "the body must be plain JSON");
    return HandlerResponse::Handled;
  });
  Get("/v1/status", [this](const Request&, Response& response) { answer(response, to_json(control_.status())); });
  Post("/v1/uplinks", [this](const Request& request, Response& response) {
    const auto name = uplink_name(request, response);
    if (name) answer_outcome(response, control_.attach_uplink({.name = *name}));
  });
  Delete("/v1/uplinks/([^/]+)", [this](const Request& request, Response& response) {
    const std::string name = request.matches[1];
    if (!valid_interface_name(name)) return refuse(response, 400, "no valid uplink name");
    answer_outcome(response, control_.detach_uplink(name));
  });
  Post("/v1/stop", [this](const Request&, Response& response) {
    control_.stop();
    answer(response, "{}");
  });
  set_error_handler(HandlerWithResponse([](const Request&, Response& response) {
    if (!response.body.empty()) return HandlerResponse::Unhandled;
    refuse(response, response.status, reason_of(response.status));
    return HandlerResponse::Handled;
  }));
  set_exception_handler([](const Request&, Response& response, const std::exception_ptr&) {
    refuse(response, 500, "the request failed inside the daemon");
  });
}

// Each thread takes one connection at a time straight from the listen queue: no queue of our own that could grow.
void Server::Impl::serve() {
  while (true) {
    std::array<pollfd, 2> waiting{{{listener_.fd(), POLLIN, 0}, {stop_event_.get(), POLLIN, 0}}};
    if (poll(waiting.data(), waiting.size(), -1) < 0) continue;  // EINTR
    if (waiting[1].revents != 0) return;
    FileDescriptor connection(accept4(listener_.fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (connection) {
      serve_connection(std::move(connection));
    } else if (errno != EAGAIN && errno != ECONNABORTED) {
      // Out of descriptors or memory: the connection stays in the queue, so poll() would return at once. Wait a little.
      poll(&waiting[1], 1, 100);
    }
  }
}

void Server::Impl::serve_connection(FileDescriptor connection) {
  SocketStream stream(std::move(connection), stop_event_.get(),
                      {limits_.request_time, limits_.answer_time, head_bytes + limits_.body_bytes});
  bool closed = false;
  try {
    process_request(stream, true, closed, nullptr);
  } catch (const std::exception&) {
    closed = true;  // whatever the library throws over a request ends that connection alone
  }
  // Unread bytes at close() would make the kernel drop the answer on its way to the client.
  ::shutdown(stream.socket(), SHUT_WR);
  std::array<char, 4096> rest;
  for (int i = 0; i < 64 && recv(stream.socket(), rest.data(), rest.size(), MSG_DONTWAIT) > 0; ++i) {
  }
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;

Result<std::unique_ptr<Server>> Server::start(TunnelControl& control, const std::string& socket_path,
                                              const ServerLimits& limits) {
  FileDescriptor stop_event(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stop_event) return fail_system("opening an eventfd");
  auto listener = UnixListener::bind(socket_path);
  if (!listener) return std::unexpected(listener.error());
  auto impl = std::make_unique<Impl>(control, std::move(*listener), std::move(stop_event), limits);
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

}  // namespace centipede::api
