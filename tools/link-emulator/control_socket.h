// The emulator's control channel: a UNIX stream socket that takes one command a line and gives one line of answer.
// ControlServer owns the listening socket, its path and the connections; it never blocks, so a client that stalls is
// disconnected rather than holding frames up. Threading: one caller at a time. A stale socket file of a killed emulator
// is replaced, that of a living one is not.
#pragma once

#include <poll.h>

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_descriptor.h"
#include "base/result.h"

namespace centipede::emulator {

class ControlServer {
 public:
  using Handler = std::function<std::string(std::string_view line)>;

  [[nodiscard]] static Result<ControlServer> listen(const std::string& path);
  ControlServer(ControlServer&& other) noexcept = default;
  ControlServer& operator=(ControlServer&& other) noexcept = delete;
  ~ControlServer();

  // Appends what to wait for, and later takes the same entries back as poll() filled them.
  void add_to(std::vector<pollfd>& waits) const;
  void serve(std::span<const pollfd> waits, const Handler& handler);

 private:
  struct Connection {
    FileDescriptor socket;
    std::string received;
  };

  ControlServer(FileDescriptor listener, std::string path) : listener_(std::move(listener)), path_(std::move(path)) {}
  void accept_all();
  static bool serve_connection(Connection& connection, const Handler& handler);

  FileDescriptor listener_;
  std::string path_;
  std::vector<Connection> connections_;
};

// Sends one line to the emulator that listens at `path` and returns its answer without the line end.
[[nodiscard]] Result<std::string> ask(const std::string& path, const std::string& line);

}  // namespace centipede::emulator
