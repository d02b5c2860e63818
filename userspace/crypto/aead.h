// ChaCha20-Poly1305 (RFC 8439) over batches of packets. A packet is one contiguous buffer: the 32-byte data header,
// then the payload, which is sealed and opened in place. One virtual call a batch; no allocation. Threading: a provider
// may hold scratch state, so every worker has its own.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "base/bytes.h"
#include "crypto/secret.h"

namespace centipede::crypto {

struct TrafficKey {
  SecretKey key;
  std::array<uint8_t, 12> iv{};
};

struct AeadJob {
  uint8_t* packet = nullptr;  // header (number and sid already written), then the payload
  size_t payload_size = 0;
  bool ok = false;  // set by open(): the tag was right; when it is not, the payload holds no plaintext
};

class AeadProvider {
 public:
  virtual ~AeadProvider() = default;
  [[nodiscard]] virtual std::string_view name() const = 0;
  // nonce = IV xor (0^4 || bytes 0..7), associated data = bytes 0..15, tag to bytes 16..31 (docs/protocol.md, section
  // 1).
  virtual void seal(const TrafficKey& key, std::span<AeadJob> jobs) = 0;
  virtual void open(const TrafficKey& key, std::span<AeadJob> jobs) = 0;
};

// The reference everywhere: libsodium.
[[nodiscard]] std::unique_ptr<AeadProvider> make_sodium_aead();

}  // namespace centipede::crypto
