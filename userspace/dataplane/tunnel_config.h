// A tunnel as its configuration file describes it, already checked: what the daemon is started with. Plain values; the
// file format and its errors belong to cli/config.h.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/address.h"
#include "control/settings.h"
#include "crypto/aead.h"
#include "crypto/keys.h"
#include "dataplane/receive_mode.h"
#include "dataplane/state_file.h"

namespace centipede {

struct TunnelConfig {
  std::string name = "cp0";  // of the interface
  crypto::Identity identity;
  std::vector<Prefix> addresses;  // of the interface, with host bits
  uint16_t listen_port = 5820;
  std::vector<std::string> uplinks;
  unsigned workers = 0;  // 0: one a core
  ReceiveMode mode = ReceiveMode::automatic;
  // The workers'; handshakes and the control thread use libsodium.
  crypto::AeadChoice aead = crypto::AeadChoice::automatic;
  unsigned busy_poll_us = 0;     // how long a worker looks for work at least before it sleeps (patience.h)
  unsigned mtu = 0;              // of the interface; 0: from the uplinks' MTUs
  unsigned window_bits = 15;     // log2 of the packets in a lane's replay window
  unsigned heartbeat_ms = 250;   // on an active path
  unsigned rekey_seconds = 120;  // age at which a session is replaced
  bool routes = true;            // add routes for the peers' allowed IPs
  std::vector<control::PeerSettings> peers;
  std::string state_directory{default_state_directory};  // what must outlive the process (state_file.h)
};

}  // namespace centipede
