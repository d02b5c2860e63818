// Talks to a running tunnel's API (api/server.h). Errors: what the daemon answered, or why there was no answer; the
// code is ENOENT or ECONNREFUSED when no daemon listens, EACCES when we may not ask, EPROTO for an answer that is not
// ours. Threading: one thread; each call is a connection of its own and waits at most 15 seconds.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "dataplane/tunnel_status.h"

namespace centipede::api {

class Client {
 public:
  explicit Client(std::string socket_path) : path_(std::move(socket_path)) {}

  // True when a daemon answers the connection.
  [[nodiscard]] bool reachable() const;
  Result<TunnelStatus> status();
  Result<std::string> status_text();  // the JSON as it came, without the line's end
  Result<void> attach_uplink(std::string_view name);
  Result<void> detach_uplink(std::string_view name);
  Result<void> stop();

 private:
  std::string path_;
};

// No daemon is there, as an error of Client says it.
[[nodiscard]] inline bool not_running(const Error& error) {
  return error.code == ENOENT || error.code == ECONNREFUSED;
}

}  // namespace centipede::api
