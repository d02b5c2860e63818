// An attacker who knows every public key can build the outer layers of an initiation as well as anyone: mac1, the
// ephemeral key and the box prove nothing. These tests build such messages with the pieces of the protocol, so that
// each inner check is reached and stands by itself.
#include <gtest/gtest.h>
#include <sodium.h>

#include <algorithm>

#include "crypto/kdf.h"
#include "test_support.h"

namespace centipede::crypto {
namespace {

using enum HandshakeFailure;

constexpr size_t ephemeral_offset = 16;
constexpr size_t box_offset = 48;
constexpr size_t box_size = 136;
constexpr size_t plain_size = 120;
using Plain = std::array<uint8_t, plain_size>;  // S_i 32, timestamp 8, parameters 16, signature 64
constexpr size_t signature_offset = 56;

template <size_t N>
void refresh_mac1(std::array<uint8_t, N>& message, const PublicKey& receiver) {
  write_mac1(receiver_keys(receiver), message);
}

class HandshakeAttack : public HandshakeTest {
 protected:
  // The box's key and h for a message of which everything before the box is written. `secret` and `point`: either side.
  struct BoxKey {
    SecretKey key;
    Hash hash;
  };
  static BoxKey box_key(ConstBytes message, const PublicKey& responder, const SecretKey& secret,
                        const PublicKeyBytes& point) {
    const Hash hash = blake2b({blake2b({as_bytes("centipede1"), responder.bytes()}), message.first(box_offset)});
    SecretKey shared;
    EXPECT_EQ(crypto_scalarmult(shared.data(), secret.data(), point.data()), 0);
    BoxKey result{.key = {}, .hash = hash};
    hkdf_expand(hkdf_extract(hash, shared.view()), "m1", {result.key.data(), result.key.size});
    return result;
  }

  // What a genuine initiation holds, read with the responder's stolen private key.
  static Plain read_with(const Identity& stolen, const InitiationBytes& message) {
    PublicKeyBytes ephemeral;
    std::copy_n(message.begin() + ephemeral_offset, ephemeral.size(), ephemeral.begin());
    const BoxKey box = box_key(message, stolen.public_key(), stolen.x25519_private(), ephemeral);
    Plain plain;
    EXPECT_EQ(
        crypto_aead_chacha20poly1305_ietf_decrypt(plain.data(), nullptr, nullptr, message.data() + box_offset, box_size,
                                                  box.hash.data(), box.hash.size(), zero_nonce.data(), box.key.data()),
        0);
    return plain;
  }

  // An initiation to bob that only its insides can give away. `finish` may change them, knowing h.
  template <class Finish>
  InitiationBytes forge(Plain plain, Finish finish) const {
    InitiationBytes message{};
    message[0] = CP_CONTROL_BIT | CP_TYPE_INITIATION;
    message[1] = CP_PROTOCOL_VERSION;
    store_be(message.data() + 8, sid_i);
    crypto_scalarmult_base(message.data() + ephemeral_offset, attacker_ephemeral.data());
    const BoxKey box = box_key(message, bob.public_key(), attacker_ephemeral, bob.public_key().x25519());
    finish(plain, box.hash);
    crypto_aead_chacha20poly1305_ietf_encrypt(message.data() + box_offset, nullptr, plain.data(), plain.size(),
                                              box.hash.data(), box.hash.size(), nullptr, zero_nonce.data(),
                                              box.key.data());
    refresh_mac1(message, bob.public_key());
    return message;
  }
  InitiationBytes forge(const Plain& plain) const {
    return forge(plain, [](Plain&, const Hash&) {});
  }

  // Signs `plain` as it stands, for whichever responder is named.
  static void sign(Plain& plain, const Hash& hash, const Identity& signer, const PublicKey& responder) {
    const ConstBytes fields(plain);
    const Hash digest = blake2b({hash, responder.bytes(), fields.first(32), fields.subspan(32, 24)});
    std::vector<uint8_t> text;
    for (const ConstBytes part : {as_bytes("centipede1 init"), ConstBytes(digest)}) {
      text.insert(text.end(), part.begin(), part.end());
    }
    std::ranges::copy(signer.sign(text), plain.begin() + signature_offset);
  }
  static void claim(Plain& plain, ConstBytes identity) { std::ranges::copy(identity, plain.begin()); }

