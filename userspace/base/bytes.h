// Views of raw bytes and big-endian integers in them. The callers hold the memory and check the lengths.
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <span>

namespace centipede {

using Bytes = std::span<uint8_t>;
using ConstBytes = std::span<const uint8_t>;

template <std::unsigned_integral T>
[[nodiscard]] T load_be(const uint8_t* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  if constexpr (std::endian::native == std::endian::little && sizeof(T) > 1) value = std::byteswap(value);
  return value;
}

template <std::unsigned_integral T>
void store_be(uint8_t* to, T value) {
  if constexpr (std::endian::native == std::endian::little && sizeof(T) > 1) value = std::byteswap(value);
  std::memcpy(to, &value, sizeof value);
}

}  // namespace centipede
