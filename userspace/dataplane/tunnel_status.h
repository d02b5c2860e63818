// What a running tunnel says of itself: the controller's view of peers and paths, and the data plane's own numbers.
// Plain values, made on the control thread.
#pragma once

#include <centipede/abi.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/address.h"
#include "control/status.h"
#include "crypto/keys.h"

namespace centipede {

// One number a reason, summed over the workers unless a row says otherwise.
struct WorkerCounters {
  uint64_t tun_read = 0;       // reads from TUN (a super-packet is one)
  uint64_t tun_malformed = 0;  // from TUN, not an IP packet or impossible offload fields
  uint64_t no_route = 0;       // inner destination in nobody's allowed IPs
  uint64_t no_session = 0;     // peer without a confirmed session
  uint64_t no_path = 0;        // session, but no path to send on
  uint64_t sealed = 0;         // packets sealed: once each, whatever the number of paths
  uint64_t sent = 0;           // datagrams sent: one a packet and path
  uint64_t send_failed = 0;    // datagrams that a path refused
  uint64_t received_xdp = 0;   // datagrams from AF_XDP sockets
  uint64_t received_udp = 0;   // datagrams from UDP sockets
  uint64_t opened = 0;         // authenticated
  uint64_t delivered = 0;      // packets handed to TUN
  uint64_t malformed = 0;      // too short for a data packet
  uint64_t unknown_session = 0;
  uint64_t bad_lane = 0;
  uint64_t bad_counter = 0;
  uint64_t duplicate = 0;  // dropped before opening or at commit: a copy was first
  uint64_t too_old = 0;
  uint64_t bad_tag = 0;
  uint64_t not_ip = 0;      // authenticated, but no IP packet
  uint64_t bad_source = 0;  // authenticated, but the inner source is not the peer's
  uint64_t tun_write_failed = 0;
};

struct UplinkStatus {
  control::UplinkId id = 0;
  std::string name;
  bool usable = false;
  uint32_t priority = 0;  // lower is preferred by policy backup
  bool metered = false;
  uint64_t rate_bps = 0;  // as the user says; 0: unknown
  std::string pattern;    // that it was taken for ("wl*"); empty: it was named
  std::vector<IpAddress> addresses;
  std::string mode;          // "native/zero-copy", "native", "udp"; empty while the device is absent
  std::string reason;        // why not XDP, where it is not
  cp_counters xdp{};         // all zero in mode udp
  uint64_t xsk_dropped = 0;  // rx_dropped, rx_ring_full and the like of the AF_XDP sockets
  uint64_t fill_ring_empty = 0;
};

struct TunnelStatus {
  std::string name;
  std::string version;  // of the program
  Duration uptime{};
  crypto::PublicKey public_key;
  uint16_t listen_port = 0;
  std::vector<Prefix> addresses;
  unsigned mtu = 0;
  std::string aead;
  bool keylog_allowed = false;    // session keys may be asked for
  uint64_t windows_shrunk = 0;    // sessions since the start whose replay windows are small for want of memory
  uint64_t sessions_waiting = 0;  // that receive nothing now for want of window memory
  std::vector<UplinkStatus> uplinks;
  std::vector<control::PeerStatus> peers;
  control::ControlCounters control;
  WorkerCounters total;
  std::vector<WorkerCounters> workers;
};

}  // namespace centipede
