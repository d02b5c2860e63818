// Calling one peer: the initiations under way and when the next one is due.
//
// Policy: attempts back off from initiation_retry_min to the longest interval, doubling, with 20 % of jitter, for ever.
// The longest is initiation_retry_max, or initiation_retry_recent to a peer that was there not long ago: an outage that
// nobody reports ends unnoticed, and a call every two seconds is still little beside the heartbeats of a working path.
// Each has a new ephemeral key, a new session id and a new timestamp: max(wall clock, last sent + one quantum), where
// "last sent" survives a restart, so that a clock that jumps back locks nobody out. The three newest attempts are kept,
// because over a slow link a response comes after the next attempt has left; when one completes, older ones are dropped
// and newer ones stay: the peer may have answered those too, and have dropped the one that completed. After 8 s an
// attempt is forgotten, and all are when a session of the peer's own call is confirmed: the peer no longer has what it
// answered, and somebody who held the answer back could have us send into a session that is none.
//
// The same initiation crosses all links, so who sits on one of them knows it. A copy that carries no cookie therefore
// has a random mac2 of its own, and a cookie reply opens only with that of the route it came in on: who sees one link
// cannot forge replies to what went over another. Each such copy is answered once, so replies cause no more copies than
// calls do. Threading: one thread. Secrets are wiped with the attempt.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "control/context.h"
#include "crypto/handshake.h"

namespace centipede::control {

class Call {
 public:
  struct Attempt {
    crypto::Initiator initiator;
    Instant sent;
    // Copies without a cookie that no cookie reply has come to yet; at most one for each path.
    std::vector<std::pair<Route, crypto::Mac>> unproven{};

    // The copy for a route whose cookie we hold, or have none for.
    [[nodiscard]] crypto::InitiationBytes copy_with(const crypto::Cookie& cookie) const;
    [[nodiscard]] crypto::InitiationBytes copy_without(const Route& route, Randomness& randomness);
    // The copy without a cookie that went over this route, as long as it is not answered.
    [[nodiscard]] std::optional<crypto::InitiationBytes> unanswered_copy(const Route& route) const;
    void answered(const Route& route);
  };

  // timestamp_floor_ns: no earlier call of ours had a greater timestamp.
  Call(const Timing& timing, uint64_t timestamp_floor_ns, Instant now);

  [[nodiscard]] bool due(Instant now) const { return now >= next_at_; }
  [[nodiscard]] Instant next_at() const { return next_at_; }
  // Whatever happened speaks for trying now: back to the fast pace, at most five attempts a second.
  void hurry(Instant now);
  // No attempt before `instant`.
  void postpone(Instant instant) { next_at_ = std::max(next_at_, instant); }
  void start_over(Instant first, Duration backoff);
  // Nobody needs to be called: the next need starts at the fast pace.
  void rest();

  // Makes the next attempt, of which copies are to be sent. Null when the peer's key allows no handshake.
  [[nodiscard]] Attempt* attempt(Context& context, PeerId peer, const crypto::PublicKey& key, Duration longest,
                                 Now now);
  [[nodiscard]] Attempt* find(wire::SessionId sid);
  // The last one made, if it is still under way.
  [[nodiscard]] const Attempt* newest() const { return attempts_.empty() ? nullptr : &attempts_.back(); }
  // The attempt has become a session, which owns its id now.
  void completed(Context& context, wire::SessionId sid);
  void forget(Context& context);
  void expire(Context& context, Instant now);
  [[nodiscard]] Instant next_expiry() const;

 private:
  void drop_oldest(Context& context, bool keep_sid);

  const Timing& timing_;
  std::vector<Attempt> attempts_;  // oldest first
  Instant next_at_;
  std::optional<Instant> last_at_;
  Duration backoff_;
  uint64_t last_timestamp_ns_;
};

}  // namespace centipede::control
