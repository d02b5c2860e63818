#include "dataplane/checksum.h"

#include <cstring>

namespace centipede {
namespace {

// Adds the 32-bit halves of 64-bit words into two sums, which cannot overflow below 2^32 words and which compilers turn
// into vector code.
template <bool copy>
[[gnu::always_inline]] inline uint64_t accumulate(uint8_t* __restrict to, const uint8_t* __restrict from,
                                                  size_t bytes) {
  const size_t words = bytes / 8;
  uint64_t low = 0;
  uint64_t high = 0;
  for (size_t i = 0; i < words; ++i) {
    uint64_t word;
    std::memcpy(&word, from + 8 * i, sizeof word);
    if constexpr (copy) std::memcpy(to + 8 * i, &word, sizeof word);
    low += word & 0xffffffff;
    high += word >> 32;
  }
  if (const size_t rest = bytes % 8; rest != 0) {
    uint64_t word = 0;
    std::memcpy(&word, from + 8 * words, rest);
    if constexpr (copy) std::memcpy(to + 8 * words, &word, rest);
    low += word & 0xffffffff;
    high += word >> 32;
  }
  return low + high;
}

#if defined(__x86_64__)
template <bool copy>
[[gnu::target("avx2")]] uint64_t accumulate_avx2(uint8_t* to, const uint8_t* from, size_t bytes) {
  return accumulate<copy>(to, from, bytes);
}
const bool has_avx2 = __builtin_cpu_supports("avx2") != 0;
#endif

// A sum over native words is the sum over big-endian ones with its bytes swapped (RFC 1071 §2 B).
template <bool copy>
ChecksumSum sum_of(uint8_t* to, ConstBytes from) {
#if defined(__x86_64__)
  const uint64_t sum =
      has_avx2 ? accumulate_avx2<copy>(to, from.data(), from.size()) : accumulate<copy>(to, from.data(), from.size());
#else
  const uint64_t sum = accumulate<copy>(to, from.data(), from.size());
#endif
  const uint16_t folded = checksum_fold(sum);
  return std::endian::native == std::endian::little ? std::byteswap(folded) : folded;
}

}  // namespace

ChecksumSum checksum_sum(ConstBytes bytes) {
  return sum_of<false>(nullptr, bytes);
}

ChecksumSum checksum_copy(uint8_t* to, ConstBytes from) {
  return sum_of<true>(to, from);
}

ChecksumSum checksum_pseudo_header(const uint8_t* ip, uint8_t protocol, size_t transport_bytes) {
  const ConstBytes addresses = ip[0] >> 4 == 4 ? ConstBytes{ip + 12, 8} : ConstBytes{ip + 8, 32};
  return checksum_sum(addresses) + protocol + checksum_fold(transport_bytes);
}

}  // namespace centipede
