// What the fuzz targets share: an input that is read piece by piece, promises that end the process when they are
// broken, and fixed identities, so that no execution spends time on making keys. Nothing here reads a clock or
// randomness: one input always runs the same way.
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "crypto/keys.h"

namespace centipede::fuzz {

// libFuzzer keeps the input of an execution that aborts.
inline void promise(bool holds, const char* text) {
  if (holds) return;
  std::fprintf(stderr, "broken promise: %s\n", text);
  std::abort();
}

// Reads on past its end as zeros, so that every input means something.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : rest_(data, size) {}

  [[nodiscard]] bool empty() const { return rest_.empty(); }
  [[nodiscard]] ConstBytes rest() const { return rest_; }
  void read(Bytes out) {
    const size_t count = std::min(out.size(), rest_.size());
    std::ranges::copy(rest_.first(count), out.begin());
    std::ranges::fill(out.subspan(count), uint8_t{0});
    rest_ = rest_.subspan(count);
  }
  template <std::unsigned_integral T = uint8_t>
  T number() {
    std::array<uint8_t, sizeof(T)> bytes;
    read(bytes);
    return load_be<T>(bytes.data());
  }
  size_t below(size_t limit) { return number() % limit; }  // limit: at most 256
  bool flag() { return (number() & 1) != 0; }
  // At most `count` bytes, fewer at the end.
  ConstBytes take(size_t count) {
    const ConstBytes taken = rest_.first(std::min(count, rest_.size()));
    rest_ = rest_.subspan(taken.size());
    return taken;
  }

 private:
  ConstBytes rest_;
};

// A copy that ends where the bytes end, so that AddressSanitizer sees the first byte read beyond them.
inline std::vector<uint8_t> exact_copy(ConstBytes bytes) {
  std::vector<uint8_t> copy(bytes.begin(), bytes.end());
  copy.shrink_to_fit();
  return copy;
}

inline ConstBytes as_bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

inline crypto::SecretKey filled(uint8_t value) {
  crypto::SecretKey key;
  std::memset(key.data(), value, key.size);
  return key;
}

inline crypto::Identity make_identity(uint8_t seed) {
  promise(crypto::initialise().has_value(), "libsodium starts");
  return crypto::Identity::from_seed(filled(seed));
}
inline const crypto::Identity& alice() {
  static const crypto::Identity identity = make_identity(0x11);
  return identity;
}
inline const crypto::Identity& bob() {
  static const crypto::Identity identity = make_identity(0x22);
  return identity;
}

}  // namespace centipede::fuzz
