#include <array>

#include "api/counter_names.h"
#include "api/json_text.h"
#include "api/resources.h"
#include "api/status_json.h"

namespace centipede::api {

using nlohmann::json;

Result<ApiAnswer> show_status(const Call& call) {
  const auto status = call.context.tunnel.status();
  if (!status) return std::unexpected(status.error());
  return text_answer(to_json(*status));
}

Result<ApiAnswer> show_interface(const Call& call) {
  const auto status = call.context.tunnel.status();
  if (!status) return std::unexpected(status.error());
  json addresses = json::array();
  for (const Prefix& address : status->addresses)
    addresses.push_back(address.text());
  return json_answer(json{{"name", status->name},
                          {"version", status->version},
                          {"public_key", status->public_key.base64()},
                          {"listen_port", status->listen_port},
                          {"addresses", std::move(addresses)},
                          {"mtu", status->mtu},
                          {"aead", status->aead},
                          {"uptime_s", std::chrono::duration<double>(status->uptime).count()},
                          {"configured", interface_settings_json(call.context.interface)}});
}

Result<ApiAnswer> show_sessions(const Call& call) {
  const auto status = call.context.tunnel.status();
  if (!status) return std::unexpected(status.error());
  const auto age = [](const std::optional<Duration>& since) {
    return or_null(since.transform([](Duration ago) { return std::chrono::duration<double>(ago).count(); }));
  };
  return text_answer(with_list(json::object(), "sessions", status->peers, [&](const auto& peer) {
    return json{{"peer", peer.name},
                {"public_key", peer.public_key.base64()},
                {"age_s", age(peer.session_age)},
                {"last_handshake_s", age(peer.last_handshake)},
                {"handshakes", peer.handshakes}};
  }));
}

Result<ApiAnswer> show_statistics(const Call& call) {
  const auto status = call.context.tunnel.status();
  if (!status) return std::unexpected(status.error());
  json uplinks = json::array();
  for (const UplinkStatus& uplink : status->uplinks) {
    uplinks.push_back({{"name", uplink.name},
                       {"xdp", counters_json(uplink.xdp, xdp_counters)},
                       {"xsk_dropped", uplink.xsk_dropped},
                       {"fill_ring_empty", uplink.fill_ring_empty}});
  }
  json workers = json::array();
  for (const WorkerCounters& worker : status->workers)
    workers.push_back(counters_json(worker, worker_counters));
  const ApiCounters& own = call.context.counters;
  return json_answer(json{{"control", counters_json(status->control, control_counters)},
                          {"total", counters_json(status->total, worker_counters)},
                          {"workers", std::move(workers)},
                          {"windows_shrunk", status->windows_shrunk},
                          {"sessions_waiting", status->sessions_waiting},
                          {"uplinks", std::move(uplinks)},
                          {"api",
                           {{"requests", own.requests.load()},
                            {"refused", own.refused.load()},
                            {"connections_cut", own.connections_cut.load()},
                            {"event_streams", own.event_streams.load()},
                            {"event_streams_cut", own.event_streams_cut.load()}}}});
}

Result<ApiAnswer> show_policies(const Call&) {
  const auto row = [](control::Policy policy, const char* text) {
    return json{{"name", policy_name(policy)}, {"text", text}};
  };
  return json_answer(
      json{{"policies",
            {row(control::Policy::redundant, "every packet on every active path; the first copy counts"),
             row(control::Policy::backup, "every packet on the best path alone; the next takes over when it fails")}}});
}

}  // namespace centipede::api
