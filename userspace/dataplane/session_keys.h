// The traffic keys of a running tunnel's sessions, for its owner to look into packets with (`centipede keylog`). This
// is the only way by which a key leaves the process; a tunnel that was not started for it has none (TunnelConfig).
// Plain values, made on the control thread; the keys are wiped with them.
#pragma once

#include <string>
#include <vector>

#include "control/controller.h"
#include "crypto/aead.h"
#include "wire/message.h"

namespace centipede {

struct SessionKey {
  wire::SessionId sid = 0;  // in the headers of the packets that it opens
  crypto::TrafficKey key;
  bool sending = false;  // from this host to the peer
  std::string peer;      // its name
};

// Of all sessions that receive, of all peers: two each.
[[nodiscard]] std::vector<SessionKey> session_keys(const control::Controller& controller, const Now& now);

}  // namespace centipede