  [[nodiscard]] HandshakeFailure failure_of_verify(const InitiationBytes& message) const {
    auto opened = OpenedInitiation::open(bob, message);
    EXPECT_TRUE(opened);
    const auto claimed = PublicKey::from_bytes(opened->claimed_peer());
    EXPECT_TRUE(claimed);
    const auto verified = opened->verify(bob, *claimed);
    EXPECT_FALSE(verified);
    EXPECT_FALSE(opened->respond(bob, psk, sid_r, params_r, ephemeral_r));
    return verified.error();
  }

  static constexpr std::array<uint8_t, 12> zero_nonce{};
  SecretKey attacker_ephemeral = filled(0x77);
  Initiator genuine = start();
  Plain genuine_plain = read_with(bob, genuine.message());
};

// A response to `genuine` by someone who has bob's X25519 key and the preshared key, hence every secret of the exchange
// but the Ed25519 key. `finish` fills in the plaintext (sid 8, parameters 16, signature 64), knowing h.
using ResponsePlain = std::array<uint8_t, 88>;

class ResponseAttack : public HandshakeAttack {
 protected:
  template <class Finish>
  [[nodiscard]] ResponseBytes forge_response(Finish finish) const {
    const ConstBytes first(genuine.message());
    PublicKeyBytes peer_ephemeral;
    std::ranges::copy(first.subspan(ephemeral_offset, 32), peer_ephemeral.begin());
    const Hash first_hash = box_key(first, bob.public_key(), bob.x25519_private(), peer_ephemeral).hash;
    ResponseBytes message{};
    message[0] = CP_CONTROL_BIT | CP_TYPE_RESPONSE;
    message[1] = CP_PROTOCOL_VERSION;
    store_be(message.data() + 8, sid_i);
    crypto_scalarmult_base(message.data() + ephemeral_offset, attacker_ephemeral.data());
    const Hash hash =
        blake2b({blake2b({first_hash, first.subspan(box_offset, box_size)}), ConstBytes(message).first(box_offset)});

    SecretKey shared;
    EXPECT_EQ(crypto_scalarmult(shared.data(), bob.x25519_private().data(), peer_ephemeral.data()), 0);
    Secret<64> chain = hkdf_extract(first_hash, shared.view());
    EXPECT_EQ(crypto_scalarmult(shared.data(), attacker_ephemeral.data(), peer_ephemeral.data()), 0);
    chain = hkdf_extract(hkdf_extract(chain.view(), shared.view()).view(), psk.view());
    SecretKey key;
    hkdf_expand(chain, "m2", {key.data(), key.size});

    ResponsePlain plain{};
    store_be(plain.data(), sid_r);
    wire::write_params(params_r, plain.data() + 8);
    finish(plain, hash);
    crypto_aead_chacha20poly1305_ietf_encrypt(message.data() + box_offset, nullptr, plain.data(), plain.size(),
                                              hash.data(), hash.size(), nullptr, zero_nonce.data(), key.data());
    refresh_mac1(message, alice.public_key());
    return message;
  }

