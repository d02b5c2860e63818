#include <centipede/wire.h>

#include <algorithm>
#include <vector>

#include "crypto/aead.h"

namespace centipede::crypto {
namespace {

// Sizes around a block of Poly1305 and ChaCha20, and around what vector code does at a time.
constexpr std::array<size_t, 12> telling_sizes{0, 1, 15, 16, 64, 255, 448, 512, 960, 961, 1420, 8900};

std::vector<uint8_t> telling_packet(size_t payload_size) {
  std::vector<uint8_t> packet(CP_DATA_HEADER_SIZE + payload_size);
  for (size_t i = 0; i < packet.size(); ++i)
    packet[i] = static_cast<uint8_t>(i * 7 + payload_size);
  return packet;
}

bool agrees_on(AeadProvider& provider, AeadProvider& reference, const TrafficKey& key, size_t payload_size) {
  const std::vector<uint8_t> plain = telling_packet(payload_size);
  std::vector<uint8_t> expected = plain;
  std::vector<uint8_t> sealed = plain;
  AeadJob reference_job{.packet = expected.data(), .payload_size = payload_size};
  reference.seal(key, {&reference_job, 1});
  AeadJob job{.packet = sealed.data(), .payload_size = payload_size};
  provider.seal(key, {&job, 1});
  if (sealed != expected) return false;
  provider.open(key, {&job, 1});
  if (!job.ok ||
      !std::ranges::equal(Bytes(sealed).subspan(CP_DATA_HEADER_SIZE), ConstBytes(plain).subspan(CP_DATA_HEADER_SIZE))) {
    return false;
  }
  expected[CP_OFFSET_TAG + payload_size % CP_TAG_SIZE] ^= 1;
  job = {.packet = expected.data(), .payload_size = payload_size};
  provider.open(key, {&job, 1});
  return !job.ok &&
         std::ranges::all_of(Bytes(expected).subspan(CP_DATA_HEADER_SIZE), [](uint8_t byte) { return byte == 0; });
}

}  // namespace

bool agrees_with_sodium(AeadProvider& provider) {
  const auto reference = make_sodium_aead();
  TrafficKey key;
  for (size_t i = 0; i < key.key.size; ++i)
    key.key.data()[i] = static_cast<uint8_t>(i * 11 + 3);
  key.iv.fill(0xa5);
  return std::ranges::all_of(telling_sizes, [&](size_t size) { return agrees_on(provider, *reference, key, size); });
}

Result<std::unique_ptr<AeadProvider>> make_aead(AeadChoice choice) {
  if (choice == AeadChoice::sodium) return make_sodium_aead();
  auto provider = make_ipsec_mb_aead(IpsecMbCode::avx512);
  if (!provider) provider = make_ipsec_mb_aead(IpsecMbCode::avx2);
  if (!provider && choice == AeadChoice::automatic) return make_sodium_aead();
  return provider;
}

}  // namespace centipede::crypto
