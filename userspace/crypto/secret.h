// Bytes that wipe themselves: when destroyed, moved from or assigned over. Comparing is constant-time and explicit;
// there is no way to print one. Threading: plain values. Copying is allowed only by clone(), so that it is seen.
#pragma once

#include <sodium.h>

#include <array>
#include <cstdint>
#include <cstring>

#include "base/bytes.h"

namespace centipede::crypto {

template <size_t N>
class Secret {
 public:
  static constexpr size_t size = N;

  Secret() = default;
  explicit Secret(std::span<const uint8_t, N> from) { std::memcpy(bytes_.data(), from.data(), N); }
  Secret(Secret&& other) noexcept : bytes_(other.bytes_) { other.wipe(); }
  Secret& operator=(Secret&& other) noexcept {
    if (this != &other) {
      bytes_ = other.bytes_;
      other.wipe();
    }
    return *this;
  }
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret() { wipe(); }

  [[nodiscard]] Secret clone() const { return Secret(std::span<const uint8_t, N>(bytes_)); }
  [[nodiscard]] uint8_t* data() { return bytes_.data(); }
  [[nodiscard]] const uint8_t* data() const { return bytes_.data(); }
  [[nodiscard]] std::span<const uint8_t, N> view() const { return bytes_; }
  [[nodiscard]] bool equals(const Secret& other) const { return sodium_memcmp(data(), other.data(), N) == 0; }
  void wipe() { sodium_memzero(bytes_.data(), N); }

 private:
  std::array<uint8_t, N> bytes_{};
};

using SecretKey = Secret<32>;

}  // namespace centipede::crypto
