// The cookies that a peer has sent us: one for each route, since a cookie proves one source address, and used for
// limits.cookie_life. Bounded: the oldest makes room. Threading: plain value.
#pragma once

#include <algorithm>
#include <vector>

#include "control/controller.h"
#include "crypto/cookie.h"

namespace centipede::control {

class Cookies {
 public:
  // Null: none that is still good.
  [[nodiscard]] const crypto::Cookie* find(const Route& route, Duration life, Instant now) const {
    const auto held = std::ranges::find(held_, route, &Held::route);
    return held == held_.end() || now >= held->since + life ? nullptr : &held->cookie;
  }
  void remember(const Route& route, const crypto::Cookie& cookie, Instant now) {
    std::erase_if(held_, [&](const Held& held) { return held.route == route; });
    if (held_.size() == limit) held_.erase(held_.begin());
    held_.push_back({route, cookie, now});
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
