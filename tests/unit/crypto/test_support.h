// What the tests of this layer share: hex, fixed secrets, a ready-made pair of peers and a handshake between them.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "crypto/handshake.h"

namespace centipede::crypto {

inline std::vector<uint8_t> from_hex(std::string_view text) {
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  std::vector<uint8_t> bytes;
  for (size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes.push_back(static_cast<uint8_t>(digit(text[i]) * 16 + digit(text[i + 1])));
  }
  return bytes;
}

inline std::string to_hex(ConstBytes bytes) {
  std::string text;
  for (const uint8_t byte : bytes) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

inline ConstBytes as_bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

inline SecretKey filled(uint8_t value) {
  SecretKey key;
  std::memset(key.data(), value, key.size);
  return key;
}

inline SecretKey secret_of(std::string_view hex) {
  const auto bytes = from_hex(hex);
  return SecretKey(std::span<const uint8_t, 32>(bytes.data(), 32));
}

inline void flip(std::span<uint8_t> bytes, size_t bit) {
  bytes[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
}

class CryptoTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(initialise()); }
};

// Two peers and the inputs of the frozen transcript.
class HandshakeTest : public CryptoTest {
 protected:
  static constexpr wire::SessionId sid_i = 0x0102030405060708;
  static constexpr wire::SessionId sid_r = 0x1112131415161718;
  static constexpr uint64_t timestamp =
      uint64_t{1'700'000'000'000'000'000} / timestamp_quantum_ns * timestamp_quantum_ns;
  static constexpr wire::Params params_i{.lanes = 4, .mtu = 1420};
  static constexpr wire::Params params_r{.lanes = 2, .window_bits = 16, .flags = 1, .heartbeat_ms = 1000, .mtu = 1380};

  [[nodiscard]] Initiator start() const { return start(alice, bob.public_key(), ephemeral_i); }
  [[nodiscard]] static Initiator start(const Identity& self, const PublicKey& responder, const SecretKey& ephemeral) {
    return Initiator::start({self, responder, sid_i, timestamp, params_i, ephemeral}).value();
  }
  [[nodiscard]] static OpenedInitiation open_verified(const Identity& self, ConstBytes initiation) {
    auto opened = OpenedInitiation::open(self, initiation).value();
    EXPECT_TRUE(opened.verify(self, PublicKey::from_bytes(opened.claimed_peer()).value()));
    return opened;
  }
  [[nodiscard]] OpenedInitiation::Response respond(ConstBytes initiation) const {
    return open_verified(bob, initiation).respond(bob, psk, sid_r, params_r, ephemeral_r).value();
  }

  Identity alice = Identity::from_seed(filled(0x11));
  Identity bob = Identity::from_seed(filled(0x22));
  Identity mallory = Identity::from_seed(filled(0x66));
  SecretKey ephemeral_i = filled(0x33);
  SecretKey ephemeral_r = filled(0x44);
  SecretKey psk = filled(0x55);
};

}  // namespace centipede::crypto
