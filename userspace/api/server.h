// The HTTP API of a running tunnel, described by openapi.json (GET /v1/openapi.json). It listens on two UNIX sockets,
// and what the kernel lets somebody open decides what he may do:
//   cp0.sock  0600                  everything
//   cp0.read  0660 root:centipede   GET only; 0600 where there is no such group
// Success is 200 with JSON, failure 4xx or 5xx with {"error": "what, and what to do"}. One request a connection.
// Each socket has threads and limits of its own (api/connections.h), so that readers cannot keep root out.
// Ownership: owns its threads and the sockets' files; the TunnelControl must outlive it. Threading: start and destroy
// on one thread; the TunnelControl is called from several at once. Destroying it waits for the calls in progress.
#pragma once

#include <memory>
#include <string>

#include "api/connections.h"
#include "api/paths.h"
#include "api/router.h"
#include "base/result.h"
#include "dataplane/tunnel_control.h"

namespace centipede::api {

struct ServerOptions {
  Reload reload;
  InterfaceSettings interface{};  // as the tunnel was started
  std::string reading_group = api::reading_group;
  ConnectionLimits whole;
  ConnectionLimits reading{
      .threads = 4, .connections = 64, .body_bytes = size_t{64} * 1024, .buffered_bytes = size_t{32} * 1024 * 1024};
};

class Server {
 public:
  static Result<std::unique_ptr<Server>> start(TunnelControl& control, const std::string& socket_path,
                                               const ServerOptions& options = {});
  ~Server();

 private:
  class Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace centipede::api
