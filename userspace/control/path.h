// One path to a peer: a 4-tuple (uplink, local address, remote endpoint), what we know of it, and its heartbeats.
//
// Policy
//   probing   no answer yet from this 4-tuple. Probed at the heartbeat interval first, then more and more slowly up to
//             probe_interval_max, for ever; each probe asks for an answer at once, so that a path is up after one round
//             trip.
//   active    our random token came back on this same 4-tuple, and echoes keep coming: one heartbeat an interval.
//   degraded  no echo for `degraded_after` intervals. An echo makes it active again.
//   down      no echo for `down_after` intervals. The token is rolled anew and probing starts over: only the new token,
//             from this 4-tuple, makes the path active again, since whoever has the address now may be somebody else.
// An echo is a heartbeat of the peer that names a recent number of ours: one it has not named before, or one sent no
// longer ago than two intervals and two round trips, so that a single lost heartbeat of ours worries nobody. RTT is the
// time since WE sent a newly named number, by our own record, less the delay that the peer states. What took longer
// than 10 s is neither an echo nor a proof: somebody held it back, and would make a path seem alive for as long again
// when the peer is long gone. A learned address that has not been validated is sent at most three times the bytes
// received from it; an endpoint that the user configured is our own will and has no such limit.
//
// Everything that arrives here has been authenticated by the caller. Threading: one thread.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "control/controller.h"
#include "control/loss.h"
#include "control/rtt.h"
#include "control/token_bucket.h"
#include "control/transit.h"
#include "wire/frame.h"

namespace centipede::control {

// How often heartbeats go out to this peer, and how patient we are.
struct Pace {
  Duration interval;
  Duration probe_interval_max;
  unsigned degraded_after;
  unsigned down_after;
};

// What the user wants of a path.
struct PathPreference {
  bool enabled = true;  // false: heartbeats, but no data of ours
  bool metered = false;
  uint32_t priority = 0;  // lower is preferred by policy backup
};

class Path {
 public:
  Path(uint16_t id, const Route& route, bool configured, unsigned workers, uint64_t token, Instant now);

  [[nodiscard]] uint16_t id() const { return id_; }
  [[nodiscard]] const Route& route() const { return route_; }
  [[nodiscard]] bool configured() const { return configured_; }
  void set_configured(bool configured) { configured_ = configured; }
  [[nodiscard]] const PathPreference& preference() const { return preference_; }
  void set_preference(const PathPreference& preference) { preference_ = preference; }
  [[nodiscard]] PathState state() const { return state_; }
  [[nodiscard]] bool is_up() const { return state_ == PathState::active || state_ == PathState::degraded; }
  // Has been active at some time, so that the peer is known to have been there.
  [[nodiscard]] bool was_validated() const { return was_validated_; }
  // The peer was reached at this remote from another address of ours, so the limit for unproven addresses does not
  // apply.
  void trust_remote() { was_validated_ = true; }
  [[nodiscard]] Instant created_at() const { return created_at_; }
  [[nodiscard]] Instant state_since() const { return state_since_; }
  [[nodiscard]] std::optional<Instant> heard_at() const { return heard_at_; }
  [[nodiscard]] Instant last_echo_at() const { return last_echo_at_; }
  [[nodiscard]] const RttEstimator& rtt() const { return rtt_; }
  [[nodiscard]] const Transit& transit() const { return transit_; }
  [[nodiscard]] std::optional<double> loss_in() const { return loss_in_.rate(); }
  [[nodiscard]] std::optional<double> loss_out() const { return loss_out_.rate(); }
  [[nodiscard]] const std::shared_ptr<PathCounters>& counters() const { return counters_; }
  // How many copies all paths of the peer had had when this one was made.
  [[nodiscard]] uint64_t copies_before() const { return copies_before_; }
  void set_copies_before(uint64_t copies) { copies_before_ = copies; }
  // The peer's name of the path whose heartbeats arrive here, and the highest of their numbers.
  [[nodiscard]] uint16_t peer_path_id() const { return peer_path_id_; }
  [[nodiscard]] uint32_t peer_number() const { return peer_number_; }

