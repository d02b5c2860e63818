#include "crypto/cookie.h"

#include <gtest/gtest.h>

#include <set>

#include "test_support.h"
#include "transcript.h"

namespace centipede::crypto {
namespace {

const Endpoint home{*IpAddress::parse("203.0.113.5"), 40000};

class CookieTest : public HandshakeTest {
 protected:
  static CookieSecret secret(uint8_t byte) {
    CookieSecret made;
    std::fill_n(made.data(), made.size, byte);
    return made;
  }
  // The copy of the initiation for one route.
  [[nodiscard]] InitiationBytes copy_with(uint8_t mac2) const {
    InitiationBytes copy = start().message();
    std::fill_n(copy.end() - CP_MAC_SIZE, CP_MAC_SIZE, mac2);
    return copy;
  }
  Cookie cookie = make_cookie(secret(0x99), home);
  InitiationBytes initiation = copy_with(0x66);
  CookieReply reply = seal_cookie(bob.receiver_keys(), cookie, initiation, 0x8899aabbccddeeff);
};

TEST_F(CookieTest, TheFrozenTranscript) {
  EXPECT_EQ(to_hex(cookie), transcript::cookie);
  EXPECT_EQ(to_hex(make_cookie(secret(0x99), {*IpAddress::parse("2001:db8::5"), 40000})), transcript::cookie_v6);
  EXPECT_EQ(to_hex(reply), transcript::cookie_reply);
  write_mac2(cookie, initiation);
  EXPECT_EQ(to_hex(ConstBytes(initiation).last(16)), transcript::mac2);
}

TEST_F(CookieTest, WhoCalledReadsTheCookie) {
  EXPECT_EQ(open_cookie(bob.receiver_keys(), initiation, reply), cookie);
}

TEST_F(CookieTest, AReplyBelongsToOneCopyOfACall) {
  const InitiationBytes on_another_route = copy_with(0x67);
  EXPECT_FALSE(open_cookie(bob.receiver_keys(), on_another_route, reply));
  const CookieReply other = seal_cookie(bob.receiver_keys(), cookie, on_another_route, 0x8899aabbccddeeff);
  EXPECT_EQ(open_cookie(bob.receiver_keys(), on_another_route, other), cookie);
  const auto sealed = [](const CookieReply& in) {
    return to_hex(ConstBytes(in).subspan(CP_COOKIE_OFFSET_SEALED, CP_MAC_SIZE));
  };
  EXPECT_NE(sealed(other), sealed(reply)) << "neither shows the other's cookie";
  for (size_t bit = CP_INITIATION_OFFSET_MAC1 * 8; bit < initiation.size() * 8; ++bit) {
    InitiationBytes damaged = initiation;
    flip(damaged, bit);
    EXPECT_FALSE(open_cookie(bob.receiver_keys(), damaged, reply)) << bit;
  }
}

TEST_F(CookieTest, NobodyElseDoes) {
  EXPECT_FALSE(open_cookie(alice.receiver_keys(), initiation, reply));
  EXPECT_FALSE(open_cookie(bob.receiver_keys(), start(alice, bob.public_key(), filled(0x34)).message(), reply));
  for (size_t bit = 0; bit < reply.size() * 8; ++bit) {
    CookieReply damaged = reply;
    flip(damaged, bit);
    EXPECT_FALSE(open_cookie(bob.receiver_keys(), initiation, damaged)) << bit;
  }
  for (size_t size = 0; size < reply.size(); ++size)
    EXPECT_FALSE(open_cookie(bob.receiver_keys(), initiation, ConstBytes(reply).first(size))) << size;
  for (size_t size = 0; size < size_t{2} * CP_MAC_SIZE; ++size)
    EXPECT_FALSE(open_cookie(bob.receiver_keys(), ConstBytes(initiation).last(size), reply)) << size;
}

TEST_F(CookieTest, TheReplyShowsNeitherTheCookieNorTheSamePadTwice) {
  const CookieReply other = seal_cookie(bob.receiver_keys(), cookie, initiation, 1);
  std::set<std::string> sealed{to_hex(cookie)};
  for (const ConstBytes one : {ConstBytes(reply), ConstBytes(other)})
    sealed.insert(to_hex(one.subspan(CP_COOKIE_OFFSET_SEALED, CP_MAC_SIZE)));
  EXPECT_EQ(sealed.size(), 3U);
  EXPECT_EQ(open_cookie(bob.receiver_keys(), initiation, other), cookie);
}

TEST_F(CookieTest, EachAddressPortAndSecretHasItsOwnCookie) {
  std::set<Cookie> seen{cookie};
  seen.insert(make_cookie(secret(0x98), home));
  seen.insert(make_cookie(secret(0x99), {home.address, 40001}));
  seen.insert(make_cookie(secret(0x99), {*IpAddress::parse("203.0.113.6"), 40000}));
  seen.insert(make_cookie(secret(0x99), {*IpAddress::parse("2001:db8::5"), 40000}));
  EXPECT_EQ(seen.size(), 5U);
}

TEST_F(CookieTest, Mac2CoversEveryByteBeforeIt) {
  EXPECT_FALSE(mac2_is_valid(cookie, initiation));
  write_mac2(cookie, initiation);
  EXPECT_TRUE(mac2_is_valid(cookie, initiation));
  EXPECT_TRUE(mac1_is_valid(bob.receiver_keys(), initiation));
  for (size_t bit = 0; bit < initiation.size() * 8; ++bit) {
    InitiationBytes damaged = initiation;
    flip(damaged, bit);
    EXPECT_FALSE(mac2_is_valid(cookie, damaged)) << bit;
  }
  for (size_t size = 0; size < 32; ++size)
    EXPECT_FALSE(mac2_is_valid(cookie, ConstBytes(initiation).first(size)));
}

}  // namespace
}  // namespace centipede::crypto
