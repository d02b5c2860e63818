// What the XDP program must know to judge handshakes as the controller does: keys, cookie secrets and rates, the calls
// under way, and whether its map of sessions is complete. Keeps the BPF maps in step with the controller's actions.
// Does nothing without a program. Threading: the control thread.
#pragma once

#include <centipede/abi.h>

#include <cstdint>
#include <unordered_set>

#include "control/gate.h"
#include "dataplane/xdp.h"

namespace centipede {

class Shield {
 public:
  Shield(XdpProgram* program, const control::GateLimits& limits);
  ~Shield();  // wipes its copy of the secrets
  Shield(const Shield&) = delete;
  Shield& operator=(const Shield&) = delete;

  void set_secrets(const control::ShieldSecrets& secrets);
  // Whether every receiving session is in the program's map: then it may drop packets of all others.
  void set_sessions_complete(bool complete);
  void call_started(wire::SessionId sid);
  void call_ended(wire::SessionId sid);

 private:
  void set_flag(uint32_t flag, bool on);
  void publish();

  XdpProgram* program_;
  cp_shield entry_{};
  std::unordered_set<wire::SessionId> unlisted_calls_;  // the map had no room for them
};

}  // namespace centipede
