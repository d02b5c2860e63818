#include <centipede/wire.h>
#include <intel-ipsec-mb.h>
#include <sodium.h>

#include <algorithm>
#include <exception>
#include <string>

#include "crypto/aead.h"
#include "crypto/packet_nonce.h"

namespace centipede::crypto {
namespace {

constexpr size_t burst_size = 64;
static_assert(burst_size <= IMB_MAX_BURST_SIZE);

struct FreeManager {
  void operator()(IMB_MGR* manager) const { free_mb_mgr(manager); }
};
using Manager = std::unique_ptr<IMB_MGR, FreeManager>;

struct Instructions {
  std::string_view provider;
  std::string_view missing;
  uint64_t features;
  bool (*usable)();  // as the library's features, and the kernel saves the registers
  void (*initialise)(IMB_MGR*);
};

const Instructions& instructions(IpsecMbCode code) {
  static constexpr Instructions avx512{
      .provider = "ipsec-mb (AVX-512)",
      .missing = "AVX-512 with IFMA",
      .features = IMB_CPUFLAGS_AVX512 | IMB_FEATURE_AVX512_IFMA,
      .usable = [] { return __builtin_cpu_supports("avx512f") > 0 && __builtin_cpu_supports("avx512ifma") > 0; },
      .initialise = init_mb_mgr_avx512};
  static constexpr Instructions avx2{.provider = "ipsec-mb (AVX2)",
                                     .missing = "AVX2",
                                     .features = IMB_CPUFLAGS_AVX2,
                                     .usable = [] { return __builtin_cpu_supports("avx2") > 0; },
                                     .initialise = init_mb_mgr_avx2};
  return code == IpsecMbCode::avx512 ? avx512 : avx2;
}

// The library's queue for one direction. Its jobs are done when they have been submitted: this AEAD never waits for
// more of them. What is the same in all is filled in once.
class Queue {
 public:
  Queue(Manager manager, IMB_CIPHER_DIRECTION direction) : manager_(std::move(manager)) {
    for (IMB_JOB& job : manager_->jobs)
      prepare(job, direction);
  }

  // At most burst_size jobs; tag_of(i) is where the tag of the i-th goes. Whether all were done.
  template <class TagOf>
  [[nodiscard]] bool run(const TrafficKey& key, std::span<const AeadJob> jobs, TagOf tag_of) {
    const auto count = static_cast<uint32_t>(jobs.size());
    if (IMB_GET_NEXT_BURST(manager_.get(), count, slots_.data()) != count) return false;
    for (size_t i = 0; i < jobs.size(); ++i) {
      const AeadJob& job = jobs[i];
      std::ranges::copy(packet_nonce(key, job.packet), nonces_[i].begin());
      IMB_JOB& slot = *slots_[i];
      slot.enc_keys = key.key.data();
      slot.src = slot.dst = job.packet + CP_DATA_HEADER_SIZE;
      slot.msg_len_to_cipher_in_bytes = slot.msg_len_to_hash_in_bytes = job.payload_size;
      slot.iv = nonces_[i].data();
      slot.u.CHACHA20_POLY1305.aad = job.packet;
      slot.auth_tag_output = tag_of(i);
    }
    return IMB_SUBMIT_BURST_NOCHECK(manager_.get(), count, slots_.data()) == count;
  }

 private:
  void prepare(IMB_JOB& job, IMB_CIPHER_DIRECTION direction) {
    job.key_len_in_bytes = SecretKey::size;
    job.cipher_start_src_offset_in_bytes = 0;
    job.hash_start_src_offset_in_bytes = 0;
    job.iv_len_in_bytes = std::tuple_size_v<PacketNonce>;
    job.auth_tag_output_len_in_bytes = CP_TAG_SIZE;
    job.u.CHACHA20_POLY1305.aad_len_in_bytes = CP_DATA_AAD_SIZE;
    job.cipher_mode = IMB_CIPHER_CHACHA20_POLY1305;
    job.hash_alg = IMB_AUTH_CHACHA20_POLY1305;
    job.cipher_direction = direction;
    job.chain_order = direction == IMB_DIR_ENCRYPT ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
#if IMB_VERSION_NUM >= IMB_VERSION(1, 4, 0)
    imb_set_session(manager_.get(), &job);  // bursts need it from this version on
#endif
  }

