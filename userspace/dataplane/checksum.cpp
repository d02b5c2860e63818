#include "dataplane/checksum.h"

#include <bit>
#include <concepts>
#include <cstring>

namespace centipede {
namespace {

// The word at `at`, and its copy.
template <std::unsigned_integral Word, bool copy>
[[gnu::always_inline]] inline Word take(uint8_t* __restrict to, const uint8_t* __restrict from, size_t at) {
  Word word;
  std::memcpy(&word, from + at, sizeof word);
  if constexpr (copy) std::memcpy(to + at, &word, sizeof word);
  return word;
}

// What is left behind the last 64-bit word, at `at`. An odd byte counts as if a zero followed.
template <bool copy>
[[gnu::always_inline]] inline uint64_t accumulate_rest(uint8_t* __restrict to, const uint8_t* __restrict from,
                                                       size_t at, size_t bytes) {
  uint64_t sum = 0;
  if ((bytes & 4) != 0) {
    sum += take<uint32_t, copy>(to, from, at);
    at += 4;
  }
  if ((bytes & 2) != 0) {
    sum += take<uint16_t, copy>(to, from, at);
    at += 2;
  }
  if ((bytes & 1) != 0) {
    const uint64_t last = take<uint8_t, copy>(to, from, at);
    sum += std::endian::native == std::endian::little ? last : last << 8;
  }
  return sum;
}

// Adds the 32-bit halves of 64-bit words into two sums, which cannot overflow below 2^32 words and which compilers turn
// into vector code.
template <bool copy>
[[gnu::always_inline]] inline uint64_t accumulate(uint8_t* __restrict to, const uint8_t* __restrict from,
                                                  size_t bytes) {
  const size_t words = bytes / 8;
  uint64_t low = 0;
  uint64_t high = 0;
  for (size_t i = 0; i < words; ++i) {
    const auto word = take<uint64_t, copy>(to, from, 8 * i);
    low += word & 0xffffffff;
    high += word >> 32;
  }
  return low + high + accumulate_rest<copy>(to, from, 8 * words, bytes);
}

// For headers, which are too short for vectors to be worth their preparation.
constexpr size_t short_bytes = 64;
template <bool copy>
[[gnu::always_inline]] inline uint64_t accumulate_short(uint8_t* __restrict to, const uint8_t* __restrict from,
                                                        size_t bytes) {
  uint64_t sum = 0;
  size_t at = 0;
  for (; at + 8 <= bytes; at += 8) {
    const auto word = take<uint64_t, copy>(to, from, at);
    sum += word;
    sum += sum < word ? 1 : 0;  // the carry comes round
  }
  return (sum & 0xffffffff) + (sum >> 32) + accumulate_rest<copy>(to, from, at, bytes);
}

#if defined(__x86_64__)
template <bool copy>
[[gnu::target("avx2")]] uint64_t accumulate_avx2(uint8_t* to, const uint8_t* from, size_t bytes) {
  return accumulate<copy>(to, from, bytes);
}
const bool has_avx2 = __builtin_cpu_supports("avx2") != 0;
#endif

template <bool copy>
uint64_t accumulate_long(uint8_t* to, const uint8_t* from, size_t bytes) {
#if defined(__x86_64__)
  if (has_avx2) return accumulate_avx2<copy>(to, from, bytes);
#endif
  return accumulate<copy>(to, from, bytes);
}

// A sum over native words is the sum over big-endian ones with its bytes swapped (RFC 1071 §2 B).
template <bool copy>
[[gnu::always_inline]] inline ChecksumSum sum_of(uint8_t* to, ConstBytes from) {
  const uint64_t sum = from.size() < short_bytes ? accumulate_short<copy>(to, from.data(), from.size())
                                                 : accumulate_long<copy>(to, from.data(), from.size());
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
