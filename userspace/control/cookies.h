// The cookies that a peer has sent us: one for each route, since a cookie proves one source address, good for
// limits.cookie_life and one further attempt. Bounded: the oldest makes room. Threading: plain value.
//
// One attempt, because a copy with a cookie cannot be challenged: its mac2 is no secret from who has seen the same
// cookie on another link, so no reply to it is taken. Should the cookie be no good any more, the attempt after that has
// none.
#pragma once

#include <algorithm>
#include <optional>
#include <vector>

#include "control/controller.h"
#include "crypto/cookie.h"

namespace centipede::control {

class Cookies {
 public:
  // For an attempt. Nothing: none that is still good.
  [[nodiscard]] std::optional<crypto::Cookie> take(const Route& route, Duration life, Instant now) {
    const auto held = std::ranges::find(held_, route, &Held::route);
    if (held == held_.end()) return std::nullopt;
    const Held taken = *held;
    held_.erase(held);
    return now >= taken.since + life ? std::nullopt : std::optional(taken.cookie);
  }
  // False: it is the one that is held.
  bool remember(const Route& route, const crypto::Cookie& cookie, Instant now) {
    const auto held = std::ranges::find(held_, route, &Held::route);
    const bool is_new = held == held_.end() || held->cookie != cookie;
    if (held != held_.end()) held_.erase(held);
    if (held_.size() == limit) held_.erase(held_.begin());
    held_.push_back({route, cookie, now});
    return is_new;
  }

 private:
  struct Held {
    Route route;
    crypto::Cookie cookie;
    Instant since;
  };
  static constexpr size_t limit = 32;
  std::vector<Held> held_;  // oldest first
};

}  // namespace centipede::control
