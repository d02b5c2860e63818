#include "control/session_table.h"

#include <algorithm>

namespace centipede::control {
namespace {

constexpr size_t max_sessions = 5;
// As many and a little longer than a peer waits for answers to its calls (call.cpp): one that comes late, because
// somebody held it back, then still names a session that we have.
constexpr size_t max_unconfirmed = 3;
constexpr Duration unconfirmed_life = seconds(10);
constexpr Duration never_heard_patience = seconds(5);

bool outranks(const SessionSlot& a, const SessionSlot& b) {
  return std::pair(a.timestamp_ns, a.initiator.bytes()) > std::pair(b.timestamp_ns, b.initiator.bytes());
}

bool crossing(const SessionSlot& a, const SessionSlot& b) {
  return a.handshake_begin <= b.handshake_end && b.handshake_begin <= a.handshake_end;
}

}  // namespace

SessionSlot* SessionTable::find(wire::SessionId sid) {
  const auto slot = std::ranges::find(slots_, sid, &SessionSlot::sid);
  return slot == slots_.end() ? nullptr : &*slot;
}

bool SessionTable::has_unconfirmed() const {
  return std::ranges::any_of(slots_, [](const SessionSlot& slot) { return !slot.confirmed; });
}

template <class Condition>
SessionTable::Removed SessionTable::remove_if(Condition condition) {
  Removed removed;
  for (auto slot = slots_.begin(); slot != slots_.end();) {
    if (!condition(*slot)) {
      ++slot;
      continue;
    }
    if (current_ == &*slot) current_ = nullptr;
    removed.push_back(slot->sid());
    slot = slots_.erase(slot);
  }
  return removed;
}

void SessionTable::make_current(SessionSlot& slot, Instant now) {
  if (current_ != nullptr) current_->replaced = now;
  slot.replaced.reset();
  slot.current_since = now;
  current_ = &slot;
}

bool SessionTable::consider(SessionSlot& slot, Instant now) {
  if (current_ == nullptr || !crossing(slot, *current_) || outranks(slot, *current_)) {
    make_current(slot, now);
    return true;
  }
  slot.replaced = now;
  return false;
}

SessionSlot& SessionTable::add(SessionSlot slot, Instant now, Removed& removed) {
  const auto oldest = [&](auto condition) {
    const auto victim = std::ranges::find_if(slots_, condition);
    if (victim == slots_.end()) return;
    removed.push_back(victim->sid());
    slots_.erase(victim);
  };
  const auto unconfirmed = [](const SessionSlot& other) { return !other.confirmed; };
  if (!slot.confirmed && std::ranges::count_if(slots_, unconfirmed) >= static_cast<ptrdiff_t>(max_unconfirmed))
    oldest(unconfirmed);
  if (slots_.size() >= max_sessions)
    oldest([&](const SessionSlot& other) { return &other != current_ && other.confirmed; });
  if (slots_.size() >= max_sessions) oldest([&](const SessionSlot& other) { return &other != current_; });

  slots_.push_back(std::move(slot));
  SessionSlot& added = slots_.back();
  if (added.confirmed) (void)consider(added, now);
  return added;
}

bool SessionTable::confirm(SessionSlot& slot, Instant now) {
  slot.heard = now;
  if (slot.confirmed) return false;
  slot.confirmed = true;
  slot.handshake_end = now;
  return consider(slot, now);
}

uint32_t SessionTable::highest_number(const SessionSlot& slot, uint16_t peer_path_id) const {
  uint32_t highest = 0;
  bool newer = false;
  for (const SessionSlot& other : slots_) {
    newer = newer || &other == &slot;
    if (newer) highest = std::max(highest, other.history.highest(peer_path_id));
  }
  return highest;
}

bool SessionTable::follow(SessionSlot& heard_on, Duration patience, bool lower_key, Instant now) {
  if (&heard_on == current_ || !heard_on.confirmed) return false;
  if (current_ == nullptr) {
    make_current(heard_on, now);
    return true;
  }
  const bool never_heard = !current_->heard;
  const Instant since = std::max(current_->heard.value_or(current_->current_since), current_->current_since);
  const Duration wait = never_heard ? std::max(never_heard_patience, patience) : lower_key ? patience : 3 * patience;
  if (now < since + wait) return false;
  make_current(heard_on, now);
  return true;
}

Instant SessionTable::expiry_of(const SessionSlot& slot, Duration largest_rtt) const {
  Instant expiry = slot.born + timing_.reject_after;
  if (!slot.confirmed) expiry = std::min(expiry, slot.born + unconfirmed_life);
  if (slot.replaced) {
    const Instant in_use = std::max(*slot.replaced, slot.heard.value_or(*slot.replaced));
    expiry = std::min(expiry, in_use + std::max(timing_.overlap_min, 3 * largest_rtt));
  }
  return expiry;
}

SessionTable::Removed SessionTable::expire(Instant now, Duration largest_rtt) {
  return remove_if([&](const SessionSlot& slot) { return now >= expiry_of(slot, largest_rtt); });
}

Instant SessionTable::next_expiry(Duration largest_rtt) const {
  Instant next = never;
  for (const SessionSlot& slot : slots_)
    next = std::min(next, expiry_of(slot, largest_rtt));
  return next;
}

SessionTable::Removed SessionTable::remove_up_to(wire::SessionId sid) {
  bool reached = false;
  return remove_if([&](const SessionSlot& slot) {
    const bool goes = !reached;
    reached = reached || slot.sid() == sid;
    return goes;
  });
}

SessionTable::Removed SessionTable::clear() {
  return remove_if([](const SessionSlot&) { return true; });
}

}  // namespace centipede::control
