// A running tunnel as the API sees it: what may be asked of it and what may be changed. Implemented by the daemon, and
// by a double in the tests of the API and the commands.
// Threading: any thread may call; several at once. A call returns when the control thread has carried it out.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "dataplane/event_log.h"
#include "dataplane/session_keys.h"
#include "dataplane/tunnel_config.h"
#include "dataplane/tunnel_status.h"

namespace centipede {

// The answer of a peer over one path.
struct PathPing {
  uint16_t path = 0;  // PathStatus::id
  std::string uplink;
  IpAddress local;
  Endpoint remote;
  bool sending = false;         // data goes there now
  std::optional<Duration> rtt;  // of this very probe; none: no answer in time
};

class TunnelControl {
 public:
  virtual ~TunnelControl() = default;

  // Fails once the tunnel is stopping, as the others do.
  virtual Result<TunnelStatus> status() = 0;
  // The settings in force. Preshared keys are in it: whoever shows it leaves them out.
  virtual Result<TunnelSettings> settings() = 0;

  // `edit` changes a copy of the settings in force, or fails; what it leaves is checked as a whole and comes into force
  // as a whole, or nothing does and the reason is returned. One edit runs at a time, on the control thread: it must be
  // quick and must not call this. Peers are told apart by their public keys: a peer whose key is there before and
  // after keeps its session. Uplinks whose device is absent or cannot be opened join when that changes.
  // Errors: EINVAL for settings that make no sense, EEXIST for what is there already, ENOENT for what is not.
  using Edit = std::function<Result<void>(TunnelSettings&)>;
  virtual Result<void> change(const Edit& edit) = 0;

  // As an edit that adds one, but a device that is missing or cannot be opened now is an error (ENODEV).
  virtual Result<void> attach_uplink(const UplinkSettings& uplink) = 0;
  // ENOENT when it is not attached. The device of a pattern is excluded until it is attached by name.
  virtual Result<void> detach_uplink(std::string_view name) = 0;

  // One probe on every path of the peer (by name or public key), and what came back within `time`; ENOENT.
  virtual Result<std::vector<PathPing>> ping(std::string_view peer, std::chrono::milliseconds time) = 0;

  // The keys of all sessions; EPERM unless the tunnel was started for it (TunnelConfig::allow_keylog).
  virtual Result<std::vector<SessionKey>> session_keys() = 0;

  virtual EventLog& events() = 0;
  virtual void stop() = 0;
};

// One in this process.
class RunningTunnel : public TunnelControl {
 public:
  // Returns after stop(). On the thread that started the tunnel.
  virtual Result<void> run() = 0;
  // As stop(), but another process is about to take over: the peers are not told.
  virtual void hand_over() { stop(); }
  // The interface, for a service manager to keep over a restart; given back in TunnelConfig::tun_queues.
  [[nodiscard]] virtual std::vector<int> tun_queues() const { return {}; }
};

}  // namespace centipede
