// What sealing and opening a packet costs in each provider, and, as `library`, in bare calls of intel-ipsec-mb with all
// about the jobs prepared before. Arguments: bytes of payload, packets in a batch. The last column is the time for one
// packet, in seconds; an iteration goes over 64 packets, and making them fit to be opened again is not timed.
#include <benchmark/benchmark.h>
#include <centipede/wire.h>
#include <intel-ipsec-mb.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <vector>

#include "crypto/aead.h"
#include "crypto/keys.h"
#include "measure.h"

namespace centipede::crypto {
namespace {

constexpr size_t packet_count = 64;
enum class Direction { seal, open };

struct Packets {
  explicit Packets(size_t payload_size)
      : stride(CP_DATA_HEADER_SIZE + payload_size), sealed(packet_count * stride, 7), bytes(sealed) {
    for (size_t i = 0; i < packet_count; ++i)
      jobs.push_back({.packet = sealed.data() + i * stride, .payload_size = payload_size});
    make_sodium_aead()->seal(key, jobs);
    for (size_t i = 0; i < packet_count; ++i)
      jobs[i].packet = bytes.data() + i * stride;
  }

  TrafficKey key;
  size_t stride;
  std::vector<uint8_t> sealed;
  std::vector<uint8_t> bytes;
  std::vector<AeadJob> jobs;
};

void measure(benchmark::State& state, Packets& packets, const std::function<void()>& all_packets) {
  test::measure(state, packet_count, [&] { std::ranges::copy(packets.sealed, packets.bytes.begin()); }, all_packets);
}

void provider(benchmark::State& state, Result<std::unique_ptr<AeadProvider>> (*make)(), Direction direction) {
  if (!initialise()) return state.SkipWithError("libsodium does not start");
  const auto aead = make();
  if (!aead) return state.SkipWithError(aead.error().text.c_str());
  Packets packets(static_cast<size_t>(state.range(0)));
  const auto batch = static_cast<size_t>(state.range(1));
  measure(state, packets, [&] {
    for (size_t first = 0; first < packet_count; first += batch) {
      const auto jobs = std::span(packets.jobs).subspan(first, batch);
      direction == Direction::seal ? (*aead)->seal(packets.key, jobs) : (*aead)->open(packets.key, jobs);
    }
  });
  if (direction == Direction::open && !std::ranges::all_of(packets.jobs, &AeadJob::ok)) {
    state.SkipWithError("a tag was wrong");
  }
}

IMB_JOB library_job(const Packets& packets, const AeadJob& job, Direction direction) {
  static constexpr std::array<uint8_t, 16> nonce{0, 0, 0, 0, 7, 7, 7, 7, 7, 7, 7, 7};
  static std::array<uint8_t, CP_TAG_SIZE> tag;
  const bool sealing = direction == Direction::seal;
  IMB_JOB made{};
  made.enc_keys = made.dec_keys = packets.key.key.data();
  made.key_len_in_bytes = SecretKey::size;
  made.src = made.dst = job.packet + CP_DATA_HEADER_SIZE;
  made.msg_len_to_cipher_in_bytes = made.msg_len_to_hash_in_bytes = job.payload_size;
  made.iv = nonce.data();
  made.iv_len_in_bytes = 12;
  made.auth_tag_output = tag.data();
  made.auth_tag_output_len_in_bytes = tag.size();
  made.u.CHACHA20_POLY1305.aad = job.packet;
  made.u.CHACHA20_POLY1305.aad_len_in_bytes = CP_DATA_AAD_SIZE;
  made.cipher_mode = IMB_CIPHER_CHACHA20_POLY1305;
  made.hash_alg = IMB_AUTH_CHACHA20_POLY1305;
  made.cipher_direction = sealing ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT;
  made.chain_order = sealing ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
  return made;
}

// A burst takes the first jobs of the manager's array when nothing waits.
void library(benchmark::State& state, void (*initialise)(IMB_MGR*), Direction direction) {
  const std::unique_ptr<IMB_MGR, void (*)(IMB_MGR*)> manager(alloc_mb_mgr(0), free_mb_mgr);
  initialise(manager.get());
  Packets packets(static_cast<size_t>(state.range(0)));
  const auto batch = static_cast<uint32_t>(state.range(1));
  for (size_t i = 0; i < packet_count; ++i) {
    manager->jobs[i] = library_job(packets, packets.jobs[i], direction);
#if IMB_VERSION_NUM >= IMB_VERSION(1, 4, 0)
    imb_set_session(manager.get(), &manager->jobs[i]);
#endif
  }
  std::array<IMB_JOB*, packet_count> slots{};
  measure(state, packets, [&] {
    for (size_t first = 0; first < packet_count; first += batch) {
      if (IMB_GET_NEXT_BURST(manager.get(), batch, slots.data()) != batch) std::terminate();
      for (size_t i = 0; i < batch; ++i) {
        const AeadJob& job = packets.jobs[first + i];
        slots[i]->src = slots[i]->dst = job.packet + CP_DATA_HEADER_SIZE;
        slots[i]->u.CHACHA20_POLY1305.aad = job.packet;
      }
      if (IMB_SUBMIT_BURST_NOCHECK(manager.get(), batch, slots.data()) != batch) std::terminate();
    }
  });
}

void shapes(benchmark::internal::Benchmark* bench) {
  test::fastest(bench->ArgsProduct({{64, 256, 512, 1024, 1400, 8900}, {1, 8, 64}})->UseManualTime());
}

Result<std::unique_ptr<AeadProvider>> sodium() {
  return make_sodium_aead();
}
Result<std::unique_ptr<AeadProvider>> avx512() {
  return make_ipsec_mb_aead(IpsecMbCode::avx512);
}
Result<std::unique_ptr<AeadProvider>> avx2() {
  return make_ipsec_mb_aead(IpsecMbCode::avx2);
}

BENCHMARK_CAPTURE(library, avx512_seal, init_mb_mgr_avx512, Direction::seal)->Apply(shapes);
BENCHMARK_CAPTURE(provider, avx512_seal, avx512, Direction::seal)->Apply(shapes);
BENCHMARK_CAPTURE(library, avx2_seal, init_mb_mgr_avx2, Direction::seal)->Apply(shapes);
BENCHMARK_CAPTURE(provider, avx2_seal, avx2, Direction::seal)->Apply(shapes);
BENCHMARK_CAPTURE(provider, sodium_seal, sodium, Direction::seal)->Apply(shapes);
BENCHMARK_CAPTURE(library, avx512_open, init_mb_mgr_avx512, Direction::open)->Apply(shapes);
BENCHMARK_CAPTURE(provider, avx512_open, avx512, Direction::open)->Apply(shapes);
BENCHMARK_CAPTURE(library, avx2_open, init_mb_mgr_avx2, Direction::open)->Apply(shapes);
BENCHMARK_CAPTURE(provider, avx2_open, avx2, Direction::open)->Apply(shapes);
BENCHMARK_CAPTURE(provider, sodium_open, sodium, Direction::open)->Apply(shapes);

}  // namespace
}  // namespace centipede::crypto
