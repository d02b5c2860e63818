// One accepted connection as the HTTP library reads and writes it, with a bound on everything a client could stretch:
// the time of the whole exchange (however slowly the bytes drip) and the bytes read.
// Ownership: owns the socket. Threading: one thread; `stop_fd` becoming readable ends a wait.
#pragma once

// The HTTP library's header names everything of <regex>, OpenSSL and more: only this layer's sources include it.
#include <httplib.h>

#include <array>
#include <chrono>
#include <string>

#include "base/file_descriptor.h"

namespace centipede::cli {

struct StreamLimits {
  std::chrono::milliseconds read_time;   // from the first to the last byte of the request
  std::chrono::milliseconds write_time;  // of the whole answer
  size_t read_bytes;
};

class SocketStream : public httplib::Stream {
 public:
  SocketStream(FileDescriptor socket, int stop_fd, const StreamLimits& limits);

  bool is_readable() const override;
  bool is_writable() const override;
  ssize_t read(char* into, size_t size) override;
  ssize_t write(const char* from, size_t size) override;
  void get_remote_ip_and_port(std::string& ip, int& port) const override;
  void get_local_ip_and_port(std::string& ip, int& port) const override;
  socket_t socket() const override { return socket_.get(); }

  // Why reading ended, for the answer to a request that could not be read.
  [[nodiscard]] bool timed_out() const { return timed_out_; }
  [[nodiscard]] bool too_long() const { return too_long_; }
  [[nodiscard]] bool received_anything() const { return total_read_ > 0; }

 private:
  using Clock = std::chrono::steady_clock;
  bool wait(short events, Clock::time_point deadline) const;

  FileDescriptor socket_;
  int stop_fd_;
  StreamLimits limits_;
  Clock::time_point read_deadline_;
  Clock::time_point write_deadline_{};
  size_t total_read_ = 0;
  bool timed_out_ = false;
  bool too_long_ = false;
  std::array<char, 4096> buffer_;  // the library reads lines a byte at a time
  size_t buffer_begin_ = 0;
  size_t buffer_end_ = 0;
};

}  // namespace centipede::cli
