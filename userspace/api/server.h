// The HTTP API of a running tunnel, on a UNIX socket that only root may open:
//   GET    /v1/status            the tunnel's status (keys: api/status_json.h)
//   POST   /v1/uplinks           {"name": "eth0"}: attach an uplink
//   DELETE /v1/uplinks/<name>    detach one
//   POST   /v1/stop              end the tunnel; the answer comes before the end
// Success is 200 with a JSON object, failure 4xx or 5xx with {"error": "..."}. One request a connection.
// Limits: 8 requests at a time (further ones wait in the listen queue), bodies of 64 KiB, 5 seconds to send a request.
// Ownership: owns its threads and the socket's file; the TunnelControl must outlive it. Threading: start and destroy on
// one thread; the TunnelControl is called from several at once. Destroying it waits for the calls in progress.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "dataplane/tunnel_control.h"

namespace centipede::api {

struct ServerLimits {
  unsigned threads = 8;
  std::chrono::milliseconds request_time{5000};
  std::chrono::milliseconds answer_time{5000};
  size_t body_bytes = size_t{64} * 1024;
};

class Server {
 public:
  static Result<std::unique_ptr<Server>> start(TunnelControl& control, const std::string& socket_path,
                                               const ServerLimits& limits = {});
  ~Server();

 private:
  class Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace centipede::api