  // Back to the beginning, with a new token: the session is gone, or the peer said goodbye (then forget_validation).
  void restart(uint64_t token, Instant now, bool forget_validation);
  // Probe at once, at the fast pace: a new session, or a link that came back.
  void probe_soon(Instant now, const Pace& pace);

  // Sending. may_send() before every datagram to this path that is not data.
  [[nodiscard]] bool may_send(size_t bytes) const;
  [[nodiscard]] wire::Heartbeat next_heartbeat(Instant now, bool backup);
  // The one that next_heartbeat() makes next asks for an answer at once, and round_trip_of() will tell of it. Returns
  // its number.
  uint32_t probe();
  // Of a probe's number, once it has been answered; the last few probes are remembered.
  [[nodiscard]] std::optional<Duration> round_trip_of(uint32_t number) const;
  void on_sent(size_t bytes) { sent_bytes_ += bytes; }
  [[nodiscard]] bool heartbeat_due(Instant now) const { return now >= next_heartbeat_; }
  void schedule_heartbeat(Instant now, const Pace& pace, Duration jittered_interval);

  struct Arrival {
    bool echo = false;        // a recent number of ours came back
    bool validated = false;   // the path became active through our token
    bool recovered = false;   // degraded → active
    bool answer_now = false;  // the peer should hear from us before the next regular heartbeat
  };
  [[nodiscard]] Arrival on_heartbeat(const wire::Heartbeat& heartbeat, size_t datagram_bytes, Instant now,
                                     const Pace& pace);
  // Overtaken by a later one: counted as not lost, believed in nothing.
  void on_late_heartbeat(const wire::Heartbeat& heartbeat);

  // True when the state decayed. new_token is used when the path went down.
  [[nodiscard]] bool on_timer(Instant now, const Pace& pace, uint64_t new_token);
  [[nodiscard]] Instant state_deadline(const Pace& pace) const;
  [[nodiscard]] Instant next_heartbeat_at() const { return next_heartbeat_; }

 private:
  void enter(PathState state, Instant now);
  // Of the number that it names. Nothing: it names none, or one too old.
  [[nodiscard]] std::optional<Duration> round_trip(const wire::Heartbeat& heartbeat, Instant now) const;
  [[nodiscard]] bool take_echo(const wire::Heartbeat& heartbeat, Duration trip, Instant now, const Pace& pace);

  static constexpr size_t remembered_numbers = 64;
  static constexpr size_t remembered_probes = 8;
  struct Probe {
    uint32_t number = 0;
    std::optional<Duration> round_trip;
  };

  uint16_t id_;
  Route route_;
  bool configured_;
  PathPreference preference_;
  PathState state_ = PathState::probing;
  bool was_validated_ = false;
  Instant created_at_;
  Instant state_since_;
  std::shared_ptr<PathCounters> counters_;
  uint64_t copies_before_ = 0;

  uint64_t token_;
  uint64_t peer_token_ = 0;
  uint32_t next_number_ = 1;
  std::array<Instant, remembered_numbers> sent_at_{};  // of number n, at n % remembered_numbers
  uint32_t last_echoed_ = 0;
  Instant last_echo_at_;
  Instant echo_due_from_;  // patience counts from here
  Instant next_heartbeat_;
  Duration probe_interval_{};
  std::vector<Probe> probes_;  // oldest first

  std::optional<Instant> heard_at_;
  uint16_t peer_path_id_ = 0;
  uint32_t peer_number_ = 0;
  Instant peer_number_at_;
  uint32_t heartbeats_received_ = 0;
  uint64_t received_bytes_ = 0;
  uint64_t sent_bytes_ = 0;
  TokenBucket answers_{milliseconds(100), 4};

  RttEstimator rtt_;
  Transit transit_;
  InboundLoss loss_in_;
  OutboundLoss loss_out_;
};

}  // namespace centipede::control
