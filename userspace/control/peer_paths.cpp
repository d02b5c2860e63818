// Peer: heartbeats, and what they say about paths.
#include <algorithm>

#include "control/peer.h"

namespace centipede::control {
namespace {

constexpr double heartbeat_jitter = 0.1;

bool heartbeat_allowed(const Path& path) {
  return path.may_send(CP_DATA_HEADER_SIZE + CP_HEARTBEAT_SIZE);
}

}  // namespace

Pace Peer::pace() const {
  const Timing& timing = context_.settings.timing;
  Duration interval = timing.heartbeat_interval;
  if (const SessionSlot* current = sessions_.current())
    interval = std::max<Duration>(interval, milliseconds(current->session->peer_params().heartbeat_ms));
  return {.interval = interval,
          .probe_interval_max = std::max(timing.probe_interval_max, interval),
          .degraded_after = timing.degraded_after,
          .down_after = timing.down_after};
}

void Peer::report(const char* kind, const std::string& text, std::string uplink, Event::Level level) {
  context_.report({.level = level,
                   .kind = kind,
                   .peer = settings_.name,
                   .uplink = std::move(uplink),
                   .text = settings_.name + ": " + text});
}

void Peer::report(const PathTable::Change& change) {
  for (const auto& line : change.lines)
    report("path", line.text, line.uplink);
  if (change.any()) changed_ = true;
}

void Peer::report_path(const Path& path) {
  report("path", "path " + describe(context_, path.route()) + ": " + text(path.state()),
         uplink_name(context_, path.route().uplink),
         path.state() == PathState::degraded || path.state() == PathState::down ? Event::Level::warning
                                                                                : Event::Level::info);
  changed_ = true;
}

// After every change of paths, uplinks or settings.
void Peer::prefer_paths() {
  for (const auto& path : paths_.all()) {
    PathPreference preference;
    const auto uplink = context_.uplinks.find(path->route().uplink);
    if (uplink != context_.uplinks.end()) {
      preference = {.enabled = true, .metered = uplink->second.metered, .priority = uplink->second.priority};
      const auto own = std::ranges::find(settings_.paths, uplink->second.name, &PathSettings::uplink);
      if (own != settings_.paths.end()) {
        preference.enabled = own->enabled;
        preference.priority = own->priority.value_or(preference.priority);
      }
    }
    path->set_preference(preference);
  }
}

void Peer::on_heartbeat(SessionSlot& slot, const wire::Heartbeat& heartbeat, size_t datagram_bytes, const Route& at,
                        Instant now) {
  Path* path = paths_.find(at);
  if (heartbeat.number <= sessions_.highest_number(slot, heartbeat.path_id)) {
    ++context_.counters.stale_heartbeat;
    if (path != nullptr) path->on_late_heartbeat(heartbeat);
    return;
  }
  slot.history.remember(heartbeat.path_id, heartbeat.number, now);

  const Duration patience = 3 * (pace().interval + std::max(paths_.largest_rtt(), handshake_rtt_));
  if (sessions_.follow(slot, patience, lower_key_, now)) became_current(slot, now);

  if (path == nullptr) {
    if (!PathTable::starts_here(context_, at)) {
      ++context_.counters.misaddressed;
      return;
    }
    path = paths_.learn(context_, at, heartbeat.path_id, now);
    if (path == nullptr) {
      ++context_.counters.path_limit;
      return;
    }
    prefer_paths();
    report_path(*path);
  }
  after_heartbeat(*path, path->on_heartbeat(heartbeat, datagram_bytes, now, pace()), now);
}

void Peer::after_heartbeat(Path& path, const Path::Arrival& arrival, Instant now) {
  if (arrival.echo || arrival.validated) alive_at_ = now;
  if (arrival.validated) report(paths_.drop_superseded(context_, path));
  // A call that nobody answered for long would wait out its backoff, and the session might grow too old meanwhile.
  if ((arrival.validated || arrival.recovered) && call_wanted(now)) call_.hurry(now);
  if (arrival.validated || arrival.recovered) report_path(path);
  // The session that it came on has become the current one if there was none.
  if (arrival.answer_now) send_heartbeat(path, *sessions_.current(), now);
}

void Peer::run_paths(Instant now) {
  const Pace at = pace();
  SessionSlot* current = sessions_.current();
  for (const auto& path : paths_.all()) {
    if (now >= path->state_deadline(at) && path->on_timer(now, at, context_.random())) report_path(*path);
    if (current != nullptr && path->heartbeat_due(now)) send_heartbeat(*path, *current, now);
  }
}

void Peer::greet(SessionSlot& slot, Instant now) {
  const Pace at = pace();
  for (const auto& path : paths_.all()) {
    if (!path->is_up()) path->probe_soon(now, at);
    send_heartbeat(*path, slot, now);
  }
}

void Peer::send_heartbeat(Path& path, SessionSlot& slot, Instant now) {
  const Pace at = pace();
  path.schedule_heartbeat(now, at, context_.jittered(at.interval, heartbeat_jitter));
  if (heartbeat_allowed(path)) (void)emit_heartbeat(path, slot, now);
}

// Out of turn: the schedule stays as it is. False when the session is at its end.
bool Peer::emit_heartbeat(Path& path, SessionSlot& slot, Instant now) {
  const bool wanted = path.preference().enabled && (settings_.policy != Policy::backup || choice_.contains(path));
  std::array<uint8_t, CP_HEARTBEAT_SIZE> frame{};
  wire::write_frame(path.next_heartbeat(now, !wanted), frame.data());
  const std::vector<uint8_t> datagram = slot.session->seal_control(context_.aead, frame);
  if (datagram.empty()) return false;
  context_.send(path.route(), datagram);
  path.on_sent(datagram.size());
  return true;
}

std::vector<PathProbe> Peer::probe(Instant now) {
  std::vector<PathProbe> probes;
  SessionSlot* current = sessions_.current();
  for (const auto& path : paths_.all()) {
    PathProbe probe{.path = path->id(),
                    .uplink = uplink_name(context_, path->route().uplink),
                    .route = path->route(),
                    .sending = current != nullptr && choice_.contains(*path)};
    if (current != nullptr && heartbeat_allowed(*path)) {
      const uint32_t number = path->probe();
      if (emit_heartbeat(*path, *current, now)) probe.number = number;
    }
    probes.push_back(std::move(probe));
  }
  return probes;
}

void Peer::answers(std::vector<PathProbe>& probes) const {
  for (PathProbe& probe : probes) {
    const auto path = std::ranges::find(paths_.all(), probe.path, [](const auto& one) { return one->id(); });
    if (path != paths_.all().end() && probe.number != 0) probe.rtt = (*path)->round_trip_of(probe.number);
  }
}

PathStatus Peer::status_of(const Path& path) const {
  using Row = PathCounters::Row;
  const PathCounters& counters = *path.counters();
  PathStatus status;
  status.id = path.id();
  status.uplink = path.route().uplink;
  if (const auto uplink = context_.uplinks.find(status.uplink); uplink != context_.uplinks.end())
    status.uplink_name = uplink->second.name;
  status.enabled = path.preference().enabled;
  status.priority = path.preference().priority;
  status.local = path.route().local;
  status.remote = path.route().remote;
  status.configured = path.configured();
  status.sending = sessions_.current() != nullptr && choice_.contains(path);
  status.state = path.state();
  status.rtt = path.rtt().smoothed();
  status.rtt_variation = path.rtt().variation();
  status.loss_in = path.loss_in();
  status.loss_out = path.loss_out();
  status.sent_packets = counters.sum(&Row::sent_packets);
  status.sent_bytes = counters.sum(&Row::sent_bytes);
  status.send_errors = counters.sum(&Row::send_errors);
  status.first_packets = counters.sum(&Row::first_packets);
  status.first_bytes = counters.sum(&Row::first_bytes);
  status.duplicates_early = counters.dropped_early.load(std::memory_order_relaxed);
  status.duplicates_worker = counters.sum(&Row::duplicate_packets);
  return status;
}

}  // namespace centipede::control
