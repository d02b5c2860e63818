#include "crypto/keys.h"

#include <sodium.h>

#include <algorithm>

#include "crypto/kdf.h"

namespace centipede::crypto {
namespace {

constexpr size_t base64_size = sodium_base64_ENCODED_LEN(32, sodium_base64_VARIANT_ORIGINAL) - 1;

// libsodium 1.0.18 reads a byte above 127 as some base64 digit, hence the look at the characters first.
bool decode_32(std::string_view text, uint8_t* out) {
  const auto is_ascii = [](char c) { return (static_cast<unsigned char>(c) & 0x80) == 0; };
  size_t size = 0;
  return text.size() == base64_size && std::ranges::all_of(text, is_ascii) &&
         sodium_base642bin(out, 32, text.data(), text.size(), nullptr, &size, nullptr,
                           sodium_base64_VARIANT_ORIGINAL) == 0 &&
         size == 32;
}

MacKey mac_key(std::string_view label, const PublicKey& receiver) {
  const Hash hash = blake2b({{reinterpret_cast<const uint8_t*>(label.data()), label.size()}, receiver.bytes()});
  MacKey key;
  std::copy_n(hash.begin(), key.size(), key.begin());
  return key;
}

}  // namespace

ReceiverKeys receiver_keys(const PublicKey& receiver) {
  return {mac_key("mac1", receiver), mac_key("cookie", receiver)};
}

Result<void> initialise() {
  if (sodium_init() < 0) return fail("initialising libsodium: it found no source of randomness");
  return {};
}

// The conversion refuses what is off the curve, of small order or outside the prime-order subgroup. One key has one
// spelling, too: only coordinates below 19 have a second one, and none of their points lies in that subgroup.
// crypto_core_ed25519_is_valid_point says the same.
std::optional<PublicKey> PublicKey::from_bytes(ConstBytes thirty_two_bytes) {
  PublicKey key;
  if (thirty_two_bytes.size() != key.ed25519_.size()) return std::nullopt;
  std::ranges::copy(thirty_two_bytes, key.ed25519_.begin());
  if (crypto_sign_ed25519_pk_to_curve25519(key.x25519_.data(), key.ed25519_.data()) != 0) return std::nullopt;
  return key;
}

std::optional<PublicKey> PublicKey::from_base64(std::string_view text) {
  PublicKeyBytes bytes;
  if (!decode_32(text, bytes.data())) return std::nullopt;
  return from_bytes(bytes);
}

std::string PublicKey::base64() const {
  return to_base64(ed25519_);
}

Identity Identity::generate() {
  SecretKey seed;
  randombytes_buf(seed.data(), seed.size);
  return from_seed(seed);
}

Identity Identity::from_seed(const SecretKey& seed) {
  Identity identity;
  PublicKeyBytes public_bytes;
  identity.seed_ = seed.clone();
  crypto_sign_seed_keypair(public_bytes.data(), identity.signing_key_.data(), seed.data());
  // The hash of the seed is clamped, so neither conversion can fail.
  (void)crypto_sign_ed25519_sk_to_curve25519(identity.x25519_private_.data(), identity.signing_key_.data());
  identity.public_key_ = PublicKey::from_bytes(public_bytes).value();
  identity.receiver_keys_ = crypto::receiver_keys(identity.public_key_);
  return identity;
}

std::optional<Identity> Identity::from_base64(std::string_view text) {
  const auto seed = secret_from_base64(text);
  if (!seed) return std::nullopt;
  return from_seed(*seed);
}

Identity Identity::clone() const {
  Identity copy;
  copy.seed_ = seed_.clone();
  copy.signing_key_ = signing_key_.clone();
  copy.x25519_private_ = x25519_private_.clone();
  copy.public_key_ = public_key_;
  copy.receiver_keys_ = receiver_keys_;
  return copy;
}

std::string Identity::private_base64() const {
  return to_base64(seed_.view());
}

std::array<uint8_t, 64> Identity::sign(ConstBytes message) const {
  std::array<uint8_t, 64> signature;
  crypto_sign_detached(signature.data(), nullptr, message.data(), message.size(), signing_key_.data());
  return signature;
}

bool verify(const PublicKey& signer, ConstBytes message, ConstBytes signature) {
  return signature.size() == crypto_sign_BYTES &&
         crypto_sign_verify_detached(signature.data(), message.data(), message.size(), signer.bytes().data()) == 0;
}

std::optional<SecretKey> secret_from_base64(std::string_view text) {
  SecretKey key;
  if (!decode_32(text, key.data())) return std::nullopt;
  return key;
}

std::string to_base64(ConstBytes bytes) {
  // The length from libsodium counts the terminating zero, which it writes.
  std::string text(sodium_base64_encoded_len(bytes.size(), sodium_base64_VARIANT_ORIGINAL), '\0');
  sodium_bin2base64(text.data(), text.size(), bytes.data(), bytes.size(), sodium_base64_VARIANT_ORIGINAL);
  text.pop_back();
  return text;
}

}  // namespace centipede::crypto
