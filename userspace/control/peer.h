// One peer: its handshakes, sessions and paths tied together.
//
// Policy
//   Call      A peer is called when it is added and whenever there is no usable session, as long as there is somewhere
//   to
//             call: configured endpoints, or paths that were validated once. Also when the session is due for
//             replacement: by its initiator after rekey_after (a little earlier, at random) or rekey_after_packets, by
//             its responder when a third of the time to reject_after has passed on top of that; and when the session is
//             dead: no path is up and no echo has come for `down_after` intervals, since the peer may have restarted.
//             The old session stays in use until the new one is there. An initiation goes out on every candidate path
//             and every path that was validated. A link or a path that comes up makes us call at once if we were
//             calling. A peer under a flood answers with a cookie for the route: the call is repeated there at once,
//             with it.
//   Answer    known peer → newer timestamp → rate → signature; anything else is silence and one counter. A new session
//   is
//             receivable before the response leaves. Having answered, we hold our own call back for 2 s, once, so that
//             both sides do not call over each other.
//   Key       A preshared key that is kept in a file is read anew at each handshake; one that cannot be read leaves the
//             last one in force.
//   Silence   wipe_after without contact: sessions and pending secrets are wiped; a peer without endpoints is no longer
//             called.
//   Close     The session goes, the paths start over, and we call again after 2 s if we have endpoints.
// Which session is current: session_table.h. Paths: path.h, path_table.h, path_choice.h. Calls: call.h.
//
// After each event run() does what is due and computes the next deadline. Threading: one thread.
#pragma once

#include <memory>

#include "control/answers.h"
#include "control/call.h"
#include "control/cookies.h"
#include "control/path_choice.h"
#include "control/path_table.h"
#include "control/session_table.h"

namespace centipede::control {

class Peer {
 public:
  // accepted_ns: the newest timestamp ever accepted from it; 0: none.
  Peer(PeerId id, PeerSettings settings, uint64_t accepted_ns, Context& context, Now now);

  // Events. Each ends in run().
  void on_added(Now now);
  // New settings for the same public key. Sessions and validated paths stay.
  void update(PeerSettings settings, Now now);
  void set_resolved(std::vector<Endpoint> endpoints, Now now);
  void set_last_addresses(std::vector<Endpoint> endpoints, Now now);
  void on_uplinks_changed(bool gained, Now now);
  void on_initiation(crypto::OpenedInitiation& claimed, ConstBytes datagram, const Route& at, Now now);
  void on_response(wire::SessionId sid, ConstBytes datagram, Now now);
  void on_cookie(wire::SessionId sid, ConstBytes datagram, const Route& at, Now now);
  void on_control(wire::SessionId sid, ConstBytes datagram, const Route& at, Now now);
  void on_timer(Now now) { run(now); }
  // Close frames on every path, then nothing is left of sessions and calls. The last event of a peer.
  void say_goodbye(Instant now);

  [[nodiscard]] Instant next_deadline() const { return deadline_; }
  [[nodiscard]] const PeerSettings& settings() const { return settings_; }
  // Whether forwarding() may have changed since the last call of this.
  [[nodiscard]] bool take_changed() { return std::exchange(changed_, false); }
  [[nodiscard]] std::shared_ptr<const PeerForwarding> forwarding() const;
  void append_sessions(std::vector<ReceiveSession>& to) const;
  [[nodiscard]] PeerStatus status(Instant now) const;
  // Has names whose addresses are not known, or known ones over which it cannot be reached.
  [[nodiscard]] bool wants_resolving() const;
  std::vector<PathProbe> probe(Instant now);
  void answers(std::vector<PathProbe>& probes) const;
  // Of the newest initiation accepted; 0: none yet.
  [[nodiscard]] uint64_t accepted_timestamp_ns() const { return answers_.newest_timestamp_ns(); }

 private:
  // peer.cpp
  void run(Now now);
  void expire(Instant now);
  void wipe(Instant now);
  void endpoints_changed(Instant now);
  [[nodiscard]] PathTable::Change refresh_paths(Instant now);
  [[nodiscard]] bool has_endpoints() const { return !settings_.endpoints.empty() || !settings_.host_endpoints.empty(); }
  void call_if_needed(Now now);
  [[nodiscard]] bool call_wanted(Instant now) const;
  [[nodiscard]] bool can_call() const;
  [[nodiscard]] Duration longest_call_interval(Instant now) const;
  [[nodiscard]] bool dead(Instant now) const { return now >= dead_at(); }
  [[nodiscard]] Instant dead_at() const;
  [[nodiscard]] Instant compute_deadline(Instant now) const;

  // peer_handshake.cpp
  void send_initiation(Call::Attempt& attempt, const Route& route, Instant now);
  [[nodiscard]] const crypto::SecretKey& preshared_key();
  void answer_copy(crypto::OpenedInitiation& claimed, ConstBytes datagram, const Route& at);
  void install_answer(const crypto::OpenedInitiation& initiation, ConstBytes datagram, const Route& at, Instant now);
  SessionSlot& install(SessionSlot slot, Instant now);
  void became_current(const SessionSlot& slot, Instant now);
  void on_close(const SessionSlot& slot, Instant now);
  void session_lost(Instant now, bool forget_validation);
  void remove_sessions(const SessionTable::Removed& sids);

  // peer_paths.cpp
  [[nodiscard]] Pace pace() const;
  void on_heartbeat(SessionSlot& slot, const wire::Heartbeat& heartbeat, size_t datagram_bytes, const Route& at,
                    Instant now);
  void after_heartbeat(Path& path, const Path::Arrival& arrival, Instant now);
  void run_paths(Instant now);
  void greet(SessionSlot& slot, Instant now);
  void send_heartbeat(Path& path, SessionSlot& slot, Instant now);
  bool emit_heartbeat(Path& path, SessionSlot& slot, Instant now);
  void prefer_paths();
  void report_path(const Path& path);
  void report(const PathTable::Change& change);
  void report(const char* kind, const std::string& text, std::string uplink = {},
              Event::Level level = Event::Level::info);
  [[nodiscard]] PathStatus status_of(const Path& path) const;

  PeerId id_;
  bool lower_key_;  // ours is lower than the peer's
  PeerSettings settings_;
  std::unique_ptr<const std::vector<Endpoint>> resolved_;  // what host_endpoints stand for; null: nothing yet
  // From before this process; null: none, or forgotten because a path is up.
  std::unique_ptr<const std::vector<Endpoint>> last_addresses_;
  Context& context_;
  crypto::SecretKey preshared_key_;  // as it was read last

  SessionTable sessions_;
  Call call_;
  Answers answers_;
  crypto::ReceiverKeys peer_keys_;
  Cookies cookies_;
  PathTable paths_;
  PathChoice choice_;

  Instant last_contact_;  // anything authenticated
  Instant alive_at_;      // last echo, or a new session
  Duration handshake_rtt_{};
  std::optional<Instant> held_back_at_;  // when our own call was last held back
  std::optional<Instant> last_handshake_;
  uint64_t handshakes_ = 0;
  unsigned unanswered_calls_ = 0;
  bool key_file_unreadable_ = false;
  bool hosts_resolved_ = false;  // since host_endpoints were set
  bool wiped_ = false;
  bool changed_ = true;
  Instant deadline_ = never;
};

}  // namespace centipede::control
