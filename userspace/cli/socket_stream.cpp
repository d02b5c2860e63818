#include "cli/socket_stream.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>

namespace centipede::cli {

SocketStream::SocketStream(FileDescriptor socket, int stop_fd, const StreamLimits& limits)
    : socket_(std::move(socket)), stop_fd_(stop_fd), limits_(limits), read_deadline_(Clock::now() + limits.read_time) {}

bool SocketStream::wait(short events, Clock::time_point deadline) const {
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return false;
    std::array<pollfd, 2> waiting{{{socket_.get(), events, 0}, {stop_fd_, POLLIN, 0}}};
    const int ready = poll(waiting.data(), waiting.size(), static_cast<int>(left));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return false;
    return waiting[0].revents != 0;  // when only the stop event is there: leave
  }
}

bool SocketStream::is_readable() const {
  return buffer_begin_ < buffer_end_ || wait(POLLIN, read_deadline_);
}

bool SocketStream::is_writable() const {
  return wait(POLLOUT, Clock::now() + limits_.write_time);
}

ssize_t SocketStream::read(char* into, size_t size) {
  if (buffer_begin_ == buffer_end_) {
    if (total_read_ >= limits_.read_bytes) {
      too_long_ = true;
      return -1;
    }
    if (!wait(POLLIN, read_deadline_)) {
      timed_out_ = true;
      return -1;
    }
    const ssize_t got = recv(socket_.get(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (got <= 0) return got;
    buffer_begin_ = 0;
    buffer_end_ = static_cast<size_t>(got);
    total_read_ += buffer_end_;
  }
  const size_t taken = std::min(size, buffer_end_ - buffer_begin_);
  std::copy_n(buffer_.data() + buffer_begin_, taken, into);
  buffer_begin_ += taken;
  return static_cast<ssize_t>(taken);
}

ssize_t SocketStream::write(const char* from, size_t size) {
  if (write_deadline_ == Clock::time_point{}) write_deadline_ = Clock::now() + limits_.write_time;
  if (!wait(POLLOUT, write_deadline_)) return -1;
  return send(socket_.get(), from, size, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void SocketStream::get_remote_ip_and_port(std::string& ip, int& port) const {
  ip = "local";
  port = 0;
}

void SocketStream::get_local_ip_and_port(std::string& ip, int& port) const {
  ip = "local";
  port = 0;
}

}  // namespace centipede::cli
