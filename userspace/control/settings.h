// What the controller is told about ourselves, our peers and our uplinks: plain values.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/time.h"
#include "crypto/keys.h"
#include "crypto/secret.h"
#include "wire/message.h"

namespace centipede::control {

// A peer's row in the tables; given by the controller, never used for another peer later.
using PeerId = uint32_t;
// An uplink's row (below CP_MAX_UPLINKS), given by the data plane.
using UplinkId = uint8_t;

enum class Policy : uint8_t {
  redundant,  // every packet on every active path, the receiver keeps the first copy
  backup,     // every packet on the best active path alone; the next takes over when it degrades
};

// A server known by name. Whoever runs the controller resolves it and gives the addresses to set_resolved().
struct HostEndpoint {
  std::string host;
  uint16_t port = 0;
  auto operator<=>(const HostEndpoint&) const = default;
};

// What the user says of the paths to one peer over one uplink.
struct PathSettings {
  std::string uplink;                // the device's name
  bool enabled = true;               // false: nothing is sent on them but heartbeats; what arrives is taken
  std::optional<uint32_t> priority;  // instead of the uplink's
  bool operator==(const PathSettings&) const = default;
};

struct PeerSettings {
  std::string name;
  crypto::PublicKey public_key;
  std::shared_ptr<const crypto::SecretKey> preshared_key;  // shared by all copies of the settings; null: none
  std::string preshared_key_file;                          // read anew at each handshake; empty: none
  std::vector<Prefix> allowed_ips;                         // networks (host bits clear)
  std::vector<Endpoint> endpoints;  // neither these nor host_endpoints: we wait for the peer to call
  std::vector<HostEndpoint> host_endpoints;
  Policy policy = Policy::redundant;
  std::vector<PathSettings> paths;  // of uplinks that are not named here: as PathSettings' defaults
};

struct Uplink {
  UplinkId id = 0;
  std::string name;
  bool usable = false;               // has carrier and is up
  std::vector<IpAddress> addresses;  // global ones; none: no path starts here
  uint32_t priority = 0;             // lower is preferred by policy backup
  bool metered = false;
};

// Limits and intervals. The defaults are the protocol's; tests lower them.
struct Timing {
  Duration heartbeat_interval = milliseconds(250);  // on an active path; the slower of the two sides' wishes
  Duration probe_interval_max = seconds(5);  // a path that does not answer is probed more and more slowly, for ever
  unsigned degraded_after = 3;               // heartbeat intervals without an echo
  unsigned down_after = 10;
  Duration initiation_retry_min = milliseconds(500);
  Duration initiation_retry_max = seconds(30);
  Duration initiation_retry_recent = seconds(2);  // the longest to a peer heard from within recent_contact
  Duration recent_contact = seconds(3600);
  Duration rekey_after = seconds(120);   // by the session's initiator
  Duration reject_after = seconds(180);  // a session older than this neither sends nor receives
  Duration overlap_min = seconds(10);    // a replaced session still receives for max(this, 3 RTT)
  Duration wipe_after = seconds(540);    // without contact: every key of the peer is forgotten
  uint64_t rekey_after_packets = uint64_t{1} << 36;
  uint64_t rekey_after_failed_tags = uint64_t{1} << 35;
  uint64_t drop_after_failed_tags = uint64_t{1} << 36;  // the current session and all older ones
};

// How many initiations may cost us a Diffie-Hellman, and for how long a cookie is good (gate.h).
struct GateLimits {
  Duration unproven_period = milliseconds(10);  // for one initiation without a valid mac2
  unsigned unproven_burst = 100;
  Duration source_period = milliseconds(50);  // for one initiation with it, from one source (IPv4 /32, IPv6 /64)
  unsigned source_burst = 40;
  Duration cookie_life = seconds(120);  // a caller uses a cookie for this long; a responder's secret makes them as long
};

struct Settings {
  crypto::Identity identity;
  wire::Params params;   // lanes, window bits, heartbeat wish and MTU as told to peers
  unsigned workers = 1;  // rows of PathCounters
  Timing timing;
  GateLimits gate;
  // No initiation of this identity has ever had a greater timestamp than this; 0: nothing is known of earlier ones.
  uint64_t timestamp_floor_ns = 0;
  // The newest that we have ever accepted from each peer, whether it is one now or not.
  std::map<crypto::PublicKey, uint64_t> accepted_timestamps_ns{};
};

}  // namespace centipede::control
