// Published vectors for every primitive this layer stands on: they would show a libsodium that is not what it should
// be, and a wrapper that passes its arguments in the wrong order.
#include <gtest/gtest.h>
#include <sodium.h>

#include "crypto/kdf.h"
#include "crypto/keys.h"
#include "test_support.h"

namespace centipede::crypto {
namespace {

class Primitives : public CryptoTest {};

TEST_F(Primitives, Rfc8439ChaCha20Block) {
  const auto key = from_hex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
  const auto nonce = from_hex("000000090000004a00000000");
  std::vector<uint8_t> block(64, 0);
  crypto_stream_chacha20_ietf_xor_ic(block.data(), block.data(), block.size(), nonce.data(), 1, key.data());
  EXPECT_EQ(to_hex(block),
            "10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e"
            "d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e");
}

TEST_F(Primitives, Rfc8439Poly1305) {
  const auto key = from_hex("85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b");
  const ConstBytes message = as_bytes("Cryptographic Forum Research Group");
  std::vector<uint8_t> tag(16);
  crypto_onetimeauth(tag.data(), message.data(), message.size(), key.data());
  EXPECT_EQ(to_hex(tag), "a8061dc1305136c6c22b8baf0c0127a9");
}

TEST_F(Primitives, Rfc8439Aead) {
  const auto key = from_hex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
  const auto nonce = from_hex("070000004041424344454647");
  const auto associated = from_hex("50515253c0c1c2c3c4c5c6c7");
  const ConstBytes plain = as_bytes(
      "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be "
      "it.");
  std::vector<uint8_t> sealed(plain.size());
  std::vector<uint8_t> tag(16);
  crypto_aead_chacha20poly1305_ietf_encrypt_detached(sealed.data(), tag.data(), nullptr, plain.data(), plain.size(),
                                                     associated.data(), associated.size(), nullptr, nonce.data(),
                                                     key.data());
  EXPECT_EQ(to_hex(sealed),
            "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b"
            "1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
            "3ff4def08e4b7a9de576d26586cec64b6116");
  EXPECT_EQ(to_hex(tag), "1ae10b594f09e26a7e902ecbd0600691");
}

TEST_F(Primitives, Rfc7748X25519) {
  const struct {
    const char *scalar, *point, *result;
  } rows[] = {{"a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
               "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
               "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"},
              {"77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
               "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
               "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"},
              {"5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
               "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
               "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"}};
  for (const auto& row : rows) {
    std::vector<uint8_t> result(32);
    ASSERT_EQ(crypto_scalarmult(result.data(), from_hex(row.scalar).data(), from_hex(row.point).data()), 0);
    EXPECT_EQ(to_hex(result), row.result);
  }
}

TEST_F(Primitives, Rfc8032Ed25519) {
  const struct {
    const char *seed, *public_key, *message, *signature;
  } rows[] = {{"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
               "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
               "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd"
               "25bf5f0595bbe24655141438e7a100b"},
              {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
               "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
               "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c3"
               "87b2eaeb4302aeeb00d291612bb0c00"}};
  for (const auto& row : rows) {
    const Identity identity = Identity::from_seed(secret_of(row.seed));
    EXPECT_EQ(to_hex(identity.public_key().bytes()), row.public_key);
    const auto signature = identity.sign(from_hex(row.message));
    EXPECT_EQ(to_hex(signature), row.signature);
    EXPECT_TRUE(verify(identity.public_key(), from_hex(row.message), signature));
  }
}

TEST_F(Primitives, Rfc7693Blake2b) {
  const char* expected =
      "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d17d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925"
      "ab92386edd4009923";
  EXPECT_EQ(to_hex(blake2b({as_bytes("abc")})), expected);
  EXPECT_EQ(to_hex(blake2b({as_bytes("a"), {}, as_bytes("bc")})), expected);
}

// RFC 5869 prints results for SHA-256 and SHA-1 only. These are its three sets of inputs with SHA-512, computed with
// Python's hmac and hashlib.
TEST_F(Primitives, Rfc5869InputsWithSha512) {
  const auto range = [](unsigned first, unsigned last) {
    std::vector<uint8_t> bytes;
    for (unsigned value = first; value <= last; ++value)
      bytes.push_back(static_cast<uint8_t>(value));
    return bytes;
  };
  const std::vector<uint8_t> elevens(22, 0x0b);
  const struct {
    std::vector<uint8_t> input, salt, info;
    const char *extracted, *expanded;
  } rows[] = {{elevens, range(0, 12), range(0xf0, 0xf9),
               "665799823737ded04a88e47e54a5890bb2c3d247c7a4254a8e61350723590a26c36238127d8661b88cf80ef802d57e2f7cebcf"
               "1e00e083848be19929c61b4237",
               "832390086cda71fb47625bb5ceb168e4c8e26a1a16ed34d9fc7fe92c1481579338da362cb8d9f925d7cb"},
              {range(0, 79), range(0x60, 0xaf), range(0xb0, 0xff),
               "35672542907d4e142c00e84499e74e1de08be86535f924e022804ad775dde27ec86cd1e5b7d178c74489bdbeb30712beb82d4f"
               "97416c5a94ea81ebdf3e629e4a",
               "ce6c97192805b346e6161e821ed165673b84f400a2b514b2fe23d84cd189ddf1b695b48cbd1c8388441137b3ce28f16aa64ba3"
               "3ba466b24df6cfcb021ecff235f6a2056ce3af1de44d572097a8505d9e7a93"},
              {elevens,
               {},
               {},
               "fd200c4987ac491313bd4a2a13287121247239e11c9ef82802044b66ef357e5b194498d0682611382348572a7b1611de547640"
               "94286320578a863f36562b0df6",
               "f5fa02b18298a72a8c23898a8703472c6eb179dc204c03425c970e3b164bf90fff22d04836d0e2343bac"}};
  for (const auto& row : rows) {
    const Secret<64> extracted = hkdf_extract(row.salt, row.input);
    EXPECT_EQ(to_hex(extracted.view()), row.extracted);
    const auto expected = from_hex(row.expanded);
    // Every shorter output is a prefix of the longer one.
    for (size_t size = 0; size <= expected.size(); ++size) {
      std::vector<uint8_t> out(size);
      hkdf_expand(extracted, {reinterpret_cast<const char*>(row.info.data()), row.info.size()}, out);
      ASSERT_EQ(to_hex(out), to_hex(ConstBytes(expected).first(size)));
    }
  }
}

TEST_F(Primitives, ASecretIsWipedWhenMovedFrom) {
  SecretKey from = filled(7);
  const SecretKey to(std::move(from));
  EXPECT_TRUE(to.equals(filled(7)));
  EXPECT_TRUE(from.equals(SecretKey()));  // NOLINT(bugprone-use-after-move): the promise is about what is left
}

}  // namespace
}  // namespace centipede::crypto
