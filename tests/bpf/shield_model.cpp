#include "shield_model.h"

#include <centipede/wire.h>
#include <sodium.h>

#include <algorithm>
#include <cstring>

#include "base/bytes.h"

namespace centipede::test {
namespace {

void append(Message& out, std::span<const uint8_t> bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
}

Message filled(uint8_t type, size_t size, uint64_t session_id) {
  Message out(size, 0);
  out[0] = static_cast<uint8_t>(CP_CONTROL_BIT | type);
  out[1] = CP_PROTOCOL_VERSION;
  store_be<uint64_t>(out.data() + CP_OFFSET_CALL_SID, session_id);
  for (size_t i = 16; i < size; ++i)
    out[i] = static_cast<uint8_t>(i * 29 + session_id);
  return out;
}

size_t mac1_offset(std::span<const uint8_t> message) {
  return message.size() - 2 * CP_MAC_SIZE;
}

bool same(const Mac& mac, std::span<const uint8_t> bytes) {
  return std::ranges::equal(mac, bytes);
}

bool header_is(std::span<const uint8_t> message, uint8_t type) {
  const std::array<uint8_t, 8> wanted{static_cast<uint8_t>(CP_CONTROL_BIT | type), CP_PROTOCOL_VERSION};
  return std::ranges::equal(message.first(8), wanted);
}

bool has_mac1(const Shield& shield, std::span<const uint8_t> message) {
  const size_t at = mac1_offset(message);
  return same(siphash(shield.mac1_key, message.first(at)), message.subspan(at, CP_MAC_SIZE));
}

bool has_mac2(const Shield& shield, std::span<const uint8_t> message, const Sender& sender) {
  const auto mac2 = message.subspan(CP_INITIATION_OFFSET_MAC2);
  return std::ranges::any_of(std::array{0U, 1U}, [&](uint32_t secret) {
    return same(siphash(shield.cookie(sender.address, sender.port, secret), message.first(CP_INITIATION_OFFSET_MAC2)),
                mac2);
  });
}

bool is_host(int family, const Address& address) {
  if (family == 4) return address[12] != 0 && address[12] != 127 && address[12] < 224;
  return address[0] != 0xff &&
         !std::all_of(address.begin(), address.begin() + 8, [](uint8_t byte) { return byte == 0; });
}

Address address_at(const uint8_t* at, int family) {
  return mapped({at, family == 6 ? 16U : 4U});
}

bool may_be_answered(std::span<const uint8_t> frame, const cp_frame& parsed) {
  return (frame[0] & 1) == 0 && (frame[6] & 1) == 0 && parsed.source_port_be != 0 &&
         is_host(parsed.family, sender_of(frame).address);
}

// RFC 1071, two bytes at a time, most significant first.
uint16_t internet_checksum(std::span<const uint8_t> bytes) {
  uint64_t sum = 0;
  for (size_t i = 0; i < bytes.size(); ++i)
    sum += i % 2 == 0 ? bytes[i] << 8 : bytes[i];
  while (sum > 0xffff)
    sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

Message reply_payload(const Shield& shield, std::span<const uint8_t> initiation, const Sender& sender, uint64_t nonce) {
  const auto macs = initiation.subspan(CP_INITIATION_OFFSET_MAC1);
  Message out{CP_CONTROL_BIT | CP_TYPE_COOKIE, CP_PROTOCOL_VERSION, 0, 0, 0, 0, 0, 0};
  append(out, initiation.subspan(CP_OFFSET_CALL_SID, 8));
  out.resize(24);
  store_be<uint64_t>(out.data() + CP_COOKIE_OFFSET_NONCE, nonce);
  Message padded{CP_COOKIE_LABEL_PAD, 0, 0, 0, 0, 0, 0, 0};
  append(padded, std::span(out).subspan(CP_COOKIE_OFFSET_NONCE, 8));
  append(padded, macs);
  Mac sealed = siphash(shield.cookie_key, padded);
  const Mac cookie = shield.cookie(sender.address, sender.port, shield.current);
  for (size_t i = 0; i < sealed.size(); ++i)
    sealed[i] ^= cookie[i];
  append(out, sealed);
  Message tagged{CP_COOKIE_LABEL_TAG, 0, 0, 0, 0, 0, 0, 0};
  append(tagged, macs);
  append(tagged, out);
  append(out, siphash(shield.cookie_key, tagged));
  return out;
}

// The pseudo header of either family, then the datagram.
uint16_t datagram_checksum(const Frame& frame, const cp_frame& parsed, std::span<const uint8_t> datagram) {
  const bool four = parsed.family == 4;
  const size_t addresses = parsed.l3_offset + (four ? CP_IPV4_SOURCE : CP_IPV6_SOURCE);
  Message covered(frame.begin() + static_cast<ptrdiff_t>(addresses),
                  frame.begin() + static_cast<ptrdiff_t>(addresses + (four ? 8 : 32)));
  const auto length = static_cast<uint8_t>(datagram.size());
  append(covered, four ? Message{0, 17, 0, length} : Message{0, 0, 0, length, 0, 0, 0, 17});
  append(covered, datagram);
  const uint16_t checksum = internet_checksum(covered);
  return checksum != 0 ? checksum : uint16_t{0xffff};
}

void swap_bytes(Frame& frame, size_t one, size_t other, size_t count) {
  std::swap_ranges(frame.begin() + static_cast<ptrdiff_t>(one), frame.begin() + static_cast<ptrdiff_t>(one + count),
                   frame.begin() + static_cast<ptrdiff_t>(other));
}

}  // namespace

Address mapped(std::span<const uint8_t> address) {
  Address out{};
  if (address.size() == 4) out[10] = out[11] = 0xff;
  std::ranges::copy_backward(address, out.end());
  return out;
}

Mac siphash(const Mac& key, std::span<const uint8_t> bytes) {
  Mac out;
  crypto_shorthash_siphashx24(out.data(), bytes.data(), bytes.size(), key.data());
  return out;
}

cp_shield Shield::abi() const {
  cp_shield out{};
  std::memcpy(out.mac1_key, mac1_key.data(), sizeof out.mac1_key);
  std::memcpy(out.cookie_key, cookie_key.data(), sizeof out.cookie_key);
  std::memcpy(out.secrets, secrets.data(), sizeof out.secrets);
  out.unproven = unproven;
  out.source = source;
  out.current = current;
  out.flags = flags;
  return out;
}

Mac Shield::cookie(const Address& address, uint16_t port, uint32_t secret) const {
  std::array<uint8_t, 24> bytes{};
  std::ranges::copy(address, bytes.begin());
  store_be<uint16_t>(bytes.data() + 16, port);
  return siphash(secrets[secret], bytes);
}

Sender sender_of(std::span<const uint8_t> frame) {
  cp_frame parsed{};
  if (cp_parse_frame(frame.data(), frame.data() + frame.size(), &parsed) != CP_KIND_UDP) return {};
  const size_t at = parsed.l3_offset + (parsed.family == 4 ? CP_IPV4_SOURCE : CP_IPV6_SOURCE);
  return {.address = address_at(frame.data() + at, parsed.family), .port = cp_host16(parsed.source_port_be)};
}

void put_mac1(const Shield& shield, Message& message) {
  const size_t at = mac1_offset(message);
  std::ranges::copy(siphash(shield.mac1_key, std::span(message).first(at)),
                    message.begin() + static_cast<ptrdiff_t>(at));
}

void put_mac2(Message& initiation, const Mac& cookie) {
  std::ranges::copy(siphash(cookie, std::span(initiation).first(CP_INITIATION_OFFSET_MAC2)),
                    initiation.begin() + CP_INITIATION_OFFSET_MAC2);
}

Message initiation(const Shield& shield, uint64_t session_id) {
  Message out = filled(CP_TYPE_INITIATION, CP_INITIATION_SIZE, session_id);
  put_mac1(shield, out);
  return out;
}

Message response(const Shield& shield, uint64_t session_id) {
  Message out = filled(CP_TYPE_RESPONSE, CP_RESPONSE_SIZE, session_id);
  std::fill(out.end() - CP_MAC_SIZE, out.end(), 0);
  put_mac1(shield, out);
  return out;
}

Message cookie_reply(uint64_t session_id) {
  return filled(CP_TYPE_COOKIE, CP_COOKIE_SIZE, session_id);
}

bool is_for_us(const Shield& shield, std::span<const uint8_t> frame, const cp_frame& parsed) {
  const size_t at = parsed.l3_offset + (parsed.family == 4 ? CP_IPV4_DESTINATION : CP_IPV6_DESTINATION);
  return shield.addresses.contains(address_at(frame.data() + at, parsed.family));
}

cp_verdict handshake_verdict(const Shield& shield, std::span<const uint8_t> frame, const cp_frame& parsed) {
  if ((shield.flags & CP_SHIELD_ON) == 0) return CP_VERDICT_HANDSHAKE;
  const auto message = frame.subspan(parsed.payload_offset, parsed.payload_length);
  const auto called = [&] {
    return shield.calls.contains(load_be<uint64_t>(message.data() + CP_OFFSET_CALL_SID)) ||
           (shield.flags & CP_SHIELD_ALL_CALLS) == 0;
  };
  if (message.size() == CP_COOKIE_SIZE && header_is(message, CP_TYPE_COOKIE))
    return called() ? CP_VERDICT_HANDSHAKE : CP_VERDICT_UNCALLED;
  if (message.size() == CP_RESPONSE_SIZE && header_is(message, CP_TYPE_RESPONSE)) {
    if (!called()) return CP_VERDICT_UNCALLED;
    return has_mac1(shield, message) ? CP_VERDICT_HANDSHAKE : CP_VERDICT_BAD_MAC1;
  }
  if (message.size() != CP_INITIATION_SIZE || !header_is(message, CP_TYPE_INITIATION)) return CP_VERDICT_NO_MESSAGE;
  if (!has_mac1(shield, message)) return CP_VERDICT_BAD_MAC1;
  if (has_mac2(shield, message, sender_of(frame)))
    return shield.source.period_ns == 0 ? CP_VERDICT_HANDSHAKE : CP_VERDICT_SOURCE_LIMITED;
  if (shield.unproven.period_ns == 0) return CP_VERDICT_HANDSHAKE;
  return may_be_answered(frame, parsed) ? CP_VERDICT_CHALLENGED : CP_VERDICT_SOURCE_LIMITED;
}

Frame expected_reply(const Shield& shield, std::span<const uint8_t> request, uint64_t nonce) {
  cp_frame parsed{};
  if (cp_parse_frame(request.data(), request.data() + request.size(), &parsed) != CP_KIND_UDP) return {};
  const size_t ip = parsed.l3_offset;
  const size_t udp = parsed.payload_offset - size_t{CP_UDP_SIZE};
  const auto request_message = request.subspan(parsed.payload_offset, CP_INITIATION_SIZE);
  Frame out(request.begin(), request.begin() + parsed.payload_offset);
  append(out, reply_payload(shield, request_message, sender_of(request), nonce));
  swap_bytes(out, 0, 6, 6);
  swap_bytes(out, udp, udp + 2, 2);
  store_be<uint16_t>(out.data() + udp + 4, 64);
  store_be<uint16_t>(out.data() + udp + 6, 0);
  if (parsed.family == 4) {
    swap_bytes(out, ip + CP_IPV4_SOURCE, ip + CP_IPV4_DESTINATION, 4);
    store_be<uint16_t>(out.data() + ip + 2, static_cast<uint16_t>(out.size() - ip));
    out[ip + 8] = 64;
    store_be<uint16_t>(out.data() + ip + 10, 0);
    store_be<uint16_t>(out.data() + ip + 10, internet_checksum(std::span(out).subspan(ip, udp - ip)));
  } else {
    swap_bytes(out, ip + CP_IPV6_SOURCE, ip + CP_IPV6_DESTINATION, 16);
    store_be<uint16_t>(out.data() + ip + 4, static_cast<uint16_t>(out.size() - ip - CP_IPV6_SIZE));
    out[ip + 7] = 64;
  }
  store_be<uint16_t>(out.data() + udp + 6, datagram_checksum(out, parsed, std::span(out).subspan(udp)));
  out.resize(size_t{parsed.payload_offset} + CP_INITIATION_SIZE, 0);
  append(out, request.subspan(out.size()));
  return out;
}

uint64_t nonce_of(std::span<const uint8_t> reply_frame) {
  const auto message = payload_of(reply_frame);
  return message.size() == CP_COOKIE_SIZE ? load_be<uint64_t>(message.data() + CP_COOKIE_OFFSET_NONCE) : 0;
}

std::span<const uint8_t> payload_of(std::span<const uint8_t> frame) {
  cp_frame parsed{};
  if (cp_parse_frame(frame.data(), frame.data() + frame.size(), &parsed) != CP_KIND_UDP) return {};
  return frame.subspan(parsed.payload_offset, parsed.payload_length);
}

Mac opened_cookie(const Shield& shield, std::span<const uint8_t> initiation, std::span<const uint8_t> reply) {
  const auto macs = initiation.subspan(CP_INITIATION_OFFSET_MAC1);
  Message tagged{CP_COOKIE_LABEL_TAG, 0, 0, 0, 0, 0, 0, 0};
  append(tagged, macs);
  append(tagged, reply.first(CP_COOKIE_OFFSET_TAG));
  if (!same(siphash(shield.cookie_key, tagged), reply.subspan(CP_COOKIE_OFFSET_TAG))) return {};
  Message padded{CP_COOKIE_LABEL_PAD, 0, 0, 0, 0, 0, 0, 0};
  append(padded, reply.subspan(CP_COOKIE_OFFSET_NONCE, 8));
  append(padded, macs);
  Mac cookie = siphash(shield.cookie_key, padded);
  for (size_t i = 0; i < cookie.size(); ++i)
    cookie[i] ^= reply[CP_COOKIE_OFFSET_SEALED + i];
  return cookie;
}

}  // namespace centipede::test
