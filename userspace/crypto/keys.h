// Identities. A peer is known by its Ed25519 public key; the private key is the 32-byte Ed25519 seed (RFC 8032),
// written as base64 by `centipede genkey`. Diffie-Hellman uses the X25519 conversion of both (libsodium). Keys with low
// order or in a non-canonical encoding are refused when they are read. Threading: immutable after construction. Call
// crypto::initialise() once before anything else of this layer.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "crypto/secret.h"

namespace centipede::crypto {

// sodium_init(); safe to call again.
[[nodiscard]] Result<void> initialise();

using PublicKeyBytes = std::array<uint8_t, 32>;

// An Ed25519 public key that has passed validation.
class PublicKey {
 public:
  PublicKey() = default;  // all zero: no key
  [[nodiscard]] static std::optional<PublicKey> from_bytes(ConstBytes thirty_two_bytes);
  [[nodiscard]] static std::optional<PublicKey> from_base64(std::string_view text);
  [[nodiscard]] std::string base64() const;
  [[nodiscard]] const PublicKeyBytes& bytes() const { return ed25519_; }
  [[nodiscard]] const PublicKeyBytes& x25519() const { return x25519_; }

  bool operator==(const PublicKey& other) const { return ed25519_ == other.ed25519_; }
  auto operator<=>(const PublicKey& other) const { return ed25519_ <=> other.ed25519_; }

 private:
  PublicKeyBytes ed25519_{};
  PublicKeyBytes x25519_{};
};

// Keys of the MACs in messages to one receiver (crypto/cookie.h). Whoever knows its public key can compute them.
using MacKey = std::array<uint8_t, 16>;
struct ReceiverKeys {
  MacKey mac1{};
  MacKey cookie{};
};
[[nodiscard]] ReceiverKeys receiver_keys(const PublicKey& receiver);

class Identity {
 public:
  [[nodiscard]] static Identity generate();
  [[nodiscard]] static Identity from_seed(const SecretKey& seed);
  [[nodiscard]] static std::optional<Identity> from_base64(std::string_view text);
  [[nodiscard]] Identity clone() const;

  [[nodiscard]] const PublicKey& public_key() const { return public_key_; }
  // The seed as base64. Holds a secret: wipe it after use (sodium_memzero).
  [[nodiscard]] std::string private_base64() const;
  [[nodiscard]] std::array<uint8_t, 64> sign(ConstBytes message) const;
  [[nodiscard]] const SecretKey& x25519_private() const { return x25519_private_; }
  // Of messages to us.
  [[nodiscard]] const ReceiverKeys& receiver_keys() const { return receiver_keys_; }

 private:
  Identity() = default;
  SecretKey seed_;
  Secret<64> signing_key_;
  SecretKey x25519_private_;
  PublicKey public_key_;
  ReceiverKeys receiver_keys_;
};

[[nodiscard]] bool verify(const PublicKey& signer, ConstBytes message, ConstBytes signature);

// Exactly 32 bytes in standard base64 with padding, as `wg` writes keys; used for preshared keys too.
[[nodiscard]] std::optional<SecretKey> secret_from_base64(std::string_view text);
[[nodiscard]] std::string to_base64(ConstBytes bytes);

}  // namespace centipede::crypto
