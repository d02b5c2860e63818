#include "control/call.h"

#include <algorithm>

namespace centipede::control {
namespace {

constexpr size_t max_attempts = 3;
constexpr Duration attempt_life = seconds(8);  // less than the peer keeps an answer that nobody confirms
constexpr Duration shortest_gap = milliseconds(200);
constexpr double backoff_jitter = 0.2;
// Leaves room for calls above a floor that makes no sense.
constexpr uint64_t highest_floor_ns = crypto::greatest_timestamp_ns - (uint64_t{1} << 60);

uint64_t rounded_down(uint64_t timestamp_ns) {
  return timestamp_ns - timestamp_ns % crypto::timestamp_quantum_ns;
}

}  // namespace

Call::Call(const Timing& timing, uint64_t timestamp_floor_ns, Instant now)
    : timing_(timing),
      next_at_(now),
      backoff_(timing.initiation_retry_min),
      last_timestamp_ns_(rounded_down(std::min(timestamp_floor_ns, highest_floor_ns))) {}

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

crypto::InitiationBytes Call::Attempt::copy_with(const crypto::Cookie& cookie) const {
  crypto::InitiationBytes copy = initiator.message();
  crypto::write_mac2(cookie, copy);
  return copy;
}

crypto::InitiationBytes Call::Attempt::copy_without(const Route& route, Randomness& randomness) {
  crypto::InitiationBytes copy = initiator.message();
  const Bytes mac2 = Bytes(copy).last(CP_MAC_SIZE);
  randomness.fill(mac2);
  std::ranges::copy(mac2, unproven.emplace_back(route, crypto::Mac{}).second.begin());
  return copy;
}

std::optional<crypto::InitiationBytes> Call::Attempt::unanswered_copy(const Route& route) const {
  const auto sent_there = std::ranges::find(unproven, route, [](const auto& each) { return each.first; });
  if (sent_there == unproven.end()) return std::nullopt;
  crypto::InitiationBytes copy = initiator.message();
  std::ranges::copy(sent_there->second, copy.end() - CP_MAC_SIZE);
  return copy;
}

void Call::Attempt::answered(const Route& route) {
  std::erase_if(unproven, [&](const auto& each) { return each.first == route; });
}

Call::Attempt* Call::attempt(Context& context, PeerId peer, const crypto::PublicKey& key, Duration longest, Now now) {
  const uint64_t of_the_clock = rounded_down(now.wall.ns);
  last_timestamp_ns_ = std::max(of_the_clock, last_timestamp_ns_ + crypto::timestamp_quantum_ns);
  context.reserve_timestamp(last_timestamp_ns_, last_timestamp_ns_ == of_the_clock);
  next_at_ = now.monotonic + context.jittered(backoff_, backoff_jitter);
  last_at_ = now.monotonic;
  backoff_ = std::min(2 * backoff_, std::max(longest, timing_.initiation_retry_min));

  if (attempts_.size() == max_attempts) drop_oldest(context, false);
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
  context.actions.emplace_back(CallStarted{sid});
  return &attempts_.back();
}

Call::Attempt* Call::find(wire::SessionId sid) {
  const auto attempt = std::ranges::find_if(attempts_, [&](const Attempt& a) { return a.initiator.sid() == sid; });
  return attempt == attempts_.end() ? nullptr : &*attempt;
}

void Call::completed(Context& context, wire::SessionId sid) {
  while (!attempts_.empty()) {
    const bool reached = attempts_.front().initiator.sid() == sid;
    drop_oldest(context, reached);
    if (reached) return;
  }
}

void Call::forget(Context& context) {
  while (!attempts_.empty())
    drop_oldest(context, false);
}

void Call::drop_oldest(Context& context, bool keep_sid) {
  const wire::SessionId sid = attempts_.front().initiator.sid();
  if (!keep_sid) context.release_sid(sid);
  context.actions.emplace_back(CallEnded{sid});
  attempts_.erase(attempts_.begin());
}

void Call::expire(Context& context, Instant now) {
  while (!attempts_.empty() && now >= attempts_.front().sent + attempt_life)
    drop_oldest(context, false);
}

Instant Call::next_expiry() const {
  return attempts_.empty() ? never : attempts_.front().sent + attempt_life;
}

}  // namespace centipede::control
