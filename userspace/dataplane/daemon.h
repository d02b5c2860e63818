// A running tunnel: the TUN interface, its uplinks, the workers and the control thread that feeds the controller.
// Ownership: owns every kernel object of the tunnel; destroying it leaves nothing behind.
// Threading: start() and run() on one thread, which becomes the control thread; the functions marked so are safe from
// any thread and return when the control thread has carried them out.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "dataplane/tunnel_config.h"
#include "dataplane/tunnel_status.h"

namespace centipede {

class Daemon {
 public:
  // Creates the interface, attaches the configured uplinks and starts the workers. Fails, leaving nothing behind, when
  // not even one uplink can be attached. Cleans up first what a killed daemon of the same name left.
  static Result<std::unique_ptr<Daemon>> start(TunnelConfig config);
  ~Daemon();

  // The control thread's loop; returns after stop(), having said goodbye to the peers.
  Result<void> run();

  // Any thread (stop() also from a signal handler).
  void stop();
  Result<void> attach_uplink(std::string_view name);
  Result<void> detach_uplink(std::string_view name);
  TunnelStatus status();

 private:
  class Impl;
  explicit Daemon(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace centipede
