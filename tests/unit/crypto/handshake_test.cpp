#include "crypto/handshake.h"

#include <gtest/gtest.h>

#include "test_support.h"
#include "transcript.h"

namespace centipede::crypto {
namespace {

using enum HandshakeFailure;

constexpr size_t mac2_size = 16;

TEST_F(HandshakeTest, TheTranscriptIsFrozen) {
  EXPECT_EQ(to_hex(alice.public_key().bytes()), transcript::initiator_public);
  EXPECT_EQ(to_hex(bob.public_key().bytes()), transcript::responder_public);
  const Initiator initiator = start();
  EXPECT_EQ(to_hex(initiator.message()), transcript::initiation);
  const auto response = respond(initiator.message());
  EXPECT_EQ(to_hex(response.message), transcript::response);
  const SessionKeys& keys = response.established.keys;
  EXPECT_EQ(to_hex(keys.receive_key.view()), transcript::key_ir);
  EXPECT_EQ(to_hex(keys.receive_iv), transcript::iv_ir);
  EXPECT_EQ(to_hex(keys.send_key.view()), transcript::key_ri);
  EXPECT_EQ(to_hex(keys.send_iv), transcript::iv_ri);
  EXPECT_EQ(to_hex(keys.exporter.view()), transcript::exporter);
}

TEST_F(HandshakeTest, BothSidesDeriveTheSameKeysCrossed) {
  const Initiator initiator = start();
  const auto response = respond(initiator.message());
  const auto established = initiator.finish(alice, psk, response.message);
  ASSERT_TRUE(established);
  const SessionKeys& i = established->keys;
  const SessionKeys& r = response.established.keys;
  EXPECT_TRUE(i.send_key.equals(r.receive_key));
  EXPECT_TRUE(i.receive_key.equals(r.send_key));
  EXPECT_EQ(i.send_iv, r.receive_iv);
  EXPECT_EQ(i.receive_iv, r.send_iv);
  EXPECT_TRUE(i.exporter.equals(r.exporter));
  EXPECT_FALSE(i.send_key.equals(i.receive_key));
  EXPECT_NE(i.send_iv, i.receive_iv);
  EXPECT_FALSE(i.exporter.equals(i.send_key) || i.exporter.equals(i.receive_key));
  EXPECT_EQ(established->peer_sid, sid_r);
  EXPECT_EQ(established->peer_params, params_r);
  EXPECT_EQ(response.established.peer_sid, sid_i);
  EXPECT_EQ(response.established.peer_params, params_i);
}

TEST_F(HandshakeTest, TheResponderLearnsWhatTheInitiatorSaid) {
  const Initiator initiator = start();
  EXPECT_EQ(initiator.sid(), sid_i);
  EXPECT_EQ(initiator.timestamp_ns(), timestamp);
  const auto opened = open_verified(bob, initiator.message());
  EXPECT_EQ(opened.claimed_peer(), alice.public_key().bytes());
  EXPECT_EQ(opened.claimed_timestamp_ns(), timestamp);
  EXPECT_EQ(opened.claimed_sid(), sid_i);
  EXPECT_EQ(opened.claimed_params(), params_i);
}

TEST_F(HandshakeTest, OtherEphemeralKeysGiveOtherSessionKeys) {
  const Initiator initiator = start();
  const auto opened = open_verified(bob, initiator.message());
  const auto one = opened.respond(bob, psk, sid_r, params_r, filled(0x71)).value();
  const auto two = opened.respond(bob, psk, sid_r, params_r, filled(0x72)).value();
  EXPECT_FALSE(one.established.keys.send_key.equals(two.established.keys.send_key));
}

TEST_F(HandshakeTest, NoResponseBeforeTheSignatureWasChecked) {
  const auto opened = OpenedInitiation::open(bob, start().message()).value();
  EXPECT_EQ(opened.respond(bob, psk, sid_r, params_r, ephemeral_r).error(), bad_signature);
}

TEST_F(HandshakeTest, AForgedResponseEndsNothing) {
  const Initiator initiator = start();
  const auto response = respond(initiator.message());
  auto forged = response.message;
  flip(forged, 100 * 8);
  EXPECT_FALSE(initiator.finish(alice, psk, forged));
  EXPECT_TRUE(initiator.finish(alice, psk, response.message));
}

// mac2 is the last 16 bytes. It is not covered by mac1 (copies of one initiation differ in it) and means something only
// to a responder that has asked for a cookie, so a nonzero mac2 nobody asked for is let through.
TEST_F(HandshakeTest, EveryFlippedBitOfTheInitiationIsRefused) {
  const Initiator initiator = start();
  for (size_t bit = 0; bit < initiator.message().size() * 8; ++bit) {
    auto damaged = initiator.message();
    flip(damaged, bit);
    const bool in_mac2 = bit / 8 >= damaged.size() - mac2_size;
    const auto opened = OpenedInitiation::open(bob, damaged);
    ASSERT_EQ(opened.has_value(), in_mac2) << bit;
    if (!in_mac2) {
      EXPECT_EQ(opened.error(), bit / 8 < CP_CONTROL_HEADER_SIZE ? malformed : bad_mac1) << bit;
    }
  }
}

TEST_F(HandshakeTest, EveryFlippedBitOfTheResponseIsRefused) {
  const Initiator initiator = start();
  const auto response = respond(initiator.message());
  for (size_t bit = 0; bit < response.message.size() * 8; ++bit) {
    auto damaged = response.message;
    flip(damaged, bit);
    const bool in_mac2 = bit / 8 >= damaged.size() - mac2_size;
    const auto finished = initiator.finish(alice, psk, damaged);
    ASSERT_EQ(finished.has_value(), in_mac2) << bit;
    const HandshakeFailure expected = bit / 8 < CP_CONTROL_HEADER_SIZE ? malformed
                                      : bit / 8 < 16                   ? unexpected_sid
                                                                       : bad_mac1;
    if (!in_mac2) {
      EXPECT_EQ(finished.error(), expected) << bit;
    }
  }
}

TEST_F(HandshakeTest, EveryOtherLengthIsMalformed) {
  const Initiator initiator = start();
  const auto response = respond(initiator.message());
  std::vector<uint8_t> first(initiator.message().begin(), initiator.message().end());
  std::vector<uint8_t> second(response.message.begin(), response.message.end());
  first.resize(300, 0);
  second.resize(300, 0);
  for (size_t size = 0; size <= 300; ++size) {
    const auto opened = OpenedInitiation::open(bob, ConstBytes(first).first(size));
    ASSERT_EQ(opened.has_value(), size == CP_INITIATION_SIZE) << size;
    if (!opened) {
      EXPECT_EQ(opened.error(), malformed);
    }
    const auto finished = initiator.finish(alice, psk, ConstBytes(second).first(size));
    ASSERT_EQ(finished.has_value(), size == CP_RESPONSE_SIZE) << size;
    if (!finished) {
      EXPECT_EQ(finished.error(), malformed);
    }
  }
  for (size_t size = 0; size < 32; ++size)
    EXPECT_FALSE(mac1_is_valid(bob.receiver_keys(), ConstBytes(first).first(size)));
}

TEST_F(HandshakeTest, AnotherRecipientCannotOpenTheInitiation) {
  EXPECT_EQ(OpenedInitiation::open(mallory, start().message()).error(), bad_mac1);
}

TEST_F(HandshakeTest, AnotherInitiatorCannotFinishWithTheResponse) {
  const Initiator initiator = start();
  const auto response = respond(initiator.message());
  EXPECT_EQ(initiator.finish(mallory, psk, response.message).error(), bad_mac1);
}

TEST_F(HandshakeTest, AResponseBelongsToOneInitiation) {
  const Initiator first = start();
  const auto response = respond(first.message());
  const Initiator other_ephemeral = start(alice, bob.public_key(), filled(0x34));
  EXPECT_EQ(other_ephemeral.finish(alice, psk, response.message).error(), bad_box);
  const auto other_sid =
      Initiator::start({alice, bob.public_key(), sid_i + 1, timestamp, params_i, ephemeral_i}).value();
  EXPECT_EQ(other_sid.finish(alice, psk, response.message).error(), unexpected_sid);
  const auto other_timestamp =
      Initiator::start({alice, bob.public_key(), sid_i, timestamp + timestamp_quantum_ns, params_i, ephemeral_i})
          .value();
  EXPECT_EQ(other_timestamp.finish(alice, psk, response.message).error(), bad_box);
}

TEST_F(HandshakeTest, DifferentPresharedKeysMakeNoSession) {
  const Initiator initiator = start();
  const auto response = respond(initiator.message());
  EXPECT_EQ(initiator.finish(alice, SecretKey(), response.message).error(), bad_box);
  for (size_t bit = 0; bit < 256; bit += 17) {
    SecretKey other = psk.clone();
    flip({other.data(), other.size}, bit);
    EXPECT_EQ(initiator.finish(alice, other, response.message).error(), bad_box);
  }
}

TEST_F(HandshakeTest, AReflectedMessageIsRefused) {
  const Initiator initiator = start();
  EXPECT_EQ(OpenedInitiation::open(alice, initiator.message()).error(), bad_mac1);
  EXPECT_EQ(initiator.finish(alice, psk, initiator.message()).error(), malformed);
  const auto response = respond(initiator.message());
  EXPECT_EQ(OpenedInitiation::open(bob, response.message).error(), malformed);
}

TEST_F(HandshakeTest, NobodyElseCanAnswerAnInitiation) {
  // Someone who holds the initiator's own private key (and its preshared key) still is not the responder.
  const Initiator initiator = start();
  EXPECT_FALSE(OpenedInitiation::open(alice, initiator.message()));
  const Initiator to_mallory = start(alice, mallory.public_key(), ephemeral_i);
  const auto response =
      open_verified(mallory, to_mallory.message()).respond(mallory, psk, sid_r, params_r, ephemeral_r).value();
  EXPECT_EQ(initiator.finish(alice, psk, response.message).error(), bad_box);
}

TEST_F(HandshakeTest, AResponderWithoutAKeyCannotBeCalled) {
  EXPECT_EQ(Initiator::start({alice, PublicKey(), sid_i, timestamp, params_i, ephemeral_i}).error(), bad_ephemeral);
}

}  // namespace
}  // namespace centipede::crypto
