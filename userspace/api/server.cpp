#include "api/server.h"

#include <grp.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <csignal>
#include <thread>
#include <vector>

#include "api/unix_socket.h"

namespace centipede::api {
namespace {

// Signals are the main thread's: its handlers end the tunnel. Threads that are made meanwhile inherit this.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_{};
};

// Nothing where there is no such group.
Result<std::optional<gid_t>> find_group(const std::string& name) {
  std::vector<char> buffer(1024);
  while (true) {
    group entry{};
    group* found = nullptr;
    const int code = getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
    if (code == 0) return found == nullptr ? std::nullopt : std::optional<gid_t>(entry.gr_gid);
    // Name services that are not there say so in several ways (getgrnam_r(3)).
    if (code == ENOENT || code == ESRCH || code == EBADF || code == EPERM) return std::nullopt;
    if (code != ERANGE) return fail_system("looking up the group " + name, code);
    buffer.resize(buffer.size() * 2);
  }
}

Result<UnixListener> bind_reading(const std::string& path, const std::string& group_name) {
  const auto group = find_group(group_name);
  if (!group) return std::unexpected(group.error());
  auto listener = UnixListener::bind(path);
  if (!listener || !*group) return listener;
  if (auto opened = listener->open_to_group(**group); !opened) return std::unexpected(opened.error());
  return listener;
}

}  // namespace

class Server::Impl {
 public:
  static Result<std::unique_ptr<Impl>> start(TunnelControl& tunnel, const std::string& path,
                                             const ServerOptions& options);
  ~Impl();
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

 private:
  Impl(TunnelControl& tunnel, const ServerOptions& options, FileDescriptor stop)
      : tunnel_(tunnel), router_({tunnel, options.reload, counters_, options.interface}), stop_(std::move(stop)) {}
  void tell_of_events(uint64_t newest);  // than which newer ones are told of

  TunnelControl& tunnel_;
  ApiCounters counters_;
  Router router_;
  FileDescriptor stop_;
  std::unique_ptr<Connections> whole_;
  std::unique_ptr<Connections> reading_;
  std::thread events_thread_;
};

Result<std::unique_ptr<Server::Impl>> Server::Impl::start(TunnelControl& tunnel, const std::string& path,
                                                          const ServerOptions& options) {
  FileDescriptor stop(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stop) return fail_system("opening an eventfd");
  auto whole = UnixListener::bind(path);
  if (!whole) return std::unexpected(whole.error());
  auto reading = bind_reading(reading_socket_path(path), options.reading_group);
  if (!reading) return std::unexpected(reading.error());
  std::unique_ptr<Impl> impl(new Impl(tunnel, options, std::move(stop)));
  const SignalsBlocked blocked;
  const EventLog& events = tunnel.events();
  auto first = Connections::start(impl->router_, events, impl->counters_, std::move(*whole), true, options.whole);
  if (!first) return std::unexpected(first.error());
  impl->whole_ = std::move(*first);
  auto second = Connections::start(impl->router_, events, impl->counters_, std::move(*reading), false, options.reading);
  if (!second) return std::unexpected(second.error());
  impl->reading_ = std::move(*second);
  impl->events_thread_ =
      std::thread([server = impl.get(), newest = events.newest()] { server->tell_of_events(newest); });
  return impl;
}

Server::Impl::~Impl() {
  eventfd_write(stop_.get(), 1);
  if (!events_thread_.joinable()) return;
  tunnel_.events().interrupt();
  events_thread_.join();
}

void Server::Impl::tell_of_events(uint64_t newest) {
  const EventLog& events = tunnel_.events();
  pollfd stopped{stop_.get(), POLLIN, 0};
  while (poll(&stopped, 1, 0) <= 0) {
    const bool came = events.wait_after(newest, std::chrono::seconds(60));
    const uint64_t now = events.newest();
    if (now != std::exchange(newest, now)) {
      whole_->events_came();
      reading_->events_came();
    }
    // Interrupted for good: its tunnel ends.
    if (!came && poll(&stopped, 1, 100) > 0) return;
  }
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;

Result<std::unique_ptr<Server>> Server::start(TunnelControl& control, const std::string& socket_path,
                                              const ServerOptions& options) {
  auto impl = Impl::start(control, socket_path, options);
  if (!impl) return std::unexpected(impl.error());
  return std::unique_ptr<Server>(new Server(std::move(*impl)));
}

}  // namespace centipede::api
