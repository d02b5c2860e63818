// A running tunnel: the TUN interface, its uplinks, the workers and the control thread that feeds the controller.
// Ownership: owns every kernel object of the tunnel; destroying it leaves nothing behind.
// Threading: start() and run() on one thread, which becomes the control thread; the functions of TunnelControl are safe
// from any.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "dataplane/tunnel_config.h"
#include "dataplane/tunnel_control.h"

namespace centipede {

class Daemon final : public RunningTunnel {
 public:
  // Creates the interface, attaches the configured uplinks and starts the workers. Fails, leaving nothing behind, when
  // not even one uplink can be attached. Cleans up first what a killed daemon of the same name left.
  static Result<std::unique_ptr<Daemon>> start(TunnelConfig config);
  ~Daemon() override;

  // The control thread's loop; returns after stop(), having said goodbye to the peers.
  Result<void> run() override;

  void stop() override;  // also from a signal handler
  void hand_over() override;
  [[nodiscard]] std::vector<int> tun_queues() const override;
  Result<TunnelStatus> status() override;
  Result<TunnelSettings> settings() override;
  Result<void> change(const Edit& edit) override;
  Result<void> attach_uplink(const UplinkSettings& uplink) override;
  Result<void> detach_uplink(std::string_view name) override;
  Result<std::vector<PathPing>> ping(std::string_view peer, std::chrono::milliseconds time) override;
  Result<std::vector<SessionKey>> session_keys() override;
  EventLog& events() override;

 private:
  class Impl;
  explicit Daemon(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace centipede
