#include "crypto/aead.h"

#include <centipede/wire.h>
#include <sodium.h>

#include "crypto/packet_nonce.h"

namespace centipede::crypto {
namespace {

class SodiumAead final : public AeadProvider {
 public:
  [[nodiscard]] std::string_view name() const override { return "sodium"; }

  void seal(const TrafficKey& key, std::span<AeadJob> jobs) override {
    for (AeadJob& job : jobs) {
      uint8_t* payload = job.packet + CP_DATA_HEADER_SIZE;
      crypto_aead_chacha20poly1305_ietf_encrypt_detached(payload, job.packet + CP_OFFSET_TAG, nullptr, payload,
                                                         job.payload_size, job.packet, CP_DATA_AAD_SIZE, nullptr,
                                                         packet_nonce(key, job.packet).data(), key.key.data());
    }
  }

  // libsodium compares the tag before it decrypts, and clears the payload when the tag is wrong.
  void open(const TrafficKey& key, std::span<AeadJob> jobs) override {
    for (AeadJob& job : jobs) {
      uint8_t* payload = job.packet + CP_DATA_HEADER_SIZE;
      job.ok = crypto_aead_chacha20poly1305_ietf_decrypt_detached(
                   payload, nullptr, payload, job.payload_size, job.packet + CP_OFFSET_TAG, job.packet,
                   CP_DATA_AAD_SIZE, packet_nonce(key, job.packet).data(), key.key.data()) == 0;
    }
  }
};

}  // namespace

std::unique_ptr<AeadProvider> make_sodium_aead() {
  return std::make_unique<SodiumAead>();
}

}  // namespace centipede::crypto