  static void sign_response(ResponsePlain& plain, const Hash& hash, std::string_view label, const PublicKey& to,
                            const PublicKey& from, const Identity& signer) {
    const Hash digest = blake2b({hash, to.bytes(), from.bytes(), ConstBytes(plain).first(24)});
    std::vector<uint8_t> text;
    for (const ConstBytes part : {as_bytes(label), ConstBytes(digest)})
      text.insert(text.end(), part.begin(), part.end());
    std::ranges::copy(signer.sign(text), plain.begin() + 24);
  }
};

TEST_F(ResponseAttack, OnlyTheResponderItselfSignsAResponse) {
  const struct {
    std::string_view label;
    const Identity &to, &from, &signer;
    bool accepted;
  } rows[] = {{"centipede1 resp", alice, bob, bob, true},
              {"centipede1 resp", alice, bob, mallory, false},
              {"centipede1 resp", alice, bob, alice, false},
              {"centipede1 resp", mallory, bob, bob, false},    // made for another initiator
              {"centipede1 resp", alice, mallory, bob, false},  // names another responder
              {"centipede1 resp", bob, alice, bob, false},      // the roles turned round
              {"centipede1 init", alice, bob, bob, false}};     // a signature for an initiation
  for (const auto& row : rows) {
    const auto message = forge_response([&](ResponsePlain& plain, const Hash& hash) {
      sign_response(plain, hash, row.label, row.to.public_key(), row.from.public_key(), row.signer);
    });
    const auto finished = genuine.finish(alice, psk, message);
    EXPECT_EQ(finished.has_value(), row.accepted) << &row - rows;
    if (!row.accepted) {
      EXPECT_EQ(finished.error(), bad_signature) << &row - rows;
    }
  }
}

TEST_F(ResponseAttack, SidAndParametersOfAResponseAreSigned) {
  for (const size_t changed : {0U, 7U, 9U, 11U, 14U, 16U}) {  // bytes that parse either way
    const auto message = forge_response([&](ResponsePlain& plain, const Hash& hash) {
      sign_response(plain, hash, "centipede1 resp", alice.public_key(), bob.public_key(), bob);
      plain[changed] ^= 1;
    });
    EXPECT_EQ(genuine.finish(alice, psk, message).error(), bad_signature) << changed;
  }
}

TEST_F(ResponseAttack, ParametersThatMakeNoSenseAreRefused) {
  for (const size_t changed : {8U, 18U, 23U}) {  // version, first and last byte of the padding
    const auto message = forge_response([&](ResponsePlain& plain, const Hash& hash) {
      plain[changed] ^= 0x40;
      sign_response(plain, hash, "centipede1 resp", alice.public_key(), bob.public_key(), bob);
    });
    EXPECT_EQ(genuine.finish(alice, psk, message).error(), malformed) << changed;
  }
}

TEST_F(HandshakeAttack, TheForgeMakesAcceptableMessagesFromAnHonestSigner) {
  const auto message =
      forge(genuine_plain, [&](Plain& plain, const Hash& hash) { sign(plain, hash, alice, bob.public_key()); });
  EXPECT_EQ(open_verified(bob, message).claimed_peer(), alice.public_key().bytes());
}

TEST_F(HandshakeAttack, AValidMac1DoesNotSaveADamagedInitiation) {
  for (size_t bit = 8 * 8; bit < (CP_INITIATION_SIZE - 32) * 8; ++bit) {
    InitiationBytes damaged = genuine.message();
    flip(damaged, bit);
    refresh_mac1(damaged, bob.public_key());
    const auto opened = OpenedInitiation::open(bob, damaged);
    ASSERT_FALSE(opened) << bit;
    // The top bit of the ephemeral key's last byte is a non-canonical spelling.
    EXPECT_EQ(opened.error(), bit == (ephemeral_offset + 31) * 8 + 7 ? bad_ephemeral : bad_box) << bit;
  }
}

TEST_F(HandshakeAttack, AValidMac1DoesNotSaveADamagedResponse) {
  const auto response = respond(genuine.message());
  for (size_t bit = 16 * 8; bit < (CP_RESPONSE_SIZE - 32) * 8; ++bit) {
    ResponseBytes damaged = response.message;
    flip(damaged, bit);
    refresh_mac1(damaged, alice.public_key());
    const auto finished = genuine.finish(alice, psk, damaged);
    ASSERT_FALSE(finished) << bit;
    EXPECT_EQ(finished.error(), bit == (ephemeral_offset + 31) * 8 + 7 ? bad_ephemeral : bad_box) << bit;
  }
}

TEST_F(HandshakeAttack, LowOrderAndNonCanonicalEphemeralKeysAreRefused) {
  const auto response = respond(genuine.message());
  for (const auto* hex : {"0000000000000000000000000000000000000000000000000000000000000000",
                          "0100000000000000000000000000000000000000000000000000000000000000",
                          "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
                          "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
                          "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                          "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                          "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                          "f6ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",  // 9, spelt wrongly
                          "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
                          "0000000000000000000000000000000000000000000000000000000000000080",
                          "0900000000000000000000000000000000000000000000000000000000000080"}) {
    const auto point = from_hex(hex);
    InitiationBytes first = genuine.message();
    std::ranges::copy(point, first.begin() + ephemeral_offset);
    refresh_mac1(first, bob.public_key());
    EXPECT_EQ(OpenedInitiation::open(bob, first).error(), bad_ephemeral) << hex;
    ResponseBytes second = response.message;
    std::ranges::copy(point, second.begin() + ephemeral_offset);
    refresh_mac1(second, alice.public_key());
    EXPECT_EQ(genuine.finish(alice, psk, second).error(), bad_ephemeral) << hex;
  }
}

TEST_F(HandshakeAttack, CanonicalEphemeralKeysNextToTheBoundaryAreNot) {
  for (const auto* hex : {"ebffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",  // p - 2
                          "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe7f",
                          "fffeffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                          "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7e"}) {
    InitiationBytes message = genuine.message();
    std::ranges::copy(from_hex(hex), message.begin() + ephemeral_offset);
    refresh_mac1(message, bob.public_key());
    EXPECT_EQ(OpenedInitiation::open(bob, message).error(), bad_box) << hex;
  }
}

// Only bytes that equal a known peer's key ever reach the arithmetic.
TEST_F(HandshakeAttack, AnIdentityThatIsNotThePeersIsRefusedWhateverItsBytes) {
  for (const auto* hex : {"0000000000000000000000000000000000000000000000000000000000000000",
                          "0100000000000000000000000000000000000000000000000000000000000000",
                          "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                          "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
                          "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",     // on the curve, p + 3
                          "0200000000000000000000000000000000000000000000000000000000000000"}) {  // off the curve
    Plain plain = genuine_plain;
    claim(plain, from_hex(hex));
    auto opened = OpenedInitiation::open(bob, forge(plain));
    ASSERT_TRUE(opened) << hex;
    EXPECT_EQ(opened->verify(bob, alice.public_key()).error(), bad_identity) << hex;
    EXPECT_FALSE(opened->respond(bob, psk, sid_r, params_r, ephemeral_r)) << hex;
  }
}

TEST_F(HandshakeAttack, TheStolenKeyOfTheResponderImpersonatesNobodyToIt) {
  // The attacker holds bob's private key, has read alice's initiation with it and signs with a key of its own.
  const auto own_signature =
      forge(genuine_plain, [&](Plain& plain, const Hash& hash) { sign(plain, hash, mallory, bob.public_key()); });
  EXPECT_EQ(failure_of_verify(own_signature), bad_signature);
  const auto bobs_signature =
      forge(genuine_plain, [&](Plain& plain, const Hash& hash) { sign(plain, hash, bob, bob.public_key()); });
  EXPECT_EQ(failure_of_verify(bobs_signature), bad_signature);
  // A signature of alice's that it has seen belongs to the ephemeral key that alice used.
  EXPECT_EQ(failure_of_verify(forge(genuine_plain)), bad_signature);
}

TEST_F(HandshakeAttack, ASignatureMadeForAnotherResponderIsRefused) {
  // Alice calls mallory, who hands her signature on to bob in a box of its own.
  const Initiator call = start(alice, mallory.public_key(), ephemeral_i);
  EXPECT_EQ(failure_of_verify(forge(read_with(mallory, call.message()))), bad_signature);
  const auto same_hash =
      forge(genuine_plain, [&](Plain& plain, const Hash& hash) { sign(plain, hash, alice, mallory.public_key()); });
  EXPECT_EQ(failure_of_verify(same_hash), bad_signature);
}

TEST_F(HandshakeAttack, AnIdentityCannotBeSwappedUnderASignature) {
  const auto swapped = forge(genuine_plain, [&](Plain& plain, const Hash& hash) {
    sign(plain, hash, alice, bob.public_key());
    claim(plain, mallory.public_key().bytes());
  });
  EXPECT_EQ(failure_of_verify(swapped), bad_signature);
  const auto resigned = forge(genuine_plain, [&](Plain& plain, const Hash& hash) {
    claim(plain, mallory.public_key().bytes());
    sign(plain, hash, mallory, bob.public_key());
    claim(plain, alice.public_key().bytes());
  });
  EXPECT_EQ(failure_of_verify(resigned), bad_signature);
}

TEST_F(HandshakeAttack, TimestampAndParametersAreSigned) {
  for (const size_t changed : {32U, 39U, 41U, 43U, 46U, 48U}) {  // bytes that parse either way
    const auto message = forge(genuine_plain, [&](Plain& plain, const Hash& hash) {
      sign(plain, hash, alice, bob.public_key());
      plain[changed] ^= 1;
    });
    EXPECT_EQ(failure_of_verify(message), bad_signature) << changed;
  }
}

TEST_F(HandshakeAttack, ParametersThatMakeNoSenseAreRefused) {
  for (const size_t changed : {40U, 50U, 55U}) {  // version, first and last byte of the padding
    const auto message = forge(genuine_plain, [&](Plain& plain, const Hash& hash) {
      plain[changed] ^= 0x40;
      sign(plain, hash, alice, bob.public_key());
    });
    EXPECT_EQ(OpenedInitiation::open(bob, message).error(), malformed) << changed;
  }
}

TEST_F(HandshakeAttack, ClampedParametersStillVerify) {
  // The signature covers the bytes as sent, not what the reader makes of them.
  const auto message = forge(genuine_plain, [&](Plain& plain, const Hash& hash) {
    plain[42] = 31;
    sign(plain, hash, alice, bob.public_key());
  });
  EXPECT_EQ(open_verified(bob, message).claimed_params().window_bits, CP_WINDOW_BITS_MAX);
}

}  // namespace
}  // namespace centipede::crypto
