// What the shield lets through, row by row, and how many.
#include <centipede/wire.h>

#include <string>

#include "shield_fixture.h"
#include "wire_pair.h"

namespace centipede::test {
namespace {

constexpr uint64_t our_call = 0x0102030405060708;
constexpr uint64_t other_call = 0x0102030405060709;

Frame with(Message payload) {
  return build({.payload = std::move(payload)});
}

Message with_byte(Message message, size_t at, uint8_t value) {
  message[at] = value;
  return message;
}

Message with_size(Message message, size_t size) {
  message.resize(size);
  return message;
}

TEST_F(ShieldTest, without_keys_every_handshake_datagram_passes) {
  for (const uint32_t flags : {0U, uint32_t{CP_SHIELD_ALL_CALLS}}) {
    shield.flags = flags;
    put_shield();
    expect("initiation", with(initiation(shield, our_call)), XDP_PASS, CP_VERDICT_HANDSHAKE);
    expect("wrong mac1", with(with_byte(initiation(shield, our_call), 190, 0)), XDP_PASS, CP_VERDICT_HANDSHAKE);
    expect("response", with(response(shield, other_call)), XDP_PASS, CP_VERDICT_HANDSHAKE);
    expect("cookie reply", with(cookie_reply(other_call)), XDP_PASS, CP_VERDICT_HANDSHAKE);
    expect("unknown type", with(Message(100, 0xff)), XDP_PASS, CP_VERDICT_HANDSHAKE);
  }
}

TEST_F(ShieldTest, what_is_no_handshake_message_is_dropped) {
  const Message valid = initiation(shield, our_call);
  for (const int type : {0x80, 0x84, 0xff})
    expect("type", with(with_byte(valid, 0, static_cast<uint8_t>(type))), XDP_DROP, CP_VERDICT_NO_MESSAGE);
  expect("a response of an initiation's size", with(with_byte(valid, 0, 0x82)), XDP_DROP, CP_VERDICT_NO_MESSAGE);
  for (const int version : {0, 2, 255})
    expect("version", with(with_byte(valid, 1, static_cast<uint8_t>(version))), XDP_DROP, CP_VERDICT_NO_MESSAGE);
  for (size_t at = 2; at < 8; ++at)
    expect("padding", with(with_byte(valid, at, 1)), XDP_DROP, CP_VERDICT_NO_MESSAGE);
  for (size_t size = CP_DATA_HEADER_SIZE; size < 300; ++size) {
    if (size != CP_INITIATION_SIZE) expect("size", with(with_size(valid, size)), XDP_DROP, CP_VERDICT_NO_MESSAGE);
    if (size != CP_RESPONSE_SIZE)
      expect("size", with(with_size(response(shield, our_call), size)), XDP_DROP, CP_VERDICT_NO_MESSAGE);
    if (size != CP_COOKIE_SIZE)
      expect("size", with(with_size(cookie_reply(our_call), size)), XDP_DROP, CP_VERDICT_NO_MESSAGE);
  }
}

TEST_F(ShieldTest, mac1_is_libsodiums_siphash_with_no_bit_to_spare) {
  shield.unproven = without_limit;
  shield.calls = {our_call};
  put_shield();
  ASSERT_TRUE(program->put_call(our_call));
  for (int round = 0; round < 100; ++round) {
    for (uint8_t& byte : shield.mac1_key)
      byte = static_cast<uint8_t>(byte * 5 + round);
    put_shield();
    expect("initiation", with(initiation(shield, static_cast<uint64_t>(round))), XDP_PASS, CP_VERDICT_HANDSHAKE);
    expect("response", with(response(shield, our_call)), XDP_PASS, CP_VERDICT_HANDSHAKE);
  }
  const auto flipped = [&](const Message& valid, size_t first_bit, size_t last_bit) {
    for (size_t bit = first_bit; bit < last_bit; ++bit) {
      Message message = valid;
      message[bit / 8] ^= static_cast<uint8_t>(1U << bit % 8);
      expect(("bit " + std::to_string(bit)).c_str(), with(message), XDP_DROP, CP_VERDICT_BAD_MAC1);
    }
  };
  // Behind the header, whose bits are another verdict; of a response behind the sid too.
  flipped(initiation(shield, our_call), 8 * 8, size_t{CP_INITIATION_OFFSET_MAC2} * 8);
  flipped(response(shield, our_call), 16 * 8, (CP_RESPONSE_SIZE - CP_MAC_SIZE) * size_t{8});
  expect("mac2 of a response is not looked at", with(with_byte(response(shield, our_call), 183, 9)), XDP_PASS,
         CP_VERDICT_HANDSHAKE);
}

TEST_F(ShieldTest, responses_and_cookie_replies_need_a_call) {
  ASSERT_TRUE(program->put_call(our_call));
  expect("response", with(response(shield, our_call)), XDP_PASS, CP_VERDICT_HANDSHAKE);
  expect("cookie reply", with(cookie_reply(our_call)), XDP_PASS, CP_VERDICT_HANDSHAKE);
  expect("response to nobody", with(response(shield, other_call)), XDP_DROP, CP_VERDICT_UNCALLED);
  expect("cookie reply to nobody", with(cookie_reply(other_call)), XDP_DROP, CP_VERDICT_UNCALLED);
  expect("the call in the other byte order", with(response(shield, __builtin_bswap64(our_call))), XDP_DROP,
         CP_VERDICT_UNCALLED);
  expect("an initiation needs none", proven({}, 1, other_call), XDP_PASS, CP_VERDICT_HANDSHAKE);

  shield.flags &= ~uint32_t{CP_SHIELD_ALL_CALLS};
  put_shield();
  expect("perhaps to us", with(response(shield, other_call)), XDP_PASS, CP_VERDICT_HANDSHAKE);
  expect("perhaps to us", with(cookie_reply(other_call)), XDP_PASS, CP_VERDICT_HANDSHAKE);
  expect("wrong mac1", with(with_byte(response(shield, other_call), 100, 0)), XDP_DROP, CP_VERDICT_BAD_MAC1);

  shield.flags |= CP_SHIELD_ALL_CALLS;
  put_shield();
  program->erase_call(our_call);
  expect("the call has ended", with(response(shield, our_call)), XDP_DROP, CP_VERDICT_UNCALLED);
}

// This machine may be their router, or have them behind a bridge.
TEST_F(ShieldTest, what_goes_to_others_passes_unchanged) {
  ASSERT_TRUE(program->put_call(our_call));
  shield.source = never;
  put_shield();
  const std::vector<std::pair<cp_verdict, Message>> cases{
      {CP_VERDICT_UNKNOWN_SESSION, data_packet(0, 5, sid + 1)},
      {CP_VERDICT_UNKNOWN_SESSION, data_packet(127, 5, sid + 1)},
      {CP_VERDICT_NO_MESSAGE, Message(CP_DATA_HEADER_SIZE - 1, 0)},
      {CP_VERDICT_NO_MESSAGE, Message()},
      {CP_VERDICT_NO_MESSAGE, with_byte(initiation(shield, our_call), 0, 0x84)},
      {CP_VERDICT_NO_MESSAGE, with_size(response(shield, our_call), 100)},
      {CP_VERDICT_BAD_MAC1, with_byte(initiation(shield, our_call), 20, 0)},
      {CP_VERDICT_BAD_MAC1, with_byte(response(shield, our_call), 20, 0)},
      {CP_VERDICT_UNCALLED, response(shield, other_call)},
      {CP_VERDICT_UNCALLED, cookie_reply(other_call)},
      {CP_VERDICT_CHALLENGED, initiation(shield, our_call)},
      {CP_VERDICT_SOURCE_LIMITED, {}}};
  const std::vector<FrameSpec> others{{.destination = {192, 0, 2, 3}},
                                      {.destination = {224, 0, 0, 1}},
                                      {.destination = {255, 255, 255, 255}},
                                      {.family = 6, .destination = std::vector<uint8_t>(16, 0x21)},
                                      {.family = 6, .destination = {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}},
                                      {.tags = {0x8100}, .destination = {10, 0, 0, 1}}};
  for (const auto& [verdict, message] : cases) {
    const auto frame = [&](FrameSpec spec) {
      if (verdict == CP_VERDICT_SOURCE_LIMITED) return proven(spec, 1);
      spec.payload = message;
      return build(spec);
    };
    expect("to us", frame({}), action_of(verdict), verdict);
    expect("to us", frame({.family = 6}), action_of(verdict), verdict);
    for (const FrameSpec& spec : others) {
      const Frame foreign = frame(spec);
      expect("to somebody else", foreign, XDP_PASS, CP_VERDICT_FOREIGN);
      Frame out;
      run(foreign, 1, nullptr, &out);
      EXPECT_EQ(out, foreign);
    }
  }
  expect("a known session needs no address", build({.destination = {192, 0, 2, 3}, .payload = data_packet(0, 5, sid)}),
         XDP_PASS, CP_VERDICT_NO_SOCKET);
}

TEST_F(ShieldTest, initiations_to_others_use_up_no_rate) {
  shield.unproven = only(1);
  put_shield();
  const Message message = initiation(shield, our_call);
  for (int i = 0; i < 10; ++i)
    expect("to somebody else", build({.destination = {192, 0, 2, 3}, .payload = message}), XDP_PASS,
           CP_VERDICT_FOREIGN);
  expect("the first to us", with(message), XDP_PASS, CP_VERDICT_HANDSHAKE);
  expect("the second", with(message), XDP_TX, CP_VERDICT_CHALLENGED);
}

TEST_F(ShieldTest, a_full_call_map_is_an_error_and_gets_room_again) {
  uint64_t id = 1;
  while (id < 100 && program->put_call(id))
    ++id;
  ASSERT_EQ(id, 5U) << "4 calls";
  const auto refused = program->put_call(id);
  EXPECT_EQ(refused.error().code, E2BIG) << refused.error().text;
  program->erase_call(1);
  EXPECT_TRUE(program->put_call(id));
}

TEST_F(ShieldTest, unknown_sessions_are_dropped_when_the_map_holds_all) {
  expect("data", data_frame(0, 5, sid + 1), XDP_DROP, CP_VERDICT_UNKNOWN_SESSION);
  expect("control lane", data_frame(127, 5, sid + 1), XDP_DROP, CP_VERDICT_UNKNOWN_SESSION);
  expect("known session", data_frame(0, 5), XDP_PASS, CP_VERDICT_NO_SOCKET);
  expect("known session's control lane", data_frame(127, 5), XDP_PASS, CP_VERDICT_CONTROL);
  shield.flags &= ~uint32_t{CP_SHIELD_ALL_SESSIONS};
  put_shield();
  expect("data", data_frame(0, 5, sid + 1), XDP_PASS, CP_VERDICT_UNLISTED);
  expect("control lane", data_frame(127, 5, sid + 1), XDP_PASS, CP_VERDICT_UNLISTED);
}

TEST_F(ShieldTest, a_proof_counts_for_two_secrets_and_for_its_sender_alone) {
  const std::vector<FrameSpec> kinds{
      from({198, 51, 100, 7}, 1, {}), {.family = 6}, {.tags = {0x88a8, 0x8100}, .family = 6, .source_port = 0xffff}};
  for (const FrameSpec& kind : kinds) {
    for (const uint32_t current : {0U, 1U}) {
      shield.current = current;
      put_shield();
      expect("current secret", proven(kind, current), XDP_PASS, CP_VERDICT_HANDSHAKE);
      expect("the one before", proven(kind, 1 - current), XDP_PASS, CP_VERDICT_HANDSHAKE);
    }
    Frame flipped = proven(kind, 0);
    for (size_t at = flipped.size() - CP_MAC_SIZE; at < flipped.size(); ++at) {
      flipped[at] ^= 0x10;
      expect("wrong mac2", flipped, XDP_TX, CP_VERDICT_CHALLENGED);
      flipped[at] ^= 0x10;
    }
    FrameSpec stolen = kind;
    const auto whole = proven(kind, 1);
    const auto payload = payload_of(whole);
    stolen.payload.assign(payload.begin(), payload.end());
    ++stolen.source_port;
    if (stolen.source_port == 0) stolen.source_port = 5;
    expect("another port", build(stolen), XDP_TX, CP_VERDICT_CHALLENGED);
    stolen.source_port = kind.source_port;
    stolen.source = kind.family == 4 ? std::vector<uint8_t>{198, 51, 100, 8} : std::vector<uint8_t>(16, 0x21);
    expect("another address", build(stolen), XDP_TX, CP_VERDICT_CHALLENGED);
  }
}

TEST_F(ShieldTest, a_mac2_of_zeros_proves_no_more_than_any_other) {
  Message zeros = initiation(shield, our_call);
  std::fill(zeros.end() - CP_MAC_SIZE, zeros.end(), 0);
  expect("zeros", with(zeros), XDP_TX, CP_VERDICT_CHALLENGED);
  expect("anything", with(initiation(shield, our_call)), XDP_TX, CP_VERDICT_CHALLENGED);
}

TEST_F(ShieldTest, a_secret_that_has_been_replaced_proves_nothing) {
  const Frame old = proven({}, 0);
  expect("while it is one of the two", old, XDP_PASS, CP_VERDICT_HANDSHAKE);
  shield.secrets[0] = {9, 9, 9};
  shield.current = 0;
  put_shield();
  expect("two rotations on", old, XDP_TX, CP_VERDICT_CHALLENGED);
  expect("the one before", proven({}, 1), XDP_PASS, CP_VERDICT_HANDSHAKE);
}

TEST_F(ShieldTest, unproven_initiations_pass_in_a_burst_and_are_challenged_then) {
  shield.unproven = only(3);
  put_shield();
  const auto frame = [&](int i) {
    return build(from({198, 51, 100, static_cast<uint8_t>(i)}, 1000, initiation(shield, 7)));
  };
  for (int i = 0; i < 3; ++i)
    expect("in the burst", frame(i), XDP_PASS, CP_VERDICT_HANDSHAKE);
  for (int i = 0; i < 50; ++i)
    expect("above it", frame(i), XDP_TX, CP_VERDICT_CHALLENGED);
  expect("wrong mac1 even so", with(with_byte(initiation(shield, 7), 20, 0)), XDP_DROP, CP_VERDICT_BAD_MAC1);
  expect("a proof has a rate of its own", proven({}, 1), XDP_PASS, CP_VERDICT_HANDSHAKE);
}

TEST_F(ShieldTest, a_rate_comes_back_with_time) {
  shield.unproven = {.period_ns = 200'000, .burst_ns = 200'000};
  put_shield();
  const Frame frame = with(initiation(shield, 7));
  EXPECT_TRUE(run(frame) == XDP_PASS);
  const Counts before = counts();
  EXPECT_TRUE(eventually([&] {
    run(frame);
    return counts()[CP_VERDICT_HANDSHAKE] - before[CP_VERDICT_HANDSHAKE] == 20;
  }));
}

TEST_F(ShieldTest, each_source_has_its_own_limit) {
  shield.source = only(2);
  put_shield();
  const auto limited_after_two = [&](const FrameSpec& kind) {
    expect("first", proven(kind, 1), XDP_PASS, CP_VERDICT_HANDSHAKE);
    expect("second", proven(kind, 0), XDP_PASS, CP_VERDICT_HANDSHAKE);
    expect("third", proven(kind, 1), XDP_DROP, CP_VERDICT_SOURCE_LIMITED);
  };
  const auto limited_already = [&](const FrameSpec& kind) {
    expect("of a prefix used up", proven(kind, 1), XDP_DROP, CP_VERDICT_SOURCE_LIMITED);
  };
  limited_after_two(from({198, 51, 100, 7}, 1000, {}));
  limited_already(from({198, 51, 100, 7}, 1001, {}));
  limited_after_two(from({198, 51, 100, 8}, 1000, {}));

  std::vector<uint8_t> address(16, 0x20);
  limited_after_two({.family = 6, .source = address});
  address[8] ^= 0x80;
  limited_already({.family = 6, .source = address});
  address[15] ^= 1;
  limited_already({.family = 6, .source = address});
  address[7] ^= 1;
  limited_after_two({.family = 6, .source = address});
}

TEST_F(ShieldTest, more_sources_than_the_map_holds_are_served_all_the_same) {
  shield.source = only(1);
  put_shield();
  const uint64_t others = long_rounds(3 * CP_MAX_SOURCES);
  for (uint64_t i = 0; i < others; ++i) {
    const auto index = static_cast<uint32_t>(i % (1U << 22));
    const Frame frame = proven(
        from({11, static_cast<uint8_t>(index >> 16), static_cast<uint8_t>(index >> 8), static_cast<uint8_t>(index)}, 9,
             {}),
        1);
    ASSERT_EQ(run(frame), XDP_PASS) << "source " << i;
  }
  const FrameSpec newest = from({12, 0, 0, 1}, 9, {});
  expect("a new source", proven(newest, 1), XDP_PASS, CP_VERDICT_HANDSHAKE);
  expect("the same again", proven(newest, 1), XDP_DROP, CP_VERDICT_SOURCE_LIMITED);
}

}  // namespace
}  // namespace centipede::test
