#include "crypto/cookie.h"

#include <sodium.h>

#include <algorithm>

namespace centipede::crypto {
namespace {

static_assert(crypto_shorthash_siphashx24_BYTES == CP_MAC_SIZE);
static_assert(crypto_shorthash_siphashx24_KEYBYTES == sizeof(MacKey));

constexpr size_t label_size = 8;
constexpr size_t nonce_size = CP_COOKIE_OFFSET_SEALED - CP_COOKIE_OFFSET_NONCE;

Mac siphash(const uint8_t* key, ConstBytes input) {
  Mac mac;
  crypto_shorthash_siphashx24(mac.data(), input.data(), input.size(), key);
  return mac;
}

bool equal(const Mac& expected, ConstBytes found) {
  return sodium_memcmp(expected.data(), found.data(), expected.size()) == 0;
}

bool has_macs(ConstBytes message) {
  return message.size() >= 2 * CP_MAC_SIZE;
}
ConstBytes before_mac1(ConstBytes message) {
  return message.first(message.size() - 2 * CP_MAC_SIZE);
}
ConstBytes before_mac2(ConstBytes message) {
  return message.first(message.size() - CP_MAC_SIZE);
}
ConstBytes macs_in(ConstBytes message) {
  return message.last(2 * CP_MAC_SIZE);
}
ConstBytes mac1_in(ConstBytes message) {
  return macs_in(message).first(CP_MAC_SIZE);
}

Mac pad_of(const MacKey& key, ConstBytes initiation, ConstBytes reply) {
  std::array<uint8_t, label_size + nonce_size + 2 * CP_MAC_SIZE> input{CP_COOKIE_LABEL_PAD};
  const auto nonce = reply.subspan(CP_COOKIE_OFFSET_NONCE, nonce_size);
  std::ranges::copy(macs_in(initiation), std::ranges::copy(nonce, input.begin() + label_size).out);
  return siphash(key.data(), input);
}

Mac tag_of(const MacKey& key, ConstBytes initiation, ConstBytes reply) {
  std::array<uint8_t, label_size + 2 * CP_MAC_SIZE + CP_COOKIE_OFFSET_TAG> input{CP_COOKIE_LABEL_TAG};
  const auto text = std::ranges::copy(macs_in(initiation), input.begin() + label_size).out;
  std::ranges::copy(reply.first(CP_COOKIE_OFFSET_TAG), text);
  return siphash(key.data(), input);
}

void xor_into(uint8_t* out, ConstBytes a, ConstBytes b) {
  std::ranges::transform(a, b, out, [](uint8_t x, uint8_t y) { return static_cast<uint8_t>(x ^ y); });
}

}  // namespace

bool mac1_is_valid(const ReceiverKeys& receiver, ConstBytes message) {
  return has_macs(message) && equal(siphash(receiver.mac1.data(), before_mac1(message)), mac1_in(message));
}

void write_mac1(const ReceiverKeys& receiver, Bytes message) {
  std::ranges::copy(siphash(receiver.mac1.data(), before_mac1(message)), message.last(2 * CP_MAC_SIZE).begin());
}

Cookie make_cookie(const CookieSecret& secret, const Endpoint& source) {
  // The address as IPv6 (IPv4 mapped), the port, and zeros up to a whole word.
  std::array<uint8_t, 24> input{};
  const ConstBytes address = source.address.bytes();
  if (source.address.is_v4()) std::fill_n(input.begin() + 10, 2, uint8_t{0xff});
  std::ranges::copy(address, input.begin() + 16 - static_cast<ptrdiff_t>(address.size()));
  store_be<uint16_t>(input.data() + 16, source.port);
  return siphash(secret.data(), input);
}

bool mac2_is_valid(const Cookie& cookie, ConstBytes message) {
  return has_macs(message) && equal(siphash(cookie.data(), before_mac2(message)), message.last(CP_MAC_SIZE));
}

void write_mac2(const Cookie& cookie, Bytes message) {
  std::ranges::copy(siphash(cookie.data(), before_mac2(message)), message.last(CP_MAC_SIZE).begin());
}

CookieReply seal_cookie(const ReceiverKeys& receiver, const Cookie& cookie, ConstBytes initiation, uint64_t nonce) {
  CookieReply reply{CP_CONTROL_BIT | CP_TYPE_COOKIE, CP_PROTOCOL_VERSION};
  std::ranges::copy(initiation.subspan(CP_OFFSET_CALL_SID, sizeof(wire::SessionId)),
                    reply.begin() + CP_OFFSET_CALL_SID);
  store_be(reply.data() + CP_COOKIE_OFFSET_NONCE, nonce);
  xor_into(reply.data() + CP_COOKIE_OFFSET_SEALED, cookie, pad_of(receiver.cookie, initiation, reply));
  std::ranges::copy(tag_of(receiver.cookie, initiation, reply), reply.begin() + CP_COOKIE_OFFSET_TAG);
  return reply;
}

std::optional<Cookie> open_cookie(const ReceiverKeys& receiver, ConstBytes initiation, ConstBytes reply) {
  if (wire::classify(reply) != wire::MessageType::cookie || !has_macs(initiation)) return std::nullopt;
  if (!equal(tag_of(receiver.cookie, initiation, reply), reply.last(CP_MAC_SIZE))) return std::nullopt;
  Cookie cookie;
  xor_into(cookie.data(), reply.subspan(CP_COOKIE_OFFSET_SEALED, CP_MAC_SIZE),
           pad_of(receiver.cookie, initiation, reply));
  return cookie;
}

uint64_t keyed_hash(const CookieSecret& key, ConstBytes data) {
  return load_be<uint64_t>(siphash(key.data(), data).data());
}

}  // namespace centipede::crypto
