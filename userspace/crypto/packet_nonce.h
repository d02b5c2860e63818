// The nonce of a data packet: IV xor (0^4 || bytes 0..7 of its header), docs/protocol.md, section 1. Only the AEAD
// providers include it.
#pragma once

#include <centipede/wire.h>

#include <array>
#include <cstdint>
#include <cstring>

#include "crypto/aead.h"

namespace centipede::crypto {

using PacketNonce = std::array<uint8_t, 12>;

inline PacketNonce packet_nonce(const TrafficKey& key, const uint8_t* packet) {
  PacketNonce nonce = key.iv;
  uint64_t number = 0;
  uint64_t tail = 0;
  std::memcpy(&number, packet + CP_OFFSET_NUMBER, sizeof(number));
  std::memcpy(&tail, nonce.data() + 4, sizeof(tail));
  tail ^= number;
  std::memcpy(nonce.data() + 4, &tail, sizeof(tail));
  return nonce;
}

}  // namespace centipede::crypto
