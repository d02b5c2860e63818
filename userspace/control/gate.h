// The gate in front of the costly part of a handshake: which initiations get as far as the Diffie-Hellman.
//
// Policy (docs/protocol.md, section 2, "Under a flood"): mac1 must be right. Senders that have not proven their address
// share one rate, so that they cost a bounded part of a core; above it each is answered with a cookie, smaller than
// what it sent, and comes back with a valid mac2. Proven senders have a rate for each address, so unknown ones never
// starve them. There is no mode "under load": in quiet times the shared rate lets everybody through.
//
// The XDP program applies the same rules with the same secrets before a socket sees a datagram (bpf/shield.h); what
// comes past it (mode udp, fragments) meets them here first. Memory is bounded. Threading: one thread. Pure: no clock
// and no randomness of its own.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "control/settings.h"
#include "control/token_bucket.h"
#include "crypto/cookie.h"

namespace centipede::control {

class Randomness;

// What the XDP program needs to judge as the gate does.
struct ShieldSecrets {
  crypto::ReceiverKeys keys;
  std::array<crypto::CookieSecret, 2> secrets;
  unsigned current = 0;  // makes new cookies; the other one is accepted too
};

class Gate {
 public:
  Gate(const crypto::Identity& self, const GateLimits& limits, Randomness& randomness);

  enum class Verdict : uint8_t {
    bad_mac1,
    admit,
    challenge,       // answer with challenge()
    source_limited,  // silence
  };
  [[nodiscard]] Verdict judge(ConstBytes initiation, const Endpoint& source, Instant now);
  [[nodiscard]] crypto::CookieReply challenge(ConstBytes initiation, const Endpoint& source);

  // Before judge(): a new secret after limits.cookie_life, so that a cookie is good for one to two of them. True when
  // there is one. Nothing has to happen while nobody calls.
  bool rotate(Instant now);
  [[nodiscard]] const ShieldSecrets& secrets() const { return secrets_; }

 private:
  [[nodiscard]] bool proven(ConstBytes initiation, const Endpoint& source) const;
  [[nodiscard]] bool within_source_rate(const IpAddress& source_address, Instant now);

  // A source has one place, found by a keyed hash; one that takes the place of another starts with a full rate.
  struct Source {
    std::array<uint8_t, 16> prefix{};
    TokenBucket rate;
  };
  static constexpr size_t places = 4096;

  GateLimits limits_;
  Randomness& randomness_;
  TokenBucket unproven_;
  ShieldSecrets secrets_;
  crypto::CookieSecret place_key_;
  uint64_t next_nonce_ = 0;
  std::vector<Source> sources_;
  Instant next_rotation_ = Instant::min();
};

}  // namespace centipede::control
