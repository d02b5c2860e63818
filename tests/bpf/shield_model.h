// The shield once more, in user space with libsodium, from docs/protocol.md alone: messages as their senders make them,
// verdicts, and the reply to an initiation byte for byte.
#pragma once

#include <centipede/abi.h>
#include <centipede/frame.h>

#include <array>
#include <cstdint>
#include <set>
#include <span>
#include <vector>

#include "frames.h"

namespace centipede::test {

using Mac = std::array<uint8_t, 16>;  // also a SipHash key
using Address = std::array<uint8_t, 16>;

Mac siphash(const Mac& key, std::span<const uint8_t> bytes);

inline constexpr cp_rate without_limit{.period_ns = 0, .burst_ns = 0};
inline constexpr cp_rate never{.period_ns = 1, .burst_ns = 0};

struct Shield {
  Mac mac1_key{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
  Mac cookie_key{0xc0, 0x0c, 0x1e, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0xff};
  std::array<Mac, 2> secrets{Mac{0x5e, 0xc7, 0xe7}, Mac{0x01, 0xd5, 0xec, 0x7e, 0x70}};
  uint32_t current = 1;
  uint32_t flags = CP_SHIELD_ON | CP_SHIELD_ALL_SESSIONS | CP_SHIELD_ALL_CALLS;
  cp_rate unproven = never;
  cp_rate source = without_limit;
  // For the verdicts; the program has maps for them.
  std::set<uint64_t> calls;
  std::set<Address> addresses;

  [[nodiscard]] cp_shield abi() const;
  [[nodiscard]] Mac cookie(const Address& address, uint16_t port, uint32_t secret) const;
};

// Of 4 or 16 bytes.
Address mapped(std::span<const uint8_t> address);

// Who sent a frame, as a cookie has it.
struct Sender {
  Address address;
  uint16_t port;
};
Sender sender_of(std::span<const uint8_t> frame);

using Message = std::vector<uint8_t>;

// Header, sid, filler that depends on the sid, mac1; mac2 is filler in an initiation and zero in a response.
Message initiation(const Shield& shield, uint64_t session_id);
Message response(const Shield& shield, uint64_t session_id);
Message cookie_reply(uint64_t session_id);
void put_mac1(const Shield& shield, Message& message);
void put_mac2(Message& initiation, const Mac& cookie);

// Whether a frame goes to one of the addresses.
bool is_for_us(const Shield& shield, std::span<const uint8_t> frame, const cp_frame& parsed);
// Of a frame for us whose payload is a handshake datagram of at least CP_DATA_HEADER_SIZE bytes. Rates are either
// `never` or `without_limit`.
cp_verdict handshake_verdict(const Shield& shield, std::span<const uint8_t> frame, const cp_frame& parsed);

// The frame that answers this one, as long and padded behind a shorter packet, with the nonce that the program chose.
Frame expected_reply(const Shield& shield, std::span<const uint8_t> request, uint64_t nonce);
uint64_t nonce_of(std::span<const uint8_t> reply_frame);
// What is in a frame's UDP payload; empty when it is not UDP.
std::span<const uint8_t> payload_of(std::span<const uint8_t> frame);
// The cookie in a reply to this copy of an initiation, as its receiver takes it out; all zero when the tag is wrong.
Mac opened_cookie(const Shield& shield, std::span<const uint8_t> initiation, std::span<const uint8_t> reply);

}  // namespace centipede::test
