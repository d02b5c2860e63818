#include "control/context.h"

#include <algorithm>

namespace centipede::control {

uint64_t Context::random() {
  uint64_t value = 0;
  randomness.fill({reinterpret_cast<uint8_t*>(&value), sizeof value});
  return value;
}

Duration Context::jittered(Duration span, double spread) {
  constexpr double scale = 1.0 / 9007199254740992.0;  // 2^-53
  const double share = static_cast<double>(random() >> 11) * scale;
  const double factor = 1.0 + spread * (2.0 * share - 1.0);
  return Duration(static_cast<Duration::rep>(static_cast<double>(span.count()) * factor));
}

crypto::SecretKey Context::random_secret() {
  crypto::SecretKey secret;
  randomness.fill({secret.data(), crypto::SecretKey::size});
  return secret;
}

wire::SessionId Context::take_sid(PeerId owner) {
  for (;;) {
    const wire::SessionId sid = random();
    if (sid != 0 && sids.try_emplace(sid, owner).second) return sid;
  }
}

void Context::send(const Route& route, ConstBytes bytes) {
  actions.emplace_back(SendDatagram{route, {bytes.begin(), bytes.end()}});
}

void Context::reserve_timestamp(uint64_t timestamp_ns, bool from_the_clock) {
  newest_timestamp_ns = std::max(newest_timestamp_ns, timestamp_ns);
  const uint64_t reserve = from_the_clock ? 60'000'000'000 : 1'000'000'000;
  if (timestamp_ns + reserve / 2 <= timestamp_limit_ns) return;
  timestamp_limit_ns = timestamp_ns + reserve;
  actions.emplace_back(TimestampsChanged{});
}

void Context::count(crypto::HandshakeFailure failure) {
  using crypto::HandshakeFailure;
  switch (failure) {
    case HandshakeFailure::malformed:
      ++counters.malformed;
      return;
    case HandshakeFailure::bad_mac1:
      ++counters.bad_mac1;
      return;
    case HandshakeFailure::bad_ephemeral:
      ++counters.bad_ephemeral;
      return;
    case HandshakeFailure::bad_box:
      ++counters.bad_box;
      return;
    case HandshakeFailure::bad_identity:
      ++counters.bad_identity;
      return;
    case HandshakeFailure::bad_signature:
      ++counters.bad_signature;
      return;
    case HandshakeFailure::unexpected_sid:
      ++counters.unexpected_response;
      return;
  }
}

}  // namespace centipede::control
