#include "forger.h"

#include <algorithm>
#include <map>
#include <stdexcept>

#include "base/bytes.h"
#include "centipede/wire.h"

namespace {

Payload from_hex(const std::string& text) {
  Payload bytes(text.size() / 2);
  if (sodium_hex2bin(bytes.data(), bytes.size(), text.data(), text.size(), nullptr, nullptr, nullptr) != 0)
    throw std::invalid_argument("--hex takes hexadecimal digits");
  return bytes;
}

std::array<uint8_t, crypto_shorthash_siphashx24_KEYBYTES> mac1_key(const std::string& public_key) {
  std::array<uint8_t, 4 + 32> labelled{'m', 'a', 'c', '1'};
  size_t length = 0;
  if (sodium_base642bin(&labelled[4], 32, public_key.data(), public_key.size(), nullptr, &length, nullptr,
                        sodium_base64_VARIANT_ORIGINAL) != 0 ||
      length != 32)
    throw std::invalid_argument("--key takes a public key in base64");
  std::array<uint8_t, 64> digest;
  crypto_generichash(digest.data(), digest.size(), labelled.data(), labelled.size(), nullptr, 0);
  std::array<uint8_t, crypto_shorthash_siphashx24_KEYBYTES> key;
  std::copy_n(digest.begin(), key.size(), key.begin());
  return key;
}

}  // namespace

Forger::Forger(const Forgery& forgery) : forgery_(forgery) {
  const std::map<std::string, Payload (Forger::*)()> kinds{{"initiation", &Forger::initiation},
                                                           {"response", &Forger::response},
                                                           {"cookie", &Forger::cookie},
                                                           {"unknown_session", &Forger::unknown_session},
                                                           {"control", &Forger::control},
                                                           {"replay", &Forger::replay},
                                                           {"noise", &Forger::noise}};
  const auto found = kinds.find(forgery.kind);
  if (found == kinds.end()) throw std::invalid_argument("unknown kind '" + forgery.kind + "'");
  make_ = found->second;
  if (!forgery.hex.empty()) given_ = from_hex(forgery.hex);
  if (forgery.kind == "control" && given_.size() != 8) throw std::invalid_argument("control needs --hex SESSION_ID");
  if (forgery.kind == "replay" && given_.empty()) throw std::invalid_argument("replay needs --hex DATAGRAM");
  if (!forgery.key.empty()) mac1_key_ = mac1_key(forgery.key);
}

Payload Forger::make() {
  return (this->*make_)();
}

Payload Forger::random(size_t size) {
  Payload bytes(size);
  randombytes_buf(bytes.data(), bytes.size());
  return bytes;
}

Payload Forger::handshake(uint8_t type, size_t size) {
  Payload bytes = random(size);
  std::fill_n(bytes.begin(), CP_CONTROL_HEADER_SIZE, 0);
  bytes[0] = static_cast<uint8_t>(CP_CONTROL_BIT | type);
  bytes[1] = CP_PROTOCOL_VERSION;
  bytes[47] &= 0x7f;  // what stands in the place of the ephemeral key passes for one
  return bytes;
}

void Forger::put_mac1(Payload& message, size_t offset) const {
  if (!forgery_.key.empty()) crypto_shorthash_siphashx24(&message[offset], message.data(), offset, mac1_key_.data());
}

// mac2 is random, as that of a caller without a cookie.
Payload Forger::initiation() {
  Payload message = handshake(CP_TYPE_INITIATION, CP_INITIATION_SIZE);
  put_mac1(message, CP_INITIATION_OFFSET_MAC1);
  return message;
}

Payload Forger::response() {
  Payload message = handshake(CP_TYPE_RESPONSE, CP_RESPONSE_SIZE);
  put_mac1(message, CP_RESPONSE_OFFSET_MAC1);
  std::fill_n(message.end() - CP_MAC_SIZE, CP_MAC_SIZE, 0);
  return message;
}

Payload Forger::cookie() {
  return handshake(CP_TYPE_COOKIE, CP_COOKIE_SIZE);
}

Payload Forger::packet(uint64_t lane, size_t size) {
  Payload bytes = random(std::max<size_t>(size, CP_DATA_HEADER_SIZE));
  centipede::store_be(bytes.data(), lane << CP_LANE_SHIFT | numbers_() % CP_COUNTER_LIMIT);
  return bytes;
}

Payload Forger::unknown_session() {
  return packet(numbers_() % 2, forgery_.size);
}

Payload Forger::control() {
  Payload bytes = packet(CP_CONTROL_LANE, size_t{CP_DATA_HEADER_SIZE} + CP_HEARTBEAT_SIZE);
  std::ranges::copy(given_, bytes.begin() + CP_OFFSET_SID);
  return bytes;
}

Payload Forger::replay() {
  return given_;
}

Payload Forger::noise() {
  return random(1 + numbers_() % 1400);
}
