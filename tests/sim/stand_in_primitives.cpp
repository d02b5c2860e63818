// libsodium's costly primitives once more, as what the protocol's proof takes them for: ideal ones. A program that
// links this file gets these instead of libsodium's, because an executable's own symbols come first; the handshake, its
// hashes and its boxes stay the real ones. Three quarters of a simulation's time would go into elliptic curves
// otherwise.
//
// They hold among those who have only the wire: a shared secret is a hash of both public keys, a signature a hash of
// the signer's key and the text, a tag SipHash of everything under the key. Whoever knows how could forge them at
// will; the simulated attacker does not. sim_networks_genuine plays the same seeds with libsodium's own.
#include <sodium.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

namespace {

using Key = std::array<uint8_t, 32>;
using Byte = unsigned char;

Key key_from(const Byte* bytes) {
  Key key;
  std::memcpy(key.data(), bytes, key.size());
  return key;
}

// The public key of a secret, and the X25519 form of an identity whose secret form is the public key itself.
Key public_of(const Byte* secret) {
  Key key;
  crypto_generichash_blake2b(key.data(), key.size(), secret, 32, nullptr, 0);
  key[31] &= 0x3f;  // a canonical coordinate
  return key;
}

std::array<uint8_t, 64> signature_of(const Byte* signer, const Byte* text, unsigned long long size) {
  std::array<uint8_t, 64> signature;
  crypto_generichash_blake2b(signature.data(), signature.size(), text, size, signer, 32);
  return signature;
}

uint64_t mixed(uint64_t value) {  // SplitMix64
  value += 0x9e3779b97f4a7c15;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

void crypt(const Byte* in, Byte* out, unsigned long long size, const Byte* nonce, const Byte* key) {
  uint64_t words[5] = {};
  std::memcpy(words, key, 32);
  uint64_t state = words[0] ^ mixed(words[1] ^ mixed(words[2] ^ mixed(words[3])));
  std::memcpy(words, nonce, crypto_aead_chacha20poly1305_ietf_NPUBBYTES);
  state ^= mixed(words[0] ^ mixed(words[1] & 0xffffffff));
  for (unsigned long long at = 0; at < size; at += sizeof state) {
    state = mixed(state);
    uint64_t word = 0;
    const size_t part = std::min<size_t>(sizeof word, size - at);
    std::memcpy(&word, in + at, part);
    word ^= state;
    std::memcpy(out + at, &word, part);
  }
}

// Both halves of the key count: the second one is put in front of what is authenticated.
bool tag_of(const Byte* cipher, unsigned long long size, const Byte* ad, unsigned long long ad_size, const Byte* nonce,
            const Byte* key, Byte* tag) {
  std::array<Byte, 2048> text;
  constexpr size_t nonce_size = crypto_aead_chacha20poly1305_ietf_NPUBBYTES;
  constexpr size_t head = 16 + nonce_size + 4;
  if (head + ad_size + size > text.size()) return false;
  std::memcpy(text.data(), key + 16, 16);
  std::memcpy(text.data() + 16, nonce, nonce_size);
  const auto length = static_cast<uint32_t>(ad_size);
  std::memcpy(text.data() + 16 + nonce_size, &length, sizeof length);
  std::memcpy(text.data() + head, ad, ad_size);
  std::memcpy(text.data() + head + ad_size, cipher, size);
  return crypto_shorthash_siphashx24(tag, text.data(), head + ad_size + size, key) == 0;
}

}  // namespace

extern "C" {

int crypto_scalarmult_base(Byte* out, const Byte* secret) {
  const Key key = public_of(secret);
  std::memcpy(out, key.data(), key.size());
  return 0;
}

int crypto_scalarmult(Byte* out, const Byte* secret, const Byte* point) {
  const auto [low, high] = std::minmax({public_of(secret), key_from(point)});
  std::array<Byte, 64> both;
  std::memcpy(both.data(), low.data(), low.size());
  std::memcpy(both.data() + 32, high.data(), high.size());
  return crypto_generichash_blake2b(out, 32, both.data(), both.size(), nullptr, 0);
}

int crypto_sign_ed25519_pk_to_curve25519(Byte* out, const Byte* identity) {
  const Key key = public_of(identity);
  std::memcpy(out, key.data(), key.size());
  return 0;
}

int crypto_sign_ed25519_sk_to_curve25519(Byte* out, const Byte* signing_key) {
  std::memcpy(out, signing_key + 32, 32);  // its second half is the public key
  return 0;
}

int crypto_sign_detached(Byte* out, unsigned long long* size, const Byte* text, unsigned long long text_size,
                         const Byte* signing_key) {
  const auto signature = signature_of(signing_key + 32, text, text_size);
  std::memcpy(out, signature.data(), signature.size());
  if (size != nullptr) *size = signature.size();
  return 0;
}

int crypto_sign_verify_detached(const Byte* signature, const Byte* text, unsigned long long text_size,
                                const Byte* signer) {
  return sodium_memcmp(signature_of(signer, text, text_size).data(), signature, 64);
}

int crypto_aead_chacha20poly1305_ietf_encrypt_detached(Byte* out, Byte* tag, unsigned long long* tag_size,
                                                       const Byte* plain, unsigned long long size, const Byte* ad,
                                                       unsigned long long ad_size, const Byte* /*no_secret_nonce*/,
                                                       const Byte* nonce, const Byte* key) {
  crypt(plain, out, size, nonce, key);
  if (tag_size != nullptr) *tag_size = 16;
  return tag_of(out, size, ad, ad_size, nonce, key, tag) ? 0 : -1;
}

int crypto_aead_chacha20poly1305_ietf_decrypt_detached(Byte* out, Byte* /*no_secret_nonce*/, const Byte* cipher,
                                                       unsigned long long size, const Byte* tag, const Byte* ad,
                                                       unsigned long long ad_size, const Byte* nonce, const Byte* key) {
  std::array<Byte, 16> expected;
  if (!tag_of(cipher, size, ad, ad_size, nonce, key, expected.data()) ||
      sodium_memcmp(expected.data(), tag, expected.size()) != 0) {
    std::memset(out, 0, size);
    return -1;
  }
  crypt(cipher, out, size, nonce, key);
  return 0;
}

}  // extern "C"
