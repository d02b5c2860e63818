// mac1, mac2 and cookies (docs/protocol.md, section 2): what lets a responder turn a flood away before it costs a
// Diffie-Hellman. All of it is SipHash-2-4-128 (Aumasson and Bernstein, 2012), so that the XDP program can compute it
// too (bpf/shield.h); this is the user-space half, on libsodium.
//
//   mac1    the sender knows the receiver's public key
//   cookie  a receiver's own MAC of the address that a message came from; keeps no state
//   mac2    made with the cookie: the sender receives at the address that it sends from; random without one, so that
//           nobody but who has seen this copy of an initiation can answer it
//
// Pure functions. Threading: any. The messages are whole handshake messages, whose last 32 bytes are mac1 and mac2.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/address.h"
#include "base/bytes.h"
#include "crypto/keys.h"
#include "crypto/secret.h"
#include "wire/message.h"

namespace centipede::crypto {

using Mac = std::array<uint8_t, CP_MAC_SIZE>;
using Cookie = Mac;
using CookieSecret = Secret<16>;
using CookieReply = std::array<uint8_t, CP_COOKIE_SIZE>;

[[nodiscard]] bool mac1_is_valid(const ReceiverKeys& receiver, ConstBytes message);
void write_mac1(const ReceiverKeys& receiver, Bytes message);

[[nodiscard]] Cookie make_cookie(const CookieSecret& secret, const Endpoint& source);
[[nodiscard]] bool mac2_is_valid(const Cookie& cookie, ConstBytes message);
void write_mac2(const Cookie& cookie, Bytes message);

// The answer to one copy of an initiation: the cookie, readable only to who has this copy, mac2 included, and knows
// whom it called. nonce: not used before with the same copy.
[[nodiscard]] CookieReply seal_cookie(const ReceiverKeys& receiver, const Cookie& cookie, ConstBytes initiation,
                                      uint64_t nonce);
// The cookie, if the reply is one to this copy, made by somebody who has seen it and knows the receiver's public key.
[[nodiscard]] std::optional<Cookie> open_cookie(const ReceiverKeys& receiver, ConstBytes initiation, ConstBytes reply);

// For tables whose places strangers must not be able to choose.
[[nodiscard]] uint64_t keyed_hash(const CookieSecret& key, ConstBytes data);

}  // namespace centipede::crypto
