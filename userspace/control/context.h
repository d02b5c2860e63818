// What the controller lends to its peers: settings, randomness, the uplinks as they are now, the table of session ids
// and the list of actions that grows while an event is handled. Owned by the controller; one thread.
#pragma once

#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "control/controller.h"
#include "crypto/aead.h"

namespace centipede::control {

struct Context {
  const Settings& settings;
  Randomness& randomness;
  crypto::AeadProvider& aead;
  PresharedKeySource* key_files = nullptr;
  std::map<UplinkId, Uplink> uplinks{};
  // Who owns a session id of ours: one of a pending initiation or of a receiving session.
  std::unordered_map<wire::SessionId, PeerId> sids{};
  std::vector<Action> actions{};
  ControlCounters counters{};
  uint64_t timestamp_limit_ns = 0;   // reserved for us: no initiation has a greater timestamp
  uint64_t newest_timestamp_ns = 0;  // of our initiations to anybody

  [[nodiscard]] uint64_t random();
  // Evenly spread over span * (1 - spread) .. span * (1 + spread).
  [[nodiscard]] Duration jittered(Duration span, double spread);
  [[nodiscard]] crypto::SecretKey random_secret();
  // Random, not 0 and none of ours, remembered as the peer's until release_sid().
  [[nodiscard]] wire::SessionId take_sid(PeerId owner);
  void release_sid(wire::SessionId sid) { sids.erase(sid); }

  // Before an initiation with this timestamp leaves. Reserves a minute at a time, or where the clock is behind what was
  // reserved before a restart, a second: a process that starts again and again must not run ahead of the clock.
  void reserve_timestamp(uint64_t timestamp_ns, bool from_the_clock);

  void count(crypto::HandshakeFailure failure);
  void send(const Route& route, ConstBytes bytes);
  void report(Event event) { actions.emplace_back(std::move(event)); }
};

}  // namespace centipede::control
