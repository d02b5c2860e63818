// A tunnel as its configuration file describes it, already checked: what the daemon is started with. Plain values; the
// file format and its errors belong to config/config.h.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/file_descriptor.h"
#include "control/settings.h"
#include "crypto/aead.h"
#include "crypto/keys.h"
#include "dataplane/receive_mode.h"
#include "dataplane/state_file.h"

namespace centipede {

// A device to send over, or all that match a pattern.
struct UplinkSettings {
  std::string name;                  // of a device; with * or ? a pattern as of a shell ("wl*")
  std::optional<uint32_t> priority;  // lower is preferred by policy backup; none: its place in the list
  bool metered = false;              // volume costs money: policy backup takes it last
  uint64_t rate_bps = 0;             // what it can carry, bits a second; 0: unknown. Shown, not used yet
  bool operator==(const UplinkSettings&) const = default;
};

// What may change while the tunnel runs.
struct TunnelSettings {
  std::vector<UplinkSettings> uplinks;        // of a device that several match, the first; exact names before patterns
  std::vector<std::string> excluded_uplinks;  // names and patterns that no pattern above takes
  std::vector<control::PeerSettings> peers;
};

struct TunnelConfig {
  std::string name = "cp0";  // of the interface
  crypto::Identity identity;
  std::string private_key_file;   // it came from; absolute. Empty: it stood in the configuration itself
  std::vector<Prefix> addresses;  // of the interface, with host bits
  uint16_t listen_port = 5820;
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
  // While it runs and after it was killed, nothing that is routed into the tunnel leaves any other way (nftables).
  bool kill_switch = false;
  std::vector<IpAddress> dns;           // name servers, for resolvconf or systemd-resolved while it runs
  std::vector<std::string> dns_search;  // domains that are asked of them; none: all
  bool allow_keylog = false;            // session keys may be asked for (`centipede keylog`)
  TunnelSettings live;
  std::string state_directory{default_state_directory};  // what must outlive the process (state_file.h)
  // Of an interface that outlived the process before this one; none: it is made. Where they do not fit, whoever keeps
  // copies of them is asked to let go, and it is made anew.
  std::vector<FileDescriptor> tun_queues{};
  std::function<void()> forget_tun_queues{};
};

}  // namespace centipede
