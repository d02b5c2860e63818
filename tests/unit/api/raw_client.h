// A client of the API without manners: a connection and bytes.
#pragma once

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <string>

#include "api/unix_socket.h"

namespace centipede::api {

class RawClient {
 public:
  explicit RawClient(const std::string& path) {
    auto connected = connect_unix(path);
    if (connected) socket_ = std::move(*connected);
  }
  [[nodiscard]] bool connected() const { return static_cast<bool>(socket_); }
  void send(const std::string& bytes) const { (void)::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL); }
  // What arrives until `done` says so, the connection ends or the time is over.
  template <class Done>
  std::string read_until(Done done, std::chrono::milliseconds time = std::chrono::seconds(10)) {
    const auto end = std::chrono::steady_clock::now() + time;
    std::array<char, 65536> piece;
    while (!done(text_)) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now()).count();
      pollfd readable{socket_.get(), POLLIN, 0};
      if (left <= 0 || poll(&readable, 1, static_cast<int>(left)) <= 0) break;
      const ssize_t got = recv(socket_.get(), piece.data(), piece.size(), 0);
      if (got <= 0) {
        ended_ = true;
        break;
      }
      text_.append(piece.data(), static_cast<size_t>(got));
    }
    return text_;
  }
  std::string read_all() {
    return read_until([](const std::string&) { return false; });
  }
  bool contains(const std::string& part, std::chrono::milliseconds time = std::chrono::seconds(10)) {
    const auto there = [&part](const std::string& text) { return text.find(part) != std::string::npos; };
    return there(read_until(there, time));
  }
  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] bool ended() const { return ended_; }

 private:
  FileDescriptor socket_;
  std::string text_;
  bool ended_ = false;
};

}  // namespace centipede::api
