// The status of a tunnel as JSON, the same in `GET /v1/status` and `centipede status --json`. Keys are never renamed or
// given another meaning; new ones may come, so readers ignore those they do not know. Base units: packets, bytes,
// `_us` microseconds (integers), `_s` seconds (with fractions), loss 0..1. What is not known is null.
//
//   name, version, uptime_s, public_key (base64), listen_port, addresses ["10.10.0.1/24"], mtu, aead
//   uplinks[]: id, name, usable, priority, metered, rate_bps (0: unknown), pattern (that it was taken for, or ""),
//     addresses ["192.0.2.1"], mode ("native/zero-copy", "native", "udp", "" while the device is absent), reason (why
//     not XDP), xsk_dropped, fill_ring_empty,
//     xdp: one number a verdict: redirected, duplicate, too_old, handshake, bad_mac1, challenged, source_limited,
//       uncalled, control, unknown_session, unlisted, no_socket, bad_lane, bad_counter, malformed, fragment, foreign
//   peers[]: id, name, public_key, policy ("redundant", "backup"), allowed_ips, endpoints, preshared (there is a key),
//     session_age_s, last_handshake_s (ago), handshakes,
//     paths[]: id, uplink (its id), uplink_name, local, remote ("192.0.2.1:5820"), configured, sending, enabled,
//       priority, state ("probing", "active", "degraded", "down"), rtt_us, rtt_variation_us, late_us (behind the
//       fastest path to us), loss_in, loss_out, sent_packets, sent_bytes, send_errors, first_packets, first_bytes,
//       duplicates_early (in XDP), duplicates_worker, only_here
//   control: refused handshakes and frames, one number a reason (the members of control::ControlCounters)
//   total, workers[]: the members of WorkerCounters
//   keylog_allowed; for want of window memory: windows_shrunk (sessions so far), sessions_waiting (now)
//
// Threading: pure functions. Errors of reading name the key; input may be anything.
#pragma once

#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "dataplane/tunnel_status.h"

namespace centipede::api {

[[nodiscard]] std::string to_json(const TunnelStatus& status);
[[nodiscard]] Result<TunnelStatus> status_from_json(std::string_view text);

// Parts of it.
[[nodiscard]] nlohmann::json path_json(const control::PathStatus& path);
[[nodiscard]] nlohmann::json uplink_json(const UplinkStatus& uplink);
template <class Owner, class Table>
nlohmann::json counters_json(const Owner& owner, const Table& table) {
  auto out = nlohmann::json::object();
  for (const auto& counter : table)
    out[std::string(counter.name)] = uint64_t{owner.*counter.member};
  return out;
}

// In the order of the enumerations.
inline constexpr std::array policy_names{"redundant", "backup"};
inline constexpr std::array state_names{"probing", "active", "degraded", "down"};
[[nodiscard]] const char* policy_name(control::Policy policy);
[[nodiscard]] std::optional<control::Policy> policy_named(std::string_view name);
[[nodiscard]] const char* state_name(control::PathState state);

}  // namespace centipede::api
