#include "control/path.h"

#include <algorithm>

namespace centipede::control {
namespace {

constexpr uint64_t amplification_limit = 3;
constexpr Duration longest_round_trip = seconds(10);

uint64_t as_microseconds(Instant instant) {
  return static_cast<uint64_t>(std::chrono::duration_cast<microseconds>(instant.time_since_epoch()).count());
}

uint32_t clamp_microseconds(Duration span) {
  const auto count = std::chrono::duration_cast<microseconds>(span).count();
  return static_cast<uint32_t>(std::clamp<int64_t>(count, 0, UINT32_MAX));
}

}  // namespace

Path::Path(uint16_t id, const Route& route, bool configured, unsigned workers, uint64_t token, Instant now)
    : id_(id),
      route_(route),
      configured_(configured),
      created_at_(now),
      state_since_(now),
      counters_(std::make_shared<PathCounters>(workers)),
      token_(token),
      last_echo_at_(now),
      echo_due_from_(now),
      next_heartbeat_(now),
      peer_number_at_(now) {}

void Path::enter(PathState state, Instant now) {
  state_ = state;
  state_since_ = now;
}

void Path::restart(uint64_t token, Instant now, bool forget_validation) {
  enter(PathState::probing, now);
  token_ = token;
  if (forget_validation) was_validated_ = false;
  transit_ = {};
  next_heartbeat_ = now;
  probe_interval_ = Duration::zero();
}

void Path::probe_soon(Instant now, const Pace& pace) {
  next_heartbeat_ = now;
  probe_interval_ = pace.interval;
}

bool Path::may_send(size_t bytes) const {
  if (configured_ || was_validated_) return true;
  return sent_bytes_ + bytes <= amplification_limit * received_bytes_;
}

wire::Heartbeat Path::next_heartbeat(Instant now, bool backup) {
  wire::Heartbeat heartbeat;
  heartbeat.path_id = id_;
  heartbeat.number = next_number_;
  sent_at_[next_number_ % remembered_numbers] = now;
  ++next_number_;
  heartbeat.send_time_us = as_microseconds(now);
  if (peer_number_ != 0) {
    heartbeat.flags |= wire::Heartbeat::flag_has_echo;
    heartbeat.echoed_number = peer_number_;
    heartbeat.echo_delay_us = clamp_microseconds(now - peer_number_at_);
  }
  const bool probes = !probes_.empty() && probes_.back().number == heartbeat.number;
  if (!is_up() || probes) heartbeat.flags |= wire::Heartbeat::flag_want_echo;
  if (backup) heartbeat.flags |= wire::Heartbeat::flag_backup;
  heartbeat.token = token_;
  heartbeat.token_echo = peer_token_;
  heartbeat.packets_sent = counters_->sum(&PathCounters::Row::sent_packets);
  heartbeat.packets_received = counters_->sum(&PathCounters::Row::first_packets) + counters_->copies();
  heartbeat.heartbeats_received = heartbeats_received_;
  return heartbeat;
}

uint32_t Path::probe() {
  if (probes_.size() == remembered_probes) probes_.erase(probes_.begin());
  probes_.push_back({.number = next_number_, .round_trip = std::nullopt});
  return next_number_;
}

std::optional<Duration> Path::round_trip_of(uint32_t number) const {
  const auto probe = std::ranges::find(probes_, number, &Probe::number);
  return probe == probes_.end() ? std::nullopt : probe->round_trip;
}

void Path::schedule_heartbeat(Instant now, const Pace& pace, Duration jittered_interval) {
  if (is_up()) {
    next_heartbeat_ = now + jittered_interval;
    return;
  }
  probe_interval_ = std::max(probe_interval_, pace.interval);
  next_heartbeat_ = now + probe_interval_ + (jittered_interval - pace.interval);
  probe_interval_ = std::min(2 * probe_interval_, std::max(pace.probe_interval_max, pace.interval));
}

std::optional<Duration> Path::round_trip(const wire::Heartbeat& heartbeat, Instant now) const {
  if ((heartbeat.flags & wire::Heartbeat::flag_has_echo) == 0) return std::nullopt;
  const uint32_t number = heartbeat.echoed_number;
  const bool remembered = number != 0 && number < next_number_ && next_number_ - number <= remembered_numbers;
  if (!remembered) return std::nullopt;
  const Duration elapsed = now - sent_at_[number % remembered_numbers];
  const Duration trip = std::max(elapsed - Duration(microseconds(heartbeat.echo_delay_us)), Duration::zero());
  return trip <= longest_round_trip ? std::optional(trip) : std::nullopt;
}

bool Path::take_echo(const wire::Heartbeat& heartbeat, Duration trip, Instant now, const Pace& pace) {
  const uint32_t number = heartbeat.echoed_number;
  if (number <= last_echoed_) {
    const Duration elapsed = now - sent_at_[number % remembered_numbers];
    return elapsed <= 2 * (pace.interval + rtt_.smoothed().value_or(Duration::zero()));
  }
  last_echoed_ = number;
  loss_out_.on_report(number, heartbeat.heartbeats_received);
  rtt_.add(trip);
  return true;
}

Path::Arrival Path::on_heartbeat(const wire::Heartbeat& heartbeat, size_t datagram_bytes, Instant now,
                                 const Pace& pace) {
  Arrival arrival;
  received_bytes_ += datagram_bytes;
  // An authentic heartbeat of another of the peer's paths, sent here by somebody who holds it back there: a path that
  // is up changes its mind about whose it is only for one that proves, by our token, that its sender hears us here.
  if (is_up() && peer_number_ != 0 && heartbeat.path_id != peer_path_id_ && heartbeat.token_echo != token_)
    return arrival;
  heard_at_ = now;
  peer_path_id_ = heartbeat.path_id;
  peer_number_ = heartbeat.number;
  peer_number_at_ = now;
  if (loss_in_.on_number(heartbeat.path_id, heartbeat.number)) ++heartbeats_received_;
  const bool token_is_new = heartbeat.token != peer_token_;
  peer_token_ = heartbeat.token;

  const auto trip = round_trip(heartbeat, now);
  const auto probe = std::ranges::find(probes_, heartbeat.echoed_number, &Probe::number);
  if (trip && probe != probes_.end() && !probe->round_trip) probe->round_trip = trip;
  transit_.add(heartbeat.send_time_us, as_microseconds(now));
  arrival.echo = trip && take_echo(heartbeat, *trip, now, pace);
  if (!is_up() && trip && heartbeat.token_echo == token_) {
    arrival.validated = true;
    was_validated_ = true;
    enter(PathState::active, now);
    // The echoes of heartbeats sent from now on cannot be here before one round trip.
    last_echo_at_ = now;
    echo_due_from_ = now + rtt_.smoothed().value_or(Duration::zero());
    next_heartbeat_ = std::min(next_heartbeat_, now + pace.interval);
  } else if (arrival.echo && is_up()) {
    last_echo_at_ = now;
    echo_due_from_ = std::max(echo_due_from_, now);
    if (state_ == PathState::degraded) {
      arrival.recovered = true;
      enter(PathState::active, now);
    }
  } else if (!is_up()) {
    // The peer is there: worth probing at the fast pace again.
    probe_interval_ = pace.interval;
    next_heartbeat_ = std::min(next_heartbeat_, now + pace.interval);
  }
  const bool wanted = (heartbeat.flags & wire::Heartbeat::flag_want_echo) != 0;
  arrival.answer_now = (wanted || token_is_new) && answers_.take(now);
  return arrival;
}

void Path::on_late_heartbeat(const wire::Heartbeat& heartbeat) {
  if (!heard_at_ || heartbeat.path_id != peer_path_id_ || heartbeat.number >= peer_number_) return;
  if (peer_number_ - heartbeat.number >= remembered_numbers) return;
  if (loss_in_.on_number(heartbeat.path_id, heartbeat.number)) ++heartbeats_received_;
}

bool Path::on_timer(Instant now, const Pace& pace, uint64_t new_token) {
  if (!is_up()) return false;
  if (now >= echo_due_from_ + pace.interval * pace.down_after) {
    enter(PathState::down, now);
    token_ = new_token;
    probe_soon(now, pace);
    return true;
  }
  if (state_ == PathState::active && now >= echo_due_from_ + pace.interval * pace.degraded_after) {
    enter(PathState::degraded, now);
    return true;
  }
  return false;
}

Instant Path::state_deadline(const Pace& pace) const {
  if (state_ == PathState::active) return echo_due_from_ + pace.interval * pace.degraded_after;
  if (state_ == PathState::degraded) return echo_due_from_ + pace.interval * pace.down_after;
  return never;
}

}  // namespace centipede::control
