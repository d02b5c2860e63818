#include "forgery.h"

#include <sodium.h>

#include <algorithm>
#include <string_view>

#include "crypto/kdf.h"

namespace centipede::sim {
namespace {

constexpr size_t box_offset = 48;
constexpr size_t box_size = CP_INITIATION_OFFSET_MAC1 - box_offset;
constexpr size_t plain_size = box_size - CP_TAG_SIZE;

const crypto::Identity& stranger() {
  static const crypto::Identity identity = [] {
    crypto::SecretKey secret;
    secret.data()[0] = 99;
    return crypto::Identity::from_seed(secret);
  }();
  return identity;
}

ConstBytes text_bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

}  // namespace

crypto::InitiationBytes stranger_call(const crypto::PublicKey& responder, wire::SessionId sid, uint64_t timestamp_ns,
                                      const crypto::SecretKey& ephemeral) {
  return crypto::Initiator::start({.self = stranger(),
                                   .responder = responder,
                                   .sid = sid,
                                   .timestamp_ns = timestamp_ns,
                                   .params = {},
                                   .ephemeral_secret = ephemeral})
      .value()
      .message();
}

// Opens the stranger's box, which is his own after all, and puts the other name in (docs/protocol.md, section 2).
crypto::InitiationBytes impostor_call(const crypto::PublicKey& victim, const crypto::PublicKey& responder,
                                      wire::SessionId sid, uint64_t timestamp_ns, const crypto::SecretKey& ephemeral) {
  crypto::InitiationBytes message = stranger_call(responder, sid, timestamp_ns, ephemeral);
  const ConstBytes head = ConstBytes(message).first(box_offset);
  const crypto::Hash hash = crypto::blake2b({crypto::blake2b({text_bytes("centipede1"), responder.bytes()}), head});
  crypto::SecretKey shared;
  if (crypto_scalarmult(shared.data(), ephemeral.data(), responder.x25519().data()) != 0) return message;
  crypto::SecretKey key;
  crypto::hkdf_expand(crypto::hkdf_extract(hash, shared.view()), "m1", {key.data(), key.size});
  constexpr std::array<uint8_t, crypto_aead_chacha20poly1305_ietf_NPUBBYTES> nonce{};
  std::array<uint8_t, plain_size> plain;
  uint8_t* box = message.data() + box_offset;
  if (crypto_aead_chacha20poly1305_ietf_decrypt(plain.data(), nullptr, nullptr, box, box_size, hash.data(), hash.size(),
                                                nonce.data(), key.data()) != 0) {
    return message;
  }
  std::ranges::copy(victim.bytes(), plain.begin());
  crypto_aead_chacha20poly1305_ietf_encrypt(box, nullptr, plain.data(), plain.size(), hash.data(), hash.size(), nullptr,
                                            nonce.data(), key.data());
  crypto::write_mac1(crypto::receiver_keys(responder), message);
  return message;
}

}  // namespace centipede::sim
