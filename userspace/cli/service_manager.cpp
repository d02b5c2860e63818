#include "cli/service_manager.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <sstream>

namespace centipede::cli {
namespace {

constexpr std::string_view queue_name = "tun";
constexpr int first_descriptor = 3;
constexpr uint64_t most_descriptors = 1024;
constexpr timeval send_patience{2, 0};

std::string take_variable(const char* name) {
  const char* value = std::getenv(name);
  std::string text = value == nullptr ? "" : value;
  (void)unsetenv(name);
  return text;
}

std::optional<uint64_t> number(const std::string& text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

ServiceManager ServiceManager::from_environment() {
  ServiceManager manager;
  manager.socket_ = take_variable("NOTIFY_SOCKET");
  const std::string patience = take_variable("WATCHDOG_USEC");
  const std::string whose = take_variable("WATCHDOG_PID");
  if (whose.empty() || number(whose) == static_cast<uint64_t>(getpid()))
    manager.patience_ = std::chrono::microseconds(number(patience).value_or(0));
  manager.take_descriptors();
  return manager;
}

// sd_listen_fds(3): descriptors from 3 on, and their names. Ours are the queues alone; others are closed.
void ServiceManager::take_descriptors() {
  const auto count = number(take_variable("LISTEN_FDS"));
  const bool for_us = number(take_variable("LISTEN_PID")) == static_cast<uint64_t>(getpid());
  std::istringstream names(take_variable("LISTEN_FDNAMES"));
  if (!count || !for_us || *count > most_descriptors) return;
  for (int fd = first_descriptor; fd < first_descriptor + static_cast<int>(*count); ++fd) {
    std::string name;
    (void)std::getline(names, name, ':');
    FileDescriptor descriptor(fd);
    if (name == queue_name && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0) kept_queues_.push_back(std::move(descriptor));
  }
}

void ServiceManager::keep_queues(const std::vector<int>& queues) const {
  send("FDSTORE=1\nFDNAME=" + std::string(queue_name), queues);
}

void ServiceManager::forget_queues() const {
  send("FDSTOREREMOVE=1\nFDNAME=" + std::string(queue_name));
}

void ServiceManager::ready(std::string_view status) const {
  send("READY=1\nSTATUS=" + std::string(status));
}

void ServiceManager::stopping() const {
  send("STOPPING=1");
}

void ServiceManager::alive() const {
  send("WATCHDOG=1");
}

void ServiceManager::send(const std::string& text, const std::vector<int>& descriptors) const {
  if (socket_.empty()) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_.size() >= sizeof address.sun_path) return;
  std::memcpy(address.sun_path, socket_.data(), socket_.size());
  if (socket_.front() == '@') address.sun_path[0] = '\0';  // an abstract name
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket_.size());
  iovec content{const_cast<char*>(text.data()), text.size()};  // sendmsg only reads it
  msghdr message{.msg_name = &address, .msg_namelen = length, .msg_iov = &content, .msg_iovlen = 1};
  const size_t bytes = descriptors.size() * sizeof(int);
  std::vector<uint8_t> control(descriptors.empty() ? 0 : CMSG_SPACE(bytes));
  if (!descriptors.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    *header = {.cmsg_len = CMSG_LEN(bytes), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    std::memcpy(CMSG_DATA(header), descriptors.data(), bytes);
  }
  const FileDescriptor socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  // One that does not read keeps nobody waiting for ever.
  (void)setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &send_patience, sizeof send_patience);
  if (!socket || sendmsg(socket.get(), &message, MSG_NOSIGNAL) < 0) {
    spdlog::warn("the service manager cannot be told \"{}\": {}: {}", text.substr(0, text.find('\n')), socket_,
                 std::strerror(errno));
  }
}

Watchdog::Watchdog(const ServiceManager& manager, TunnelControl& tunnel) : manager_(manager), tunnel_(tunnel) {
  if (manager_.patience().count() == 0) return;
  thread_ = std::jthread([this](const std::stop_token& end) { serve(end); });
}

void Watchdog::serve(const std::stop_token& end) {
  while (!end.stop_requested()) {
    // Through the control thread, and as long as that takes. Of one that is stopping it says nothing.
    if (!tunnel_.status()) return;
    manager_.alive();
    std::unique_lock lock(mutex_);
    (void)wake_.wait_for(lock, end, manager_.patience() / 2, [] { return false; });
  }
}

}  // namespace centipede::cli
