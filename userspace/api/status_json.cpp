#include "api/status_json.h"

#include <algorithm>

#include "api/counter_names.h"
#include "api/json_text.h"

namespace centipede::api {
namespace {

using nlohmann::json;

template <class T>
json texts_json(const std::vector<T>& values) {
  json out = json::array();
  for (const T& value : values)
    out.push_back(value.text());
  return out;
}

json microseconds_json(const std::optional<Duration>& value) {
  if (!value) return nullptr;
  return std::chrono::duration_cast<microseconds>(*value).count();
}

json seconds_json(const std::optional<Duration>& value) {
  if (!value) return nullptr;
  return std::chrono::duration<double>(*value).count();
}

json peer_json(const control::PeerStatus& peer) {
  json paths = json::array();
  for (const auto& path : peer.paths)
    paths.push_back(path_json(path));
  return {{"id", peer.id},
          {"name", peer.name},
          {"public_key", peer.public_key.base64()},
          {"policy", policy_name(peer.policy)},
          {"allowed_ips", texts_json(peer.allowed_ips)},
          {"endpoints", peer.endpoints},
          {"preshared", peer.preshared},
          {"session_age_s", seconds_json(peer.session_age)},
          {"last_handshake_s", seconds_json(peer.last_handshake)},
          {"handshakes", peer.handshakes},
          {"paths", std::move(paths)}};
}

}  // namespace

const char* policy_name(control::Policy policy) {
  const auto index = static_cast<size_t>(policy);
  return index < policy_names.size() ? policy_names[index] : "unknown";
}

std::optional<control::Policy> policy_named(std::string_view name) {
  const auto found = std::ranges::find(policy_names, name);
  if (found == policy_names.end()) return std::nullopt;
  return static_cast<control::Policy>(found - policy_names.begin());
}

const char* state_name(control::PathState state) {
  const auto index = static_cast<size_t>(state);
  return index < state_names.size() ? state_names[index] : "unknown";
}

json path_json(const control::PathStatus& path) {
  return {{"id", path.id},
          {"uplink", path.uplink},
          {"uplink_name", path.uplink_name},
          {"local", path.local.text()},
          {"remote", path.remote.text()},
          {"configured", path.configured},
          {"sending", path.sending},
          {"enabled", path.enabled},
          {"priority", path.priority},
          {"state", state_name(path.state)},
          {"rtt_us", microseconds_json(path.rtt)},
          {"rtt_variation_us", microseconds_json(path.rtt_variation)},
          {"late_us", microseconds_json(path.late)},
          {"loss_in", or_null(path.loss_in)},
          {"loss_out", or_null(path.loss_out)},
          {"sent_packets", path.sent_packets},
          {"sent_bytes", path.sent_bytes},
          {"send_errors", path.send_errors},
          {"first_packets", path.first_packets},
          {"first_bytes", path.first_bytes},
          {"duplicates_early", path.duplicates_early},
          {"duplicates_worker", path.duplicates_worker},
          {"only_here", path.only_here}};
}

json uplink_json(const UplinkStatus& uplink) {
  return {{"id", uplink.id},
          {"name", uplink.name},
          {"usable", uplink.usable},
          {"priority", uplink.priority},
          {"metered", uplink.metered},
          {"rate_bps", uplink.rate_bps},
          {"pattern", uplink.pattern},
          {"addresses", texts_json(uplink.addresses)},
          {"mode", uplink.mode},
          {"reason", uplink.reason},
          {"xsk_dropped", uplink.xsk_dropped},
          {"fill_ring_empty", uplink.fill_ring_empty},
          {"xdp", counters_json(uplink.xdp, xdp_counters)}};
}

std::string to_json(const TunnelStatus& status) {
  json uplinks = json::array();
  for (const auto& uplink : status.uplinks)
    uplinks.push_back(uplink_json(uplink));
  json workers = json::array();
  for (const auto& worker : status.workers)
    workers.push_back(counters_json(worker, worker_counters));
  const json all_but_peers{{"name", status.name},
                           {"version", status.version},
                           {"uptime_s", std::chrono::duration<double>(status.uptime).count()},
                           {"public_key", status.public_key.base64()},
                           {"listen_port", status.listen_port},
                           {"addresses", texts_json(status.addresses)},
                           {"mtu", status.mtu},
                           {"aead", status.aead},
                           {"keylog_allowed", status.keylog_allowed},
                           {"windows_shrunk", status.windows_shrunk},
                           {"sessions_waiting", status.sessions_waiting},
                           {"uplinks", std::move(uplinks)},
                           {"control", counters_json(status.control, control_counters)},
                           {"total", counters_json(status.total, worker_counters)},
                           {"workers", std::move(workers)}};
  return with_list(all_but_peers, "peers", status.peers, peer_json);
}

}  // namespace centipede::api
