// Payloads of forged datagrams, of every kind that a stranger can make (include/centipede/wire.h). Threading: one
// thread. Needs libsodium to be started.
#pragma once

#include <sodium.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

using Payload = std::vector<uint8_t>;

struct Forgery {
  std::string kind;
  std::string key;    // public key of the victim in base64: initiations and responses get a true mac1
  std::string hex;    // control: the session id; replay: the datagram
  size_t size = 132;  // of data packets
};

class Forger {
 public:
  // Throws std::invalid_argument when something is no key or no hexadecimal number.
  explicit Forger(const Forgery& forgery);
  // One more datagram of the kind, different from those before as far as the kind allows.
  Payload make();

 private:
  static Payload random(size_t size);
  static Payload handshake(uint8_t type, size_t size);
  void put_mac1(Payload& message, size_t offset) const;
  Payload packet(uint64_t lane, size_t size);
  Payload initiation();
  Payload response();
  Payload cookie();
  Payload unknown_session();
  Payload control();
  Payload replay();
  Payload noise();

  Forgery forgery_;
  Payload given_;
  std::array<uint8_t, crypto_shorthash_siphashx24_KEYBYTES> mac1_key_{};
  std::mt19937_64 numbers_{std::random_device{}()};
  Payload (Forger::*make_)();
};
