// The two-message handshake (docs/protocol.md, section 2) as a pure transcript: no clock, no randomness, no I/O; the
// caller brings ephemeral secrets, timestamps and session ids, so that a known-answer transcript can be frozen.
//
//   initiator                                            responder
//   Initiator::start() ── initiation (216 bytes) ──▶     OpenedInitiation::open()   decrypts: who claims to call?
//                                                        (caller: known peer? newer timestamp? rate?)
//                                                        .verify()                  checks the signature
//   .finish()          ◀── response (184 bytes) ───      .respond()                 → session keys
//   → session keys
//
// Every failure is a HandshakeFailure to count; none leaves a changed object behind. Secrets wipe themselves.
#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <optional>

#include "base/bytes.h"
#include "crypto/cookie.h"
#include "crypto/keys.h"
#include "crypto/secret.h"
#include "wire/message.h"

namespace centipede::crypto {

enum class HandshakeFailure : uint8_t {
  malformed,      // length, header or parameters
  bad_mac1,       // the sender does not know whom it calls
  bad_ephemeral,  // low-order point
  bad_box,        // does not decrypt: other keys, another preshared key or damage
  bad_identity,   // not the key that the box claims
  bad_signature,
  unexpected_sid,  // a response to another initiation
};

// Nanoseconds since 1970, rounded down to a multiple of the quantum.
inline constexpr uint64_t timestamp_quantum_ns = uint64_t{1} << 24;
// The year 2262: who claims a later time is not believed, for what was accepted must be a number that others can keep.
inline constexpr uint64_t greatest_timestamp_ns = (uint64_t{1} << 63) - 1;

// The traffic keys of one session as one side holds them.
struct SessionKeys {
  SecretKey send_key;
  std::array<uint8_t, 12> send_iv{};
  SecretKey receive_key;
  std::array<uint8_t, 12> receive_iv{};
  SecretKey exporter;
};

using InitiationBytes = std::array<uint8_t, CP_INITIATION_SIZE>;
using ResponseBytes = std::array<uint8_t, CP_RESPONSE_SIZE>;

struct Established {
  SessionKeys keys;
  wire::SessionId peer_sid = 0;  // goes into the headers of what we send
  wire::Params peer_params;
};

class Initiator {
 public:
  struct Inputs {
    const Identity& self;
    const PublicKey& responder;
    wire::SessionId sid;  // ours: what the responder will put into its headers
    uint64_t timestamp_ns;
    wire::Params params;
    const SecretKey& ephemeral_secret;  // 32 random bytes, used once
  };
  [[nodiscard]] static std::expected<Initiator, HandshakeFailure> start(const Inputs& inputs);

  // mac2 is all zero: each copy that is sent gets one of its own (control/call.h).
  [[nodiscard]] const InitiationBytes& message() const { return message_; }
  [[nodiscard]] wire::SessionId sid() const { return sid_; }
  [[nodiscard]] uint64_t timestamp_ns() const { return timestamp_ns_; }

  // psk: 32 zero bytes where none is configured. Leaves the object as it was, so that a forged response ends nothing.
  [[nodiscard]] std::expected<Established, HandshakeFailure> finish(const Identity& self, const SecretKey& psk,
                                                                    ConstBytes response) const;

 private:
  Initiator() = default;
  InitiationBytes message_{};
  wire::SessionId sid_ = 0;
  uint64_t timestamp_ns_ = 0;
  PublicKey responder_;
  SecretKey ephemeral_secret_;
  Secret<64> chaining_key_;
  std::array<uint8_t, 64> hash_{};
};

class OpenedInitiation {
 public:
  // Checks length, mac1, the ephemeral key and the box. What it finds inside is claimed until verify() succeeds: the
  // peer by the bytes of its key, so that a stranger's key is looked up, never computed with.
  [[nodiscard]] static std::expected<OpenedInitiation, HandshakeFailure> open(const Identity& self,
                                                                              ConstBytes initiation);

  [[nodiscard]] const PublicKeyBytes& claimed_peer() const { return claimed_peer_; }
  [[nodiscard]] uint64_t claimed_timestamp_ns() const { return timestamp_ns_; }
  [[nodiscard]] wire::SessionId claimed_sid() const { return peer_sid_; }
  [[nodiscard]] const wire::Params& claimed_params() const { return params_; }

  // peer: the known peer whose key is claimed_peer().
  [[nodiscard]] std::expected<void, HandshakeFailure> verify(const Identity& self, const PublicKey& peer);

  struct Response {
    ResponseBytes message;
    Established established;
  };
  // Only after verify() has succeeded. sid is ours: what the initiator will put into its headers.
  [[nodiscard]] std::expected<Response, HandshakeFailure> respond(const Identity& self, const SecretKey& psk,
                                                                  wire::SessionId sid, const wire::Params& params,
                                                                  const SecretKey& ephemeral_secret) const;

 private:
  OpenedInitiation() = default;
  PublicKeyBytes claimed_peer_{};
  std::optional<PublicKey> peer_;  // once verified
  uint64_t timestamp_ns_ = 0;
  wire::SessionId peer_sid_ = 0;
  wire::Params params_;
  PublicKeyBytes peer_ephemeral_{};
  std::array<uint8_t, 8 + wire::params_size> details_{};  // timestamp and parameters as they were signed
  std::array<uint8_t, 64> signature_{};
  std::array<uint8_t, 64> signed_hash_{};  // before the box, as the signature covers it
  Secret<64> chaining_key_;
  std::array<uint8_t, 64> hash_{};  // after the box
};

}  // namespace centipede::crypto
