// What the XDP program must know to judge handshakes as the controller does: keys, cookie secrets and rates, the calls
// under way, and whether its map of sessions is complete. Keeps the BPF maps in step with the controller's actions.
// Does nothing without a program. Threading: the control thread.
#pragma once

#include <centipede/abi.h>

#include <cstdint>
#include <functional>
#include <string>
#include <unordered_set>

#include "control/gate.h"
#include "dataplane/event_log.h"
#include "dataplane/xdp.h"

namespace centipede {

class Shield {
 public:
  using Tell = std::function<void(TunnelEvent::Level, std::string)>;

  // `tell`: of the times when the program cannot judge all that it should, and of their ends.
  Shield(XdpProgram* program, const control::GateLimits& limits, Tell tell);
  ~Shield();  // wipes its copy of the secrets
  Shield(const Shield&) = delete;
  Shield& operator=(const Shield&) = delete;

  void set_secrets(const control::ShieldSecrets& secrets);
  // Whether every receiving session is in the program's map: then it may drop packets of all others.
  void set_sessions_complete(bool complete);
  void call_started(wire::SessionId sid);
  void call_ended(wire::SessionId sid);

 private:
  void set_flag(uint32_t flag, bool on, const char* what);
  void publish();

  XdpProgram* program_;
  Tell tell_;
  uint32_t missing_ = 0;  // flags whose absence was told of
  bool written_ = true;   // the last time, what we know got into the map
  cp_shield entry_{};
  std::unordered_set<wire::SessionId> unlisted_calls_;  // the map had no room for them
};

}  // namespace centipede
