// A snapshot for people and programs: what `centipede status` prints. Plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/time.h"
#include "control/settings.h"

namespace centipede::control {

enum class PathState : uint8_t {
  probing,  // the peer's echo of our token has not come back from this 4-tuple yet
  active,
  degraded,  // no echo for `degraded_after` intervals
  down,      // no echo for `down_after` intervals
};
[[nodiscard]] const char* text(PathState state);

struct PathStatus {
  uint16_t id = 0;
  UplinkId uplink = 0;
  std::string uplink_name;
  IpAddress local;
  Endpoint remote;
  bool configured = false;  // from an endpoint of ours; else learned from a heartbeat
  bool sending = false;     // the policy sends data here now
  bool enabled = true;      // false: the user lets nothing go here but heartbeats
  uint32_t priority = 0;    // lower is preferred by policy backup; the path's own or else its uplink's
  PathState state = PathState::probing;
  std::optional<Duration> rtt;  // smoothed, RFC 6298
  std::optional<Duration> rtt_variation;
  // One way to us, behind the peer's path over which heartbeats take least time; none: nothing to compare with.
  std::optional<Duration> late;
  std::optional<double> loss_in;   // 0..1, from gaps in the peer's heartbeat numbers
  std::optional<double> loss_out;  // 0..1, from the peer's count of ours
  uint64_t sent_packets = 0;
  uint64_t sent_bytes = 0;
  uint64_t send_errors = 0;
  uint64_t first_packets = 0;
  uint64_t first_bytes = 0;
  uint64_t duplicates_early = 0;   // copies dropped in XDP
  uint64_t duplicates_worker = 0;  // copies dropped in the worker
  uint64_t only_here = 0;          // packets that no other path delivered: at least so many. Can fall
};

struct PeerStatus {
  PeerId id = 0;
  std::string name;
  crypto::PublicKey public_key;
  Policy policy = Policy::redundant;
  std::vector<Prefix> allowed_ips;
  std::vector<std::string> endpoints;      // as configured: "203.0.113.5:5820", "vpn.example.org:5820"
  bool preshared = false;                  // there is a preshared key, or a file with one
  std::optional<Duration> session_age;     // of the session we send on
  std::optional<Duration> last_handshake;  // ago
  uint64_t handshakes = 0;                 // completed
  std::vector<PathStatus> paths;
};

// Why datagrams and frames were refused: one number a reason, over all peers.
struct ControlCounters {
  uint64_t malformed = 0;
  uint64_t bad_mac1 = 0;
  uint64_t bad_ephemeral = 0;
  uint64_t bad_box = 0;
  uint64_t bad_identity = 0;
  uint64_t bad_signature = 0;
  uint64_t unknown_peer = 0;
  uint64_t stale_timestamp = 0;
  uint64_t source_limited = 0;  // proven source above its rate
  uint64_t rate_limited = 0;    // peer above its rate
  uint64_t unexpected_response = 0;
  uint64_t unexpected_cookie = 0;
  uint64_t bad_cookie = 0;
  uint64_t unknown_session = 0;
  uint64_t control_duplicate = 0;
  uint64_t control_too_old = 0;
  uint64_t control_bad_tag = 0;
  uint64_t bad_frame = 0;
  uint64_t stale_heartbeat = 0;
  uint64_t misaddressed = 0;  // heartbeat to an address that its uplink does not have
  uint64_t path_limit = 0;
  uint64_t initiations_sent = 0;
  uint64_t initiations_answered = 0;
  uint64_t responses_accepted = 0;
  uint64_t cookies_sent = 0;
  uint64_t cookies_accepted = 0;
};

}  // namespace centipede::control
