#include "control/call.h"

#include <algorithm>

namespace centipede::control {
namespace {

constexpr size_t max_attempts = 3;
constexpr Duration attempt_life = seconds(60);
constexpr Duration shortest_gap = milliseconds(200);
constexpr double backoff_jitter = 0.2;

}  // namespace

void Call::hurry(Instant now) {
  backoff_ = timing_.initiation_retry_min;
  next_at_ = last_at_ ? std::max(now, *last_at_ + shortest_gap) : now;
}

void Call::rest() {
  backoff_ = timing_.initiation_retry_min;
  if (last_at_) next_at_ = *last_at_ + shortest_gap;
}

void Call::start_over(Instant first, Duration backoff) {
  next_at_ = first;
  backoff_ = std::clamp(backoff, timing_.initiation_retry_min, timing_.initiation_retry_max);
}

const crypto::InitiationBytes* Call::attempt(Context& context, PeerId peer, const crypto::PublicKey& key, Now now) {
  const uint64_t rounded = now.wall.ns - now.wall.ns % crypto::timestamp_quantum_ns;
  last_timestamp_ns_ = std::max(rounded, last_timestamp_ns_ + crypto::timestamp_quantum_ns);
  next_at_ = now.monotonic + context.jittered(backoff_, backoff_jitter);
  last_at_ = now.monotonic;
  backoff_ = std::min(2 * backoff_, timing_.initiation_retry_max);

  if (attempts_.size() == max_attempts) {
    context.release_sid(attempts_.front().initiator.sid());
    attempts_.pop_front();
  }
  const crypto::SecretKey ephemeral = context.random_secret();
  const wire::SessionId sid = context.take_sid(peer);
  auto initiator = crypto::Initiator::start({.self = context.settings.identity,
                                             .responder = key,
                                             .sid = sid,
                                             .timestamp_ns = last_timestamp_ns_,
                                             .params = context.settings.params,
                                             .ephemeral_secret = ephemeral});
  if (!initiator) {
    context.release_sid(sid);
    return nullptr;
  }
  attempts_.push_back({std::move(*initiator), now.monotonic});
  return &attempts_.back().initiator.message();
}

const Call::Attempt* Call::find(wire::SessionId sid) const {
  const auto attempt = std::ranges::find_if(attempts_, [&](const Attempt& a) { return a.initiator.sid() == sid; });
  return attempt == attempts_.end() ? nullptr : &*attempt;
}

void Call::completed(Context& context, wire::SessionId sid) {
  while (!attempts_.empty()) {
    const bool reached = attempts_.front().initiator.sid() == sid;
    if (!reached) context.release_sid(attempts_.front().initiator.sid());
    attempts_.pop_front();
    if (reached) return;
  }
}

void Call::forget(Context& context) {
  for (const Attempt& attempt : attempts_)
    context.release_sid(attempt.initiator.sid());
  attempts_.clear();
}

void Call::expire(Context& context, Instant now) {
  while (!attempts_.empty() && now >= attempts_.front().sent + attempt_life) {
    context.release_sid(attempts_.front().initiator.sid());
    attempts_.pop_front();
  }
}

Instant Call::next_expiry() const {
  return attempts_.empty() ? never : attempts_.front().sent + attempt_life;
}

}  // namespace centipede::control
