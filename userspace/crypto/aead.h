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
#include "base/result.h"
#include "crypto/secret.h"

namespace centipede::crypto {

// Aligned, so that the 16 bytes after the key are part of it: ipsec-mb 1.3 loads them in AVX2, and ignores them.
struct alignas(16) TrafficKey {
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

// Intel's Multi-Buffer Crypto library. ENOTSUP where it, the CPU or the kernel lacks what the code needs, EIO where it
// fails a self-test. avx512: ChaCha20 16 blocks at a time, Poly1305 in the instructions IFMA. avx2: ChaCha20 8 blocks
// at a time, Poly1305 in ordinary ones.
//
// Nothing of a key or key stream outlives a call: the library has only pointers to keys in its memory, and clears
// registers and stack (a build of it that does not is refused). Nonces of the last packets remain until the provider
// ends, and tags of those that were genuine.
enum class IpsecMbCode : uint8_t { avx512, avx2 };
[[nodiscard]] Result<std::unique_ptr<AeadProvider>> make_ipsec_mb_aead(IpsecMbCode code);

// Whether a provider computes what libsodium does, and refuses what it refuses: a few packets of telling sizes.
[[nodiscard]] bool agrees_with_sodium(AeadProvider& provider);

// ipsec_mb: its best code that this computer can run. automatic: that, or else sodium. Nothing is measured, so the same
// computer always gets the same; each step is the faster one wherever it was measured (tests/bench/aead_bench.cpp).
enum class AeadChoice : uint8_t { automatic, ipsec_mb, sodium };
[[nodiscard]] Result<std::unique_ptr<AeadProvider>> make_aead(AeadChoice choice);

}  // namespace centipede::crypto
