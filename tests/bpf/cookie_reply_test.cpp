// The frames that the program sends by itself: byte for byte what they should be, to whom, and how many bytes of them.
#include <centipede/wire.h>

#include <algorithm>
#include <random>
#include <string>

#include "shield_fixture.h"

namespace centipede::test {
namespace {

class CookieReplyTest : public ShieldTest {
 protected:
  void SetUp() override {
    ShieldTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    std::set<IpAddress> addresses = own_addresses();
    addresses.insert(IpAddress::v6(own_link_local.data()));
    ASSERT_TRUE(program->set_addresses(addresses));
  }

  Frame answer_to(const Frame& request) {
    Frame reply;
    EXPECT_EQ(run(request, 1, nullptr, &reply), XDP_TX);
    return reply;
  }

  FrameSpec asking(FrameSpec spec) const {
    spec.destination_mac = {2, 0, 0, 0, 0, 1};
    spec.source_mac = {2, 0, 0, 0, 0, 0xee};
    if (spec.family == 6) {
      spec.source = {0x20, 1, 0xd, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
      spec.destination = own_link_local;
    }
    spec.payload = initiation(shield, 0x1020304050607080);
    return spec;
  }

  const std::vector<uint8_t> own_link_local{0xfe, 0x80, 0,    0,    0,    0,    0,    0,
                                            0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0xfa, 0xf9, 0xf8};

  // Neither answered nor passed.
  void expect_silence(const char* what, const FrameSpec& spec) {
    expect(what, build(spec), XDP_DROP, CP_VERDICT_SOURCE_LIMITED);
  }
};

TEST_F(CookieReplyTest, is_right_to_the_last_byte_in_every_kind_of_frame) {
  using Extensions = std::vector<std::pair<uint8_t, uint8_t>>;
  const std::vector<std::pair<const char*, FrameSpec>> kinds{
      {"IPv4", {}},
      {"IPv6", {.family = 6}},
      {"VLAN", {.tags = {0x8100}}},
      {"VLAN, IPv6", {.tags = {0x8100}, .family = 6}},
      {"QinQ", {.tags = {0x88a8, 0x8100}}},
      {"QinQ, IPv6", {.tags = {0x88a8, 0x8100}, .family = 6}},
      {"4 bytes of IPv4 options", {.ipv4_header = 24}},
      {"40 bytes of IPv4 options", {.tags = {0x8100}, .ipv4_header = 60}},
      {"a destination option", {.family = 6, .extensions = {{60, 0}}}},
      {"three extension headers", {.tags = {0x8100}, .family = 6, .extensions = {{0, 1}, {60, 3}, {43, 2}}}},
      {"the longest headers there are", {.tags = {0x8100, 0x8100}, .family = 6, .extensions = Extensions(6, {60, 60})}},
      {"Ethernet padding", {.padding = 30}},
  };
  for (const auto& [what, kind] : kinds) {
    SCOPED_TRACE(what);
    const Frame request = build(asking(kind));
    const Frame reply = answer_to(request);
    EXPECT_EQ(reply, expected_reply(shield, request, nonce_of(reply)));
    EXPECT_EQ(reply.size(), request.size());
    EXPECT_EQ(payload_of(reply).size(), size_t{CP_COOKIE_SIZE}) << "the rest is padding";
  }
}

TEST_F(CookieReplyTest, nothing_that_the_request_got_wrong_spoils_it) {
  Frame request = build(asking({}));
  const size_t ip = CP_ETHERNET_SIZE;
  store_be<uint16_t>(request.data() + ip + 10, 0xbad0);  // IP checksum
  store_be<uint16_t>(request.data() + ip + CP_IPV4_SIZE + 6, 0xbad1);
  request[ip + 8] = 1;  // TTL
  const Frame reply = answer_to(request);
  EXPECT_EQ(reply, expected_reply(shield, request, nonce_of(reply)));

  FrameSpec longer = asking({.padding = 12});
  longer.ip_length = static_cast<uint16_t>(CP_IPV4_SIZE + CP_UDP_SIZE + CP_INITIATION_SIZE + 12);
  const Frame trailing = build(longer);
  const Frame shorter = answer_to(trailing);
  EXPECT_EQ(shorter, expected_reply(shield, trailing, nonce_of(shorter)))
      << "IP bytes behind the datagram become padding";
}

TEST_F(CookieReplyTest, checksums_are_right_for_all_kinds_of_sums) {
  std::mt19937_64 random(5);
  for (uint64_t i = 0; i < long_rounds(20'000); ++i) {
    FrameSpec spec = asking({.family = random() % 2 == 0 ? 4 : 6, .source_port = static_cast<uint16_t>(random() | 1)});
    if (spec.family == 4)
      spec.source = {static_cast<uint8_t>(1 + random() % 100), 255, 255, static_cast<uint8_t>(random())};
    const Frame request = build(spec);
    const Frame reply = answer_to(request);
    ASSERT_EQ(reply, expected_reply(shield, request, nonce_of(reply)));
  }
}

TEST_F(CookieReplyTest, the_cookie_in_it_lets_its_receiver_in) {
  for (const int family : {4, 6}) {
    FrameSpec spec = asking({.family = family});
    const Frame request = build(spec);
    const Frame reply = answer_to(request);
    const Mac cookie = opened_cookie(shield, spec.payload, payload_of(reply));
    ASSERT_NE(cookie, Mac{}) << "the tag is right";
    for (size_t at = CP_INITIATION_OFFSET_MAC1; at < CP_INITIATION_SIZE; ++at) {
      Message other_copy = spec.payload;
      other_copy[at] ^= 0x10;
      EXPECT_EQ(opened_cookie(shield, other_copy, payload_of(reply)), Mac{}) << at;
    }
    put_mac2(spec.payload, cookie);
    expect("the same again, with mac2", build(spec), XDP_PASS, CP_VERDICT_HANDSHAKE);
    spec.payload = initiation(shield, 99);
    put_mac2(spec.payload, cookie);
    expect("another call with the same cookie", build(spec), XDP_PASS, CP_VERDICT_HANDSHAKE);
    spec.source_port = 9;
    expect("from another port", build(spec), XDP_TX, CP_VERDICT_CHALLENGED);
  }
}

TEST_F(CookieReplyTest, no_two_have_one_nonce) {
  const Frame request = build(asking({}));
  std::set<uint64_t> nonces;
  for (int i = 0; i < 1000; ++i)
    nonces.insert(nonce_of(answer_to(request)));
  EXPECT_EQ(nonces.size(), 1000U);
}

TEST_F(CookieReplyTest, the_current_secret_makes_the_cookie) {
  const FrameSpec spec = asking({});
  const Frame request = build(spec);
  for (const uint32_t current : {0U, 1U}) {
    shield.current = current;
    put_shield();
    const Mac cookie = opened_cookie(shield, spec.payload, payload_of(answer_to(request)));
    const Sender sender = sender_of(request);
    EXPECT_EQ(cookie, shield.cookie(sender.address, sender.port, current));
  }
}

TEST_F(CookieReplyTest, groups_and_impossible_senders_are_not_answered) {
  FrameSpec spec = asking({});
  spec.source_port = 0;
  expect_silence("port 0", spec);
  spec = asking({});
  spec.source_mac[0] |= 1;
  expect_silence("from a group MAC", spec);
  spec = asking({});
  spec.destination_mac = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
  expect_silence("to all on the link", spec);
  for (const uint8_t first : std::vector<uint8_t>{0, 127, 224, 239, 240, 255}) {
    spec = asking({});
    spec.source = {first, 0, 0, 1};
    expect_silence("from no IPv4 host", spec);
  }
  for (const uint8_t first : std::vector<uint8_t>{1, 126, 128, 223}) {
    spec = asking({});
    spec.source = {first, 0, 0, 0};
    expect("from a host", build(spec), XDP_TX, CP_VERDICT_CHALLENGED);
  }
  const std::vector<std::vector<uint8_t>> no_hosts{
      std::vector<uint8_t>(16, 0),                                  // unspecified
      {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1},             // loopback
      {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198, 51, 100, 1},  // IPv4-mapped
      {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};         // all nodes
  for (const auto& address : no_hosts) {
    spec = asking({.family = 6});
    spec.source = address;
    expect_silence("from no IPv6 host", spec);
  }
}

TEST_F(CookieReplyTest, nothing_is_sent_without_a_valid_mac1) {
  std::mt19937_64 random(6);
  const uint64_t frames = long_rounds(100'000);
  uint64_t sent = 0;
  for (uint64_t i = 0; i < frames; ++i) {
    FrameSpec spec = asking({.family = i % 2 == 0 ? 4 : 6});
    for (uint64_t n = 1 + random() % 3; n > 0; --n)
      spec.payload[random() % spec.payload.size()] ^= static_cast<uint8_t>(1U << random() % 8);
    Frame request = build(spec);
    if (random() % 4 == 0)
      request[random() % (request.size() - CP_INITIATION_SIZE)] ^= static_cast<uint8_t>(1U << random() % 8);
    const auto payload = payload_of(request);
    const bool valid = payload.size() == CP_INITIATION_SIZE &&
                       std::ranges::equal(siphash(shield.mac1_key, payload.first(CP_INITIATION_OFFSET_MAC1)),
                                          payload.subspan(CP_INITIATION_OFFSET_MAC1, CP_MAC_SIZE));
    const int action = run(request);
    if (!valid) {
      ASSERT_NE(action, XDP_TX) << testing::PrintToString(request);
    }
    sent += action == XDP_TX ? 1 : 0;
  }
  EXPECT_GT(sent, 100U) << "flipped bits of mac2 or of the headers alone";
  std::printf("%lu mutated initiations, %lu answered, each with a valid mac1\n", frames, sent);
}

TEST_F(CookieReplyTest, made_up_sources_get_back_less_than_they_send) {
  shield.unproven = only(10);
  put_shield();
  std::mt19937_64 random(7);
  const uint64_t frames = long_rounds(100'000);
  uint64_t received = 0;
  uint64_t sent = 0;
  uint64_t packets_sent = 0;
  for (uint64_t i = 0; i < frames; ++i) {
    FrameSpec spec = asking({.family = i % 2 == 0 ? 4 : 6});
    for (uint8_t& byte : spec.source.empty() ? (spec.source = {0, 0, 0, 0}) : spec.source)
      byte = static_cast<uint8_t>(random());
    spec.source_port = static_cast<uint16_t>(random());
    const Frame request = build(spec);
    Frame reply;
    const int action = run(request, 1, nullptr, &reply);
    received += request.size();
    if (action != XDP_TX) continue;
    ASSERT_LE(reply.size(), request.size());
    sent += reply.size();
    packets_sent += reply.size() - (CP_INITIATION_SIZE - CP_COOKIE_SIZE);
  }
  ASSERT_GT(sent, 0U);
  EXPECT_LE(sent, received);
  const double amplification = static_cast<double>(sent) / static_cast<double>(received);
  const double without_padding = static_cast<double>(packets_sent) / static_cast<double>(received);
  std::printf("%lu made-up sources: %lu bytes in, %lu out, amplification %.3f on the wire, %.3f without the padding\n",
              frames, received, sent, amplification, without_padding);
  RecordProperty("amplification", std::to_string(amplification));
}

}  // namespace
}  // namespace centipede::test