  Manager manager_;
  std::array<IMB_JOB*, burst_size> slots_{};
  std::array<std::array<uint8_t, 16>, burst_size> nonces_{};  // of 16 bytes, as the library may load them
};

// Aligned: workers' providers are made one after the other and share no cache line.
class alignas(64) IpsecMbAead final : public AeadProvider {
 public:
  IpsecMbAead(Manager sealing, Manager opening, std::string_view name)
      : sealing_(std::move(sealing), IMB_DIR_ENCRYPT), opening_(std::move(opening), IMB_DIR_DECRYPT), name_(name) {}

  [[nodiscard]] std::string_view name() const override { return name_; }

  void seal(const TrafficKey& key, std::span<AeadJob> jobs) override {
    while (!jobs.empty()) {
      const auto burst = next_burst(jobs);
      // Better no tunnel than one that sends packets as they are.
      if (!sealing_.run(key, burst, [&](size_t i) { return burst[i].packet + CP_OFFSET_TAG; })) std::terminate();
    }
  }

  void open(const TrafficKey& key, std::span<AeadJob> jobs) override {
    while (!jobs.empty()) {
      const auto burst = next_burst(jobs);
      const bool done = opening_.run(key, burst, [&](size_t i) { return tags_[i].data(); });
      for (size_t i = 0; i < burst.size(); ++i)
        judge(burst[i], tags_[i], done);
    }
  }

 private:
  using Tag = std::array<uint8_t, CP_TAG_SIZE>;

  static std::span<AeadJob> next_burst(std::span<AeadJob>& jobs) {
    const auto burst = jobs.first(std::min(burst_size, jobs.size()));
    jobs = jobs.subspan(burst.size());
    return burst;
  }

  // The library has decrypted whatever it was given, and computed the tag that would have been right.
  static void judge(AeadJob& job, Tag& right, bool done) {
    job.ok = done && crypto_verify_16(right.data(), job.packet + CP_OFFSET_TAG) == 0;
    if (job.ok) return;
    sodium_memzero(job.packet + CP_DATA_HEADER_SIZE, job.payload_size);
    sodium_memzero(right.data(), right.size());
  }

  Queue sealing_;
  Queue opening_;
  std::array<Tag, burst_size> tags_{};
  std::string_view name_;
};

Result<Manager> make_manager(const Instructions& wanted) {
  Manager manager(alloc_mb_mgr(0));
  if (!manager) return fail("ipsec-mb: no memory for its manager", ENOMEM);
  if ((manager->features & wanted.features) != wanted.features || !wanted.usable()) {
    return fail("ipsec-mb needs " + std::string(wanted.missing) + ", which this computer lacks", ENOTSUP);
  }
  if ((manager->features & IMB_FEATURE_SAFE_DATA) == 0) {
    return fail("ipsec-mb was built to leave keys in registers and on the stack", ENOTSUP);
  }
  wanted.initialise(manager.get());
  if (const int error = imb_get_errno(manager.get()); error != 0) {
    return fail("ipsec-mb: " + std::string(imb_get_strerror(error)), EIO);
  }
  return manager;
}

}  // namespace

Result<std::unique_ptr<AeadProvider>> make_ipsec_mb_aead(IpsecMbCode code) {
  const Instructions& wanted = instructions(code);
  auto sealing = make_manager(wanted);
  if (!sealing) return std::unexpected(sealing.error());
  auto opening = make_manager(wanted);
  if (!opening) return std::unexpected(opening.error());
  auto provider = std::make_unique<IpsecMbAead>(std::move(*sealing), std::move(*opening), wanted.provider);
  if (!agrees_with_sodium(*provider)) return fail("ipsec-mb computes something else than libsodium", EIO);
  return provider;
}

}  // namespace centipede::crypto
