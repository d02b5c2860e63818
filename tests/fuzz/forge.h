// Handshake messages as an attacker builds them who knows the public keys, written from docs/protocol.md: the outer
// layers right, so that what lies behind them is reached, and any plaintext in a box that opens. Shares no code with
// crypto/handshake.cpp but the hash functions.
#pragma once

#include <centipede/siphash.h>
#include <sodium.h>

#include <bit>

#include "crypto/handshake.h"
#include "crypto/kdf.h"
#include "fuzz.h"

namespace centipede::fuzz {

inline constexpr size_t ephemeral_offset = 16;
inline constexpr size_t box_offset = 48;
inline constexpr size_t initiation_plain_size = 120;  // identity 32, timestamp 8, parameters 16, signature 64
inline constexpr size_t response_plain_size = 88;     // session id 8, parameters 16, signature 64
inline constexpr size_t signature_size = 64;

using Mac = std::array<uint8_t, CP_MAC_SIZE>;

// By the code of the XDP program: user space has libsodium's. bytes: a multiple of 8.
inline Mac siphash(ConstBytes key, ConstBytes bytes) {
  static_assert(std::endian::native == std::endian::little);
  std::array<__u64, 2> words;
  std::memcpy(words.data(), key.data(), sizeof words);
  cp_siphash state;
  cp_siphash_start(&state, words.data());
  for (size_t at = 0; at < bytes.size(); at += 8) {
    __u64 word;
    std::memcpy(&word, &bytes[at], sizeof word);
    cp_siphash_word(&state, word);
  }
  cp_siphash_finish(&state, bytes.size(), words.data());
  Mac mac;
  std::memcpy(mac.data(), words.data(), mac.size());
  return mac;
}

// label: "mac1" or "cookie".
inline Mac key_of(std::string_view label, const crypto::PublicKey& receiver) {
  const crypto::Hash hash = crypto::blake2b({as_bytes(label), receiver.bytes()});
  Mac key;
  std::copy_n(hash.begin(), key.size(), key.begin());
  return key;
}

inline void put_mac1(const crypto::PublicKey& receiver, Bytes message) {
  const Mac mac = siphash(key_of("mac1", receiver), message.first(message.size() - 2 * CP_MAC_SIZE));
  std::ranges::copy(mac, message.end() - 2 * CP_MAC_SIZE);
}

inline void write_header(uint8_t type, Bytes message) {
  std::fill_n(message.begin(), CP_CONTROL_HEADER_SIZE, uint8_t{0});
  message[0] = static_cast<uint8_t>(CP_CONTROL_BIT | type);
  message[1] = CP_PROTOCOL_VERSION;
}

inline crypto::SecretKey agree(const crypto::SecretKey& secret, const crypto::PublicKeyBytes& point) {
  crypto::SecretKey shared;
  promise(crypto_scalarmult(shared.data(), secret.data(), point.data()) == 0, "the fixed keys agree");
  return shared;
}

inline crypto::PublicKeyBytes public_half(const crypto::SecretKey& secret) {
  crypto::PublicKeyBytes point;
  crypto_scalarmult_base(point.data(), secret.data());
  return point;
}

inline crypto::Hash first_hash(const crypto::PublicKey& responder, ConstBytes message) {
  return crypto::blake2b({crypto::blake2b({as_bytes("centipede1"), responder.bytes()}), message.first(box_offset)});
}

inline void seal_box(const crypto::Secret<64>& chain, std::string_view label, const crypto::Hash& hash,
                     ConstBytes plain, uint8_t* out) {
  constexpr std::array<uint8_t, crypto_aead_chacha20poly1305_ietf_NPUBBYTES> nonce{};
  crypto::SecretKey key;
  crypto::hkdf_expand(chain, label, {key.data(), key.size});
  crypto_aead_chacha20poly1305_ietf_encrypt(out, nullptr, plain.data(), plain.size(), hash.data(), hash.size(), nullptr,
                                            nonce.data(), key.data());
}

// The signature over everything in `plain` between `begin` and the signature at its end, put there.
inline void sign(std::string_view label, const crypto::Hash& hash, const crypto::PublicKey& other,
                 const crypto::Identity& signer, size_t begin, Bytes plain) {
  const ConstBytes details = plain.subspan(begin, plain.size() - begin - signature_size);
  const crypto::Hash digest = crypto::blake2b({hash, other.bytes(), signer.public_key().bytes(), details});
  std::vector<uint8_t> text(label.begin(), label.end());
  text.insert(text.end(), digest.begin(), digest.end());
  std::ranges::copy(signer.sign(text), plain.end() - signature_size);
}

}  // namespace centipede::fuzz
