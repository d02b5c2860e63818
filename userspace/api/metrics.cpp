#include "api/metrics.h"

#include <algorithm>
#include <array>

#include "api/counter_names.h"
#include "api/prometheus_text.h"
#include "api/status_json.h"

namespace centipede::api {
namespace {

using control::PathState;
using control::PathStatus;
using control::PeerStatus;
using Labels = PrometheusText::Labels;
using enum PrometheusText::Type;

std::optional<double> seconds_of(const std::optional<Duration>& time) {
  return time.transform([](Duration value) { return std::chrono::duration<double>(value).count(); });
}

Labels with(Labels labels, std::string_view name, std::string value) {
  labels.emplace_back(name, std::move(value));
  return labels;
}

template <class Action>
void each_path(const TunnelStatus& status, Action action) {
  for (const PeerStatus& peer : status.peers) {
    for (const PathStatus& path : peer.paths) {
      action(path, Labels{{"peer", peer.name},
                          {"uplink", path.uplink_name},
                          {"local", path.local.text()},
                          {"remote", path.remote.text()}});
    }
  }
}

void add_tunnel(PrometheusText& out, const TunnelStatus& status, uint64_t events) {
  out.family("centipede_info", gauge, "What runs; the value is 1.");
  out.sample({{"version", status.version}, {"public_key", status.public_key.base64()}, {"aead", status.aead}},
             uint64_t{1});
  out.family("centipede_uptime_seconds", gauge, "Time since the tunnel was started.");
  out.sample({}, std::chrono::duration<double>(status.uptime).count());
  out.family("centipede_mtu_bytes", gauge, "MTU of the tunnel's interface.");
  out.sample({}, uint64_t{status.mtu});
  out.family("centipede_windows_shrunk_total", counter, "Sessions whose replay windows are small for want of memory.");
  out.sample({}, status.windows_shrunk);
  out.family("centipede_sessions_waiting", gauge, "Sessions that receive nothing for want of window memory.");
  out.sample({}, status.sessions_waiting);
  out.family("centipede_events_total", counter, "Events that GET /v1/events has told of.");
  out.sample({}, events);
}

void add_uplinks(PrometheusText& out, const TunnelStatus& status) {
  out.family("centipede_uplink_up", gauge, "1 when the uplink is up and has carrier.");
  for (const UplinkStatus& uplink : status.uplinks)
    out.sample({{"uplink", uplink.name}}, uint64_t{uplink.usable});
  out.family("centipede_uplink_info", gauge, "How the uplink receives; the value is 1.");
  for (const UplinkStatus& uplink : status.uplinks) {
    out.sample({{"uplink", uplink.name}, {"mode", uplink.mode}, {"metered", uplink.metered ? "yes" : "no"}},
               uint64_t{1});
  }
  out.family("centipede_uplink_xdp_packets_total", counter, "Frames that the XDP program has judged, by its verdict.");
  for (const UplinkStatus& uplink : status.uplinks) {
    for (const auto& verdict : xdp_counters) {
      out.sample({{"uplink", uplink.name}, {"verdict", std::string(verdict.name)}},
                 uint64_t{uplink.xdp.*verdict.member});
    }
  }
  out.family("centipede_uplink_xsk_dropped_packets_total", counter, "Frames that the AF_XDP sockets had to drop.");
  for (const UplinkStatus& uplink : status.uplinks)
    out.sample({{"uplink", uplink.name}}, uplink.xsk_dropped);
  out.family("centipede_uplink_fill_ring_empty_total", counter, "Times that an AF_XDP socket had no room to receive.");
  for (const UplinkStatus& uplink : status.uplinks)
    out.sample({{"uplink", uplink.name}}, uplink.fill_ring_empty);
}

void add_peers(PrometheusText& out, const TunnelStatus& status) {
  out.family("centipede_peer_up", gauge, "1 when there is a session with the peer and a path that works.");
  for (const PeerStatus& peer : status.peers) {
    const bool up = peer.session_age && std::ranges::any_of(peer.paths, [](const PathStatus& path) {
                      return path.state == PathState::active || path.state == PathState::degraded;
                    });
    out.sample({{"peer", peer.name}}, uint64_t{up});
  }
  out.family("centipede_peer_handshakes_total", counter, "Handshakes completed with the peer.");
  for (const PeerStatus& peer : status.peers)
    out.sample({{"peer", peer.name}}, peer.handshakes);
  out.family("centipede_peer_session_age_seconds", gauge, "Age of the session that is sent on.");
  for (const PeerStatus& peer : status.peers)
    out.sample({{"peer", peer.name}}, seconds_of(peer.session_age));
  out.family("centipede_peer_last_handshake_age_seconds", gauge, "Time since the last completed handshake.");
  for (const PeerStatus& peer : status.peers)
    out.sample({{"peer", peer.name}}, seconds_of(peer.last_handshake));
}

struct PathGauge {
  std::string_view name;
  std::string_view help;
  std::optional<double> (*value)(const PathStatus&);
};
constexpr std::array path_gauges{
    PathGauge{"centipede_path_sending", "1 when data is sent on the path now.",
              [](const PathStatus& path) { return std::optional(path.sending ? 1.0 : 0.0); }},
    PathGauge{"centipede_path_enabled", "0 when the user has taken the path out of use.",
              [](const PathStatus& path) { return std::optional(path.enabled ? 1.0 : 0.0); }},
    PathGauge{"centipede_path_rtt_seconds", "Round-trip time, smoothed.",
              [](const PathStatus& path) { return seconds_of(path.rtt); }},
    PathGauge{"centipede_path_rtt_variation_seconds", "Variation of the round-trip time.",
              [](const PathStatus& path) { return seconds_of(path.rtt_variation); }},
    PathGauge{"centipede_path_late_seconds", "How far the path to us is behind the peer's fastest.",
              [](const PathStatus& path) { return seconds_of(path.late); }},
};

struct PathCounter {
  std::string_view name;
  std::string_view help;
  uint64_t PathStatus::* value;
};
constexpr std::array path_counters{
    PathCounter{"centipede_path_sent_packets_total", "Data packets sent.", &PathStatus::sent_packets},
    PathCounter{"centipede_path_sent_bytes_total", "Bytes of data packets sent.", &PathStatus::sent_bytes},
    PathCounter{"centipede_path_send_errors_total", "Datagrams that the kernel refused.", &PathStatus::send_errors},
    PathCounter{"centipede_path_first_packets_total", "Data packets whose first copy came here.",
                &PathStatus::first_packets},
    PathCounter{"centipede_path_first_bytes_total", "Bytes of data packets whose first copy came here.",
                &PathStatus::first_bytes},
};

void add_paths(PrometheusText& out, const TunnelStatus& status) {
  out.family("centipede_path_state", gauge, "1 for the state that the path is in.");
  each_path(status, [&](const PathStatus& path, const Labels& labels) {
    for (const char* state : state_names)
      out.sample(with(labels, "state", state), uint64_t{state_name(path.state) == std::string_view(state)});
  });
  for (const PathGauge& metric : path_gauges) {
    out.family(metric.name, gauge, metric.help);
    each_path(status, [&](const PathStatus& path, const Labels& labels) { out.sample(labels, metric.value(path)); });
  }
  out.family("centipede_path_loss_ratio", gauge,
             "Share of heartbeats lost, 0 to 1, towards us (in) and the peer (out).");
  each_path(status, [&](const PathStatus& path, const Labels& labels) {
    out.sample(with(labels, "direction", "in"), path.loss_in);
    out.sample(with(labels, "direction", "out"), path.loss_out);
  });
  for (const PathCounter& metric : path_counters) {
    out.family(metric.name, counter, metric.help);
    each_path(status, [&](const PathStatus& path, const Labels& labels) { out.sample(labels, path.*metric.value); });
  }
  // No counter: a copy that comes over another path takes from it again.
  out.family("centipede_path_only_here_packets", gauge, "Data packets that came over no other path: at least so many.");
  each_path(status, [&](const PathStatus& path, const Labels& labels) { out.sample(labels, path.only_here); });
  out.family("centipede_path_duplicate_packets_total", counter,
             "Copies that came after another: dropped early, before the tunnel saw them, or in a worker.");
  each_path(status, [&](const PathStatus& path, const Labels& labels) {
    out.sample(with(labels, "stage", "early"), path.duplicates_early);
    out.sample(with(labels, "stage", "worker"), path.duplicates_worker);
  });
}

void add_counters(PrometheusText& out, const TunnelStatus& status, const ApiCounters& counters) {
  out.family("centipede_control_datagrams_total", counter, "Handshakes and control frames, by what became of them.");
  for (const auto& reason : control_counters)
    out.sample({{"reason", std::string(reason.name)}}, status.control.*reason.member);
  out.family("centipede_data_packets_total", counter, "Data packets at each step of a worker, by worker.");
  for (size_t worker = 0; worker < status.workers.size(); ++worker) {
    for (const auto& reason : worker_counters) {
      out.sample({{"worker", std::to_string(worker)}, {"reason", std::string(reason.name)}},
                 status.workers[worker].*reason.member);
    }
  }
  out.family("centipede_api_requests_total", counter, "Requests that the API has answered.");
  out.sample({}, counters.requests.load());
  out.family("centipede_api_refused_requests_total", counter, "Requests that the API has answered with an error.");
  out.sample({}, counters.refused.load());
  out.family("centipede_api_connections_cut_total", counter, "Connections of clients that were too slow.");
  out.sample({}, counters.connections_cut.load());
  out.family("centipede_api_event_streams", gauge, "Streams of events that are open.");
  out.sample({}, counters.event_streams.load());
  out.family("centipede_api_event_streams_cut_total", counter, "Streams of events whose readers were too slow.");
  out.sample({}, counters.event_streams_cut.load());
}

}  // namespace

std::string metrics_text(const TunnelStatus& status, uint64_t events, const ApiCounters& counters) {
  PrometheusText out({{"interface", status.name}});
  add_tunnel(out, status, events);
  add_uplinks(out, status);
  add_peers(out, status);
  add_paths(out, status);
  add_counters(out, status, counters);
  return out.take();
}

}  // namespace centipede::api
