#include "control/gate.h"

#include <algorithm>

#include "control/controller.h"

namespace centipede::control {
namespace {

constexpr size_t ipv6_network_bytes = 8;

// What counts as one source: an IPv4 address, or an IPv6 network of 64 bits, which one host may have all to itself.
std::array<uint8_t, 16> prefix_of(const IpAddress& address) {
  std::array<uint8_t, 16> prefix{};
  const ConstBytes bytes = address.bytes();
  if (address.is_v4()) {
    std::fill_n(prefix.begin() + 10, 2, uint8_t{0xff});
    std::ranges::copy(bytes, prefix.begin() + 12);
  } else {
    std::ranges::copy(bytes.first(std::min(bytes.size(), ipv6_network_bytes)), prefix.begin());
  }
  return prefix;
}

}  // namespace

Gate::Gate(const crypto::Identity& self, const GateLimits& limits, Randomness& randomness)
    : limits_(limits),
      randomness_(randomness),
      unproven_(limits.unproven_period, limits.unproven_burst),
      sources_(places, Source{{}, TokenBucket(limits.source_period, limits.source_burst)}) {
  secrets_.keys = self.receiver_keys();
  randomness_.fill({place_key_.data(), place_key_.size});
  // Counted from there: a system call for each reply would be a good part of what it costs.
  randomness_.fill({reinterpret_cast<uint8_t*>(&next_nonce_), sizeof next_nonce_});
  for (crypto::CookieSecret& secret : secrets_.secrets)
    randomness_.fill({secret.data(), secret.size});
}

bool Gate::rotate(Instant now) {
  if (now < next_rotation_) return false;
  const bool idle_for_long = next_rotation_ != Instant::min() && now >= next_rotation_ + limits_.cookie_life;
  secrets_.current ^= 1;
  crypto::CookieSecret& secret = secrets_.secrets[secrets_.current];
  randomness_.fill({secret.data(), secret.size});
  if (idle_for_long) randomness_.fill({secrets_.secrets[secrets_.current ^ 1].data(), secret.size});
  // Counted from when it was due: a late rotation must not lengthen the life of the secret before.
  const bool first = next_rotation_ == Instant::min();
  next_rotation_ = (first || idle_for_long ? now : next_rotation_) + limits_.cookie_life;
  return true;
}

Gate::Verdict Gate::judge(ConstBytes initiation, const Endpoint& source, Instant now) {
  if (!crypto::mac1_is_valid(secrets_.keys, initiation)) return Verdict::bad_mac1;
  if (proven(initiation, source)) {
    return within_source_rate(source.address, now) ? Verdict::admit : Verdict::source_limited;
  }
  return unproven_.take(now) ? Verdict::admit : Verdict::challenge;
}

bool Gate::proven(ConstBytes initiation, const Endpoint& source) const {
  return std::ranges::any_of(secrets_.secrets, [&](const crypto::CookieSecret& secret) {
    return crypto::mac2_is_valid(crypto::make_cookie(secret, source), initiation);
  });
}

bool Gate::within_source_rate(const IpAddress& source_address, Instant now) {
  const auto prefix = prefix_of(source_address);
  Source& source = sources_[crypto::keyed_hash(place_key_, prefix) % places];
  if (source.prefix != prefix) source = {prefix, TokenBucket(limits_.source_period, limits_.source_burst)};
  return source.rate.take(now);
}

crypto::CookieReply Gate::challenge(ConstBytes initiation, const Endpoint& source) {
  return crypto::seal_cookie(secrets_.keys, crypto::make_cookie(secrets_.secrets[secrets_.current], source), initiation,
                             next_nonce_++);
}

}  // namespace centipede::control
