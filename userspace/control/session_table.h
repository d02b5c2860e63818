// The sessions of one peer: previous, current, next; at most five that receive.
//
// Policy
//   Current   the session we send on. An initiator's session becomes current when the response arrives; a responder's
//   when
//             a packet on it has authenticated, until then it only receives (unconfirmed: at most three, 10 s each).
//   Crossing  two sessions whose handshakes overlapped in time as we saw it. Both sides called at once, or a call was
//             repeated; of these the one whose initiation has the higher (timestamp, initiator's key) stays current, so
//             that both sides choose alike. Not crossing: the newer handshake wins, whatever its clock says, so that
//             a restarted peer is believed.
//   Following The two sides' views of "overlapped" can differ, and a confirmation can be lost for good. So a side that
//             hears its peer on another session for a while, and no longer on its own current one, goes over to that
//             one: the side with the lower public key soon, the other later, either of them after 5 s on a session that
//             was never heard on.
//   Replaced  still receives for max(overlap_min, 3 RTT) after its replacement or its last control packet.
//   Nothing sends or receives on a session older than reject_after.
// Threading: one thread.
#pragma once

#include <list>
#include <memory>
#include <optional>
#include <utility>

#include "control/heartbeat_history.h"
#include "control/settings.h"
#include "crypto/session.h"

namespace centipede::control {

struct SessionSlot {
  std::shared_ptr<crypto::Session> session;
  bool initiated_by_us = false;
  bool confirmed = false;
  uint64_t timestamp_ns = 0;  // of the initiation
  crypto::PublicKey initiator{};
  Instant handshake_begin;  // attempt sent / initiation accepted
  Instant handshake_end;    // response processed / confirmed
  Instant born;
  Instant rekey_at;
  Instant current_since{};
  std::optional<Instant> heard{};     // last authenticated control packet
  std::optional<Instant> replaced{};  // no longer current since
  HeartbeatHistory history{};

  [[nodiscard]] wire::SessionId sid() const { return session->local_sid(); }
};

class SessionTable {
 public:
  explicit SessionTable(const Timing& timing) : timing_(timing) {}

  [[nodiscard]] const std::list<SessionSlot>& all() const { return slots_; }  // by birth
  [[nodiscard]] SessionSlot* find(wire::SessionId sid);
  [[nodiscard]] SessionSlot* current() { return current_; }
  [[nodiscard]] const SessionSlot* current() const { return current_; }
  [[nodiscard]] bool has_unconfirmed() const;

  // A new session. An initiator's is a candidate for current at once. The session ids that had to make room are in
  // `removed`.
  using Removed = std::vector<wire::SessionId>;
  SessionSlot& add(SessionSlot slot, Instant now, Removed& removed);
  // A packet on it has authenticated. True when this made it current.
  bool confirm(SessionSlot& slot, Instant now);
  // The highest number that this path of the peer has shown, in this session or a newer one.
  [[nodiscard]] uint32_t highest_number(const SessionSlot& slot, uint16_t peer_path_id) const;

  // `heard_on` has just been heard. patience: how long without a packet on the current session is long.
  bool follow(SessionSlot& heard_on, Duration patience, bool lower_key, Instant now);

  Removed expire(Instant now, Duration largest_rtt);
  [[nodiscard]] Instant next_expiry(Duration largest_rtt) const;
  // The peer closed this session: it and all older ones go.
  Removed remove_up_to(wire::SessionId sid);
  Removed clear();

 private:
  void make_current(SessionSlot& slot, Instant now);
  [[nodiscard]] bool consider(SessionSlot& slot, Instant now);
  [[nodiscard]] Instant expiry_of(const SessionSlot& slot, Duration largest_rtt) const;
  template <class Condition>
  Removed remove_if(Condition condition);

  const Timing& timing_;
  std::list<SessionSlot> slots_;
  SessionSlot* current_ = nullptr;
};

}  // namespace centipede::control
