// What the tests of AEAD providers share: packets and batches, memory between pages that must not be touched, and the
// stack that a call leaves behind.
#pragma once

#include <pthread.h>
#include <sodium.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <ostream>
#include <random>
#include <thread>

#include "crypto/aead.h"
#include "test_support.h"
#include "transcript.h"

namespace centipede::crypto {

struct ProviderCase {
  std::string name;
  std::function<Result<std::unique_ptr<AeadProvider>>()> make;

  friend void PrintTo(const ProviderCase& one, std::ostream* out) { *out << one.name; }
};

inline std::vector<ProviderCase> all_providers() {
  return {{"sodium", [] { return make_aead(AeadChoice::sodium); }},
          {"ipsec_mb_avx512", [] { return make_ipsec_mb_aead(IpsecMbCode::avx512); }},
          {"ipsec_mb_avx2", [] { return make_ipsec_mb_aead(IpsecMbCode::avx2); }}};
}

inline ConstBytes payload(ConstBytes packet) {
  return packet.subspan(CP_DATA_HEADER_SIZE);
}

inline bool is_cleared(ConstBytes packet) {
  return std::ranges::all_of(payload(packet), [](uint8_t byte) { return byte == 0; });
}

// At least so many bytes, up to the end of a page; what is before and after their pages cannot be accessed.
class Fenced {
 public:
  explicit Fenced(size_t size) : size_(size), pages_((size + page - 1) / page * page) {
    memory_ = static_cast<uint8_t*>(mmap(nullptr, pages_ + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (mprotect(memory_ + page, pages_, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
  }
  ~Fenced() { munmap(memory_, pages_ + 2 * page); }
  Fenced(const Fenced&) = delete;
  Fenced& operator=(const Fenced&) = delete;

  [[nodiscard]] Bytes bytes() const { return {memory_ + page + pages_ - size_, size_}; }

 private:
  static constexpr size_t page = 4096;
  size_t size_;
  size_t pages_;
  uint8_t* memory_;
};

// What a thread that did `work` leaves on its stack, seen before it does anything else.
inline std::vector<uint8_t> stack_after(const std::function<void()>& work) {
  constexpr size_t size = size_t{2} << 20;  // sanitizers need much of it
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstack(&attributes, memory, size);
  struct Task {
    const std::function<void()>& work;
    std::atomic<bool> done{false};
    std::atomic<bool> seen{false};
  } task{work};
  const auto body = [](void* argument) -> void* {
    auto& one = *static_cast<Task*>(argument);
    one.work();
    one.done.store(true);
    while (!one.seen.load()) {  // calls nothing that would use the stack
    }
    return nullptr;
  };
  pthread_t thread{};
  EXPECT_EQ(pthread_create(&thread, &attributes, body, &task), 0);
  while (!task.done.load())
    std::this_thread::yield();
  const auto* first = static_cast<const uint8_t*>(memory);
  std::vector<uint8_t> left(std::find_if(first, first + size, [](uint8_t byte) { return byte != 0; }), first + size);
  task.seen.store(true);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
  munmap(memory, size);
  return left;
}

inline bool holds(ConstBytes memory, ConstBytes wanted) {
  return memmem(memory.data(), memory.size(), wanted.data(), wanted.size()) != nullptr;
}

// Packets, and a job for each.
struct Batch {
  std::vector<std::vector<uint8_t>> packets;
  std::vector<AeadJob> jobs;
};

class Aead : public CryptoTest, public testing::WithParamInterface<ProviderCase> {
 protected:
  static constexpr std::string_view text = "a packet on lane three";  // in the frozen packet

  void SetUp() override {
    CryptoTest::SetUp();
    key.key = secret_of(transcript::key_ir);
    std::ranges::copy(from_hex(transcript::iv_ir), key.iv.begin());
    auto made = GetParam().make();
    if (!made && made.error().code == ENOTSUP) GTEST_SKIP() << made.error().text;
    ASSERT_TRUE(made) << made.error().text;
    aead = std::move(*made);
  }

  void seal(std::vector<uint8_t>& packet) {
    AeadJob job{.packet = packet.data(), .payload_size = packet.size() - CP_DATA_HEADER_SIZE};
    aead->seal(key, {&job, 1});
  }
  bool open(std::vector<uint8_t>& packet) {
    AeadJob job{.packet = packet.data(), .payload_size = packet.size() - CP_DATA_HEADER_SIZE};
    aead->open(key, {&job, 1});
    return job.ok;
  }

  std::vector<uint8_t> random_packet(size_t payload_size) {
    std::vector<uint8_t> packet(CP_DATA_HEADER_SIZE + payload_size);
    for (uint8_t& byte : packet)
      byte = static_cast<uint8_t>(random());
    return packet;
  }
  Batch batch_of(const std::vector<size_t>& sizes) {
    Batch batch;
    for (const size_t size : sizes)
      batch.packets.push_back(random_packet(size));
    for (size_t i = 0; i < sizes.size(); ++i)
      batch.jobs.push_back({.packet = batch.packets[i].data(), .payload_size = sizes[i]});
    return batch;
  }
  Batch random_batch(size_t count) {
    std::vector<size_t> sizes(count);
    for (size_t& size : sizes)
      size = random() % 2 == 0 ? random() % 100 : random() % 2000;
    return batch_of(sizes);
  }

  [[nodiscard]] std::array<uint8_t, 12> nonce_of(ConstBytes packet) const {
    auto nonce = key.iv;
    for (size_t i = 0; i < 8; ++i)
      nonce[4 + i] ^= packet[i];
    return nonce;
  }
  [[nodiscard]] std::vector<uint8_t> sealed_by_libsodium(std::vector<uint8_t> packet) const {
    uint8_t* body = packet.data() + CP_DATA_HEADER_SIZE;
    crypto_aead_chacha20poly1305_ietf_encrypt_detached(
        body, packet.data() + CP_OFFSET_TAG, nullptr, body, packet.size() - CP_DATA_HEADER_SIZE, packet.data(),
        CP_DATA_AAD_SIZE, nullptr, nonce_of(packet).data(), key.key.data());
    return packet;
  }
  // 16 bytes each: both halves of the key; of every packet the key stream, which begins with its Poly1305 key, and the
  // half of that key that is clamped before it is used.
  [[nodiscard]] std::vector<std::vector<uint8_t>> secrets_of(const Batch& batch) const {
    std::vector<uint8_t> all(key.key.data(), key.key.data() + SecretKey::size);
    for (const auto& packet : batch.packets) {
      std::vector<uint8_t> stream(64 + packet.size());
      crypto_stream_chacha20_ietf(stream.data(), stream.size(), nonce_of(packet).data(), key.key.data());
      all.insert(all.end(), stream.begin(), stream.begin() + static_cast<ptrdiff_t>(stream.size() / 16 * 16));
      for (const size_t i : {3U, 7U, 11U, 15U})
        stream[i] &= 15;
      for (const size_t i : {4U, 8U, 12U})
        stream[i] &= 252;
      all.insert(all.end(), stream.begin(), stream.begin() + 16);
    }
    std::vector<std::vector<uint8_t>> secrets;
    for (auto at = all.begin(); at != all.end(); at += 16)
      secrets.emplace_back(at, at + 16);
    return secrets;
  }

  std::unique_ptr<AeadProvider> aead;
  TrafficKey key;
  std::mt19937_64 random{20260101};
};

}  // namespace centipede::crypto
