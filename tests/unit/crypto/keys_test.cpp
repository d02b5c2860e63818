#include "crypto/keys.h"

#include <gtest/gtest.h>
#include <sodium.h>

#include "test_support.h"

namespace centipede::crypto {
namespace {

class Keys : public CryptoTest {};

TEST_F(Keys, AnIdentitySurvivesItsText) {
  const Identity made = Identity::generate();
  const auto read = Identity::from_base64(made.private_base64());
  ASSERT_TRUE(read);
  EXPECT_EQ(read->public_key(), made.public_key());
  EXPECT_EQ(PublicKey::from_base64(made.public_key().base64()), made.public_key());
  EXPECT_EQ(made.private_base64().size(), 44U);
  EXPECT_NE(Identity::generate().public_key(), made.public_key());
  const Identity copy = made.clone();
  EXPECT_EQ(copy.sign(as_bytes("x")), made.sign(as_bytes("x")));
  EXPECT_TRUE(copy.x25519_private().equals(made.x25519_private()));
}

TEST_F(Keys, TheConvertedPairBelongsTogether) {
  const Identity identity = Identity::generate();
  PublicKeyBytes derived;
  crypto_scalarmult_base(derived.data(), identity.x25519_private().data());
  EXPECT_EQ(derived, identity.public_key().x25519());
}

TEST_F(Keys, HostileBase64IsRefused) {
  const std::string good = Identity::from_seed(filled(0x11)).public_key().base64();
  ASSERT_TRUE(PublicKey::from_base64(good));
  std::vector<std::string> bad = {"",          "=",        std::string(44, '='), std::string(100'000, 'A'), good + "=",
                                  good + "\n", " " + good, good.substr(0, 43),   good.substr(0, 43) + "A"};
  // The last digit holds four bits of the key and two that must be zero: otherwise one key had four spellings.
  for (const char last : {'d', 'e', 'f'})
    bad.push_back(good.substr(0, 42) + last + "=");
  for (size_t i = 0; i < good.size(); ++i) {
    for (const char wrong : {'\0', '\n', ' ', '-', '_', '\x80'}) {
      bad.push_back(good);
      bad.back()[i] = wrong;
    }
  }
  for (size_t size = 0; size < good.size(); ++size)
    bad.push_back(good.substr(0, size));
  for (const std::string& text : bad) {
    EXPECT_FALSE(PublicKey::from_base64(text)) << testing::PrintToString(text.substr(0, 60));
    EXPECT_FALSE(secret_from_base64(text)) << testing::PrintToString(text.substr(0, 60));
    EXPECT_FALSE(Identity::from_base64(text)) << testing::PrintToString(text.substr(0, 60));
  }
}

TEST_F(Keys, EveryOtherLengthIsRefused) {
  const auto good = Identity::from_seed(filled(0x11)).public_key().bytes();
  std::vector<uint8_t> bytes(good.begin(), good.end());
  bytes.resize(64, 0);
  for (size_t size = 0; size <= bytes.size(); ++size) {
    EXPECT_EQ(PublicKey::from_bytes(ConstBytes(bytes).first(size)).has_value(), size == 32) << size;
  }
}

TEST_F(Keys, PointsOfSmallOrderAreRefused) {
  for (const auto* hex : {"0000000000000000000000000000000000000000000000000000000000000000",
                          "0100000000000000000000000000000000000000000000000000000000000000",
                          "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                          "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
                          "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"}) {
    auto bytes = from_hex(hex);
    EXPECT_FALSE(PublicKey::from_bytes(bytes)) << hex;
    bytes[31] ^= 0x80;
    EXPECT_FALSE(PublicKey::from_bytes(bytes)) << hex << " with the other sign";
  }
}

TEST_F(Keys, NonCanonicalSpellingsAreRefused) {
  // 2^255 - 19 + k for k = 0..18: all there are. k = 3, 4, 5, 6, 9, 10, 14, 15, 16 and 18 decode to points of the
  // curve.
  for (unsigned k = 0; k <= 18; ++k) {
    std::vector<uint8_t> bytes(32, 0xff);
    bytes[0] = static_cast<uint8_t>(0xed + k);
    for (const int top : {0x7f, 0xff}) {
      bytes[31] = static_cast<uint8_t>(top);
      EXPECT_FALSE(PublicKey::from_bytes(bytes)) << k;
    }
  }
}

TEST_F(Keys, PointsOutsideThePrimeOrderSubgroupAreRefused) {
  const auto good = Identity::from_seed(filled(0x11)).public_key().bytes();
  const auto order_eight = from_hex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a");
  PublicKeyBytes mixed;
  ASSERT_EQ(crypto_core_ed25519_add(mixed.data(), good.data(), order_eight.data()), 0);
  EXPECT_FALSE(PublicKey::from_bytes(mixed));
}

TEST_F(Keys, WeAgreeWithLibsodiumOnWhatAValidPointIs) {
  unsigned valid = 0;
  for (unsigned i = 0; i < 400; ++i) {
    PublicKeyBytes bytes;
    randombytes_buf_deterministic(bytes.data(), bytes.size(), filled(static_cast<uint8_t>(i % 256)).data());
    bytes[5] = static_cast<uint8_t>(i / 256);
    const bool expected = crypto_core_ed25519_is_valid_point(bytes.data()) == 1;
    EXPECT_EQ(PublicKey::from_bytes(bytes).has_value(), expected) << to_hex(bytes);
    valid += expected ? 1 : 0;
  }
  EXPECT_GT(valid, 20U);  // about one in sixteen
}

TEST_F(Keys, ASignatureHoldsForItsMessageAndSignerOnly) {
  const Identity signer = Identity::from_seed(filled(0x11));
  const Identity other = Identity::from_seed(filled(0x22));
  auto signature = signer.sign(as_bytes("message"));
  EXPECT_TRUE(verify(signer.public_key(), as_bytes("message"), signature));
  EXPECT_FALSE(verify(signer.public_key(), as_bytes("massage"), signature));
  EXPECT_FALSE(verify(other.public_key(), as_bytes("message"), signature));
  EXPECT_FALSE(verify(PublicKey(), as_bytes("message"), signature));
  EXPECT_FALSE(verify(signer.public_key(), as_bytes("message"), ConstBytes(signature).first(63)));
  EXPECT_FALSE(verify(signer.public_key(), as_bytes("message"), {}));
  for (size_t bit = 0; bit < signature.size() * 8; ++bit) {
    flip(signature, bit);
    EXPECT_FALSE(verify(signer.public_key(), as_bytes("message"), signature)) << bit;
    flip(signature, bit);
  }
}

}  // namespace
}  // namespace centipede::crypto
