// Every AEAD provider against the frozen packet, against libsodium called directly, and against itself.
#include "crypto/aead.h"

#include <gtest/gtest.h>
#include <sodium.h>

#include <functional>

#include "aead_packets.h"
#include "allocations.h"
#include "transcript.h"

namespace centipede::crypto {
namespace {

TEST_P(Aead, SealsToTheFrozenPacketAndOpensIt) {
  std::vector<uint8_t> sealed(CP_DATA_HEADER_SIZE);
  wire::write_data_header({.number = {3, 0x0a0b0c}, .sid = 0x1112131415161718}, sealed.data());
  sealed.insert(sealed.end(), text.begin(), text.end());
  seal(sealed);
  EXPECT_EQ(to_hex(sealed), transcript::data_packet);
  ASSERT_TRUE(open(sealed));
  EXPECT_EQ(to_hex(ConstBytes(sealed).subspan(CP_DATA_HEADER_SIZE)), to_hex(as_bytes(text)));
}

TEST_P(Aead, EveryFlippedBitOfHeaderTagAndBodyIsRefusedAndShowsNoPlaintext) {
  const auto packet = from_hex(transcript::data_packet);
  for (size_t bit = 0; bit < packet.size() * 8; ++bit) {
    auto damaged = packet;
    flip(damaged, bit);
    EXPECT_FALSE(open(damaged)) << bit;
    EXPECT_TRUE(is_cleared(damaged)) << bit;
  }
}

TEST_P(Aead, EveryTruncationIsRefused) {
  const auto packet = from_hex(transcript::data_packet);
  for (size_t size = CP_DATA_HEADER_SIZE; size < packet.size(); ++size) {
    std::vector<uint8_t> shorter(packet.begin(), packet.begin() + static_cast<ptrdiff_t>(size));
    EXPECT_FALSE(open(shorter)) << size;
  }
}

TEST_P(Aead, AnEmptyPayloadIsAuthenticatedToo) {
  std::vector<uint8_t> empty(CP_DATA_HEADER_SIZE, 1);
  seal(empty);
  EXPECT_TRUE(open(empty));
  flip(empty, 3);
  EXPECT_FALSE(open(empty));
}

TEST_P(Aead, AnotherKeyOrIvIsRefused) {
  const auto packet = from_hex(transcript::data_packet);
  const auto refused = [&] {
    auto copy = packet;
    return !open(copy) && is_cleared(copy);
  };
  for (size_t bit = 0; bit < SecretKey::size * 8; ++bit) {
    flip({key.key.data(), SecretKey::size}, bit);
    EXPECT_TRUE(refused()) << "bit of the key " << bit;
    flip({key.key.data(), SecretKey::size}, bit);
  }
  for (size_t bit = 0; bit < key.iv.size() * 8; ++bit) {
    flip(key.iv, bit);
    EXPECT_TRUE(refused()) << "bit of the IV " << bit;
    flip(key.iv, bit);
  }
  EXPECT_FALSE(refused());
}

// The last byte of a packet is the last of a page behind which nothing is mapped, the first byte of one that is as long
// as the page the first behind such a page.
TEST_P(Aead, EveryLengthAtEveryAlignmentIsAsLibsodiumHasItAndTouchesNothingElse) {
  constexpr size_t most = 2048;
  const Fenced fenced(CP_DATA_HEADER_SIZE + most + 16);
  for (size_t size = 0; size <= most; ++size) {
    const auto plain = random_packet(size);
    const auto expected = sealed_by_libsodium(plain);
    for (size_t from_end = 0; from_end < 16; ++from_end) {
      const Bytes whole = fenced.bytes();
      std::ranges::fill(whole, uint8_t{0x5a});
      const Bytes packet = whole.subspan(whole.size() - plain.size() - from_end, plain.size());
      std::ranges::copy(plain, packet.begin());
      AeadJob job{.packet = packet.data(), .payload_size = size};
      aead->seal(key, {&job, 1});
      ASSERT_TRUE(std::ranges::equal(packet, expected)) << size << " bytes, " << from_end << " before the end";
      aead->open(key, {&job, 1});
      ASSERT_TRUE(job.ok) << size << " bytes, " << from_end << " before the end";
      ASSERT_TRUE(std::ranges::equal(payload(packet), payload(plain)));
      std::ranges::fill(packet, uint8_t{0x5a});
      ASSERT_TRUE(std::ranges::all_of(whole, [](uint8_t byte) { return byte == 0x5a; })) << "bytes beside the packet";
    }
  }
  const Fenced page(4096);
  std::ranges::copy(random_packet(4096 - CP_DATA_HEADER_SIZE), page.bytes().begin());
  AeadJob job{.packet = page.bytes().data(), .payload_size = 4096 - CP_DATA_HEADER_SIZE};
  aead->seal(key, {&job, 1});
  aead->open(key, {&job, 1});
  EXPECT_TRUE(job.ok);
}

TEST_P(Aead, NothingBesideTheKeyIsRead) {
  const Fenced fenced(sizeof(TrafficKey));
  auto* fenced_key = new (fenced.bytes().data()) TrafficKey{.key = key.key.clone(), .iv = key.iv};
  auto packet = from_hex(transcript::data_packet);
  AeadJob job{.packet = packet.data(), .payload_size = text.size()};
  aead->open(*fenced_key, {&job, 1});
  EXPECT_TRUE(job.ok);
  aead->seal(*fenced_key, {&job, 1});
  EXPECT_EQ(to_hex(packet), transcript::data_packet);
  fenced_key->~TrafficKey();
}

TEST_P(Aead, BatchesOfEverySizeAndOfMixedLengths) {
  for (size_t count = 1; count <= 130; ++count) {
    Batch batch = random_batch(count);
    std::vector<std::vector<uint8_t>> expected;
    expected.reserve(count);
    for (const auto& packet : batch.packets)
      expected.push_back(sealed_by_libsodium(packet));
    const auto plain = batch.packets;
    aead->seal(key, batch.jobs);
    ASSERT_EQ(batch.packets, expected) << count;
    aead->open(key, batch.jobs);
    for (size_t i = 0; i < count; ++i) {
      ASSERT_TRUE(batch.jobs[i].ok) << i << " of " << count;
      ASSERT_TRUE(std::ranges::equal(payload(batch.packets[i]), payload(plain[i]))) << i << " of " << count;
    }
  }
  aead->seal(key, {});
  aead->open(key, {});
}

TEST_P(Aead, ADamagedPacketInABatchHarmsNoOther) {
  constexpr size_t count = 130;
  Batch batch = random_batch(count);
  const auto plain = batch.packets;
  aead->seal(key, batch.jobs);
  const auto sealed = batch.packets;
  // One damaged packet in each place, then about half of them.
  for (size_t round = 0; round < count + 20; ++round) {
    std::vector<bool> damaged(count);
    for (size_t i = 0; i < count; ++i) {
      std::ranges::copy(sealed[i], batch.packets[i].begin());
      damaged[i] = round < count ? i == round : random() % 2 == 0;
      if (damaged[i]) flip(batch.packets[i], random() % (sealed[i].size() * 8));
    }
    aead->open(key, batch.jobs);
    for (size_t i = 0; i < count; ++i) {
      ASSERT_EQ(batch.jobs[i].ok, !damaged[i]) << i << " in round " << round;
      if (damaged[i]) {
        ASSERT_TRUE(is_cleared(batch.packets[i])) << i << " in round " << round;
      } else {
        ASSERT_TRUE(std::ranges::equal(payload(batch.packets[i]), payload(plain[i])));
      }
    }
  }
}

TEST_P(Aead, NoBatchAllocates) {
  Batch batch = random_batch(130);
  flip(batch.packets[7], 200);
  const uint64_t before = allocations();
  aead->seal(key, batch.jobs);
  flip(batch.packets[7], 200);
  aead->open(key, batch.jobs);
  EXPECT_EQ(allocations(), before);
  EXPECT_FALSE(batch.jobs[7].ok);
  auto counted = std::make_unique<int>(1);
  EXPECT_EQ(allocations(), before + 1) << "the count counts";
}

#ifndef __SANITIZE_THREAD__  // whose own code saves registers on the stack
TEST_P(Aead, NothingOfAKeyRemainsOnTheStack) {
  // As many Poly1305 keys as packets, which are together long enough for all of the vector code.
  Batch batch = batch_of({0, 64, 512, 960, 1420, 2000});
  std::vector<std::vector<uint8_t>> stacks;
  for (AeadJob& job : batch.jobs) {
    stacks.push_back(stack_after([&] { aead->seal(key, {&job, 1}); }));
    stacks.push_back(stack_after([&] { aead->open(key, {&job, 1}); }));
    EXPECT_TRUE(job.ok);
  }
  // Computed only now: a thread begins with the registers of the one that made it.
  const auto secrets = secrets_of(batch);
  for (size_t i = 0; i < stacks.size(); ++i) {
    for (const auto& secret : secrets)
      EXPECT_FALSE(holds(stacks[i], secret)) << (i % 2 == 0 ? "sealing" : "opening") << " leaves " << to_hex(secret);
  }
  const std::vector<uint8_t> stack = stack_after([&] {
    std::array<uint8_t, 16> copy;
    std::ranges::copy(secrets.front(), copy.begin());
    asm volatile("" : : "r"(copy.data()) : "memory");
  });
  EXPECT_TRUE(holds(stack, secrets.front())) << "the search finds what is there";
}
#endif

INSTANTIATE_TEST_SUITE_P(Providers, Aead, testing::ValuesIn(all_providers()),
                         [](const auto& parameter) { return parameter.param.name; });

class AeadChoiceTest : public CryptoTest {};

TEST_F(AeadChoiceTest, AutomaticIsTheFirstOfAvx512Avx2AndLibsodiumThatThisComputerHas) {
  const auto chosen = make_aead(AeadChoice::automatic);
  ASSERT_TRUE(chosen);
  const auto avx512 = make_ipsec_mb_aead(IpsecMbCode::avx512);
  const auto avx2 = make_ipsec_mb_aead(IpsecMbCode::avx2);
  EXPECT_EQ((*chosen)->name(), avx512 ? "ipsec-mb (AVX-512)" : avx2 ? "ipsec-mb (AVX2)" : "sodium");
  const auto named = make_aead(AeadChoice::ipsec_mb);
  ASSERT_EQ(named.has_value(), avx512 || avx2);
  if (named) {
    EXPECT_EQ((*named)->name(), (*chosen)->name());
  } else {
    EXPECT_NE(named.error().text.find("ipsec-mb"), std::string::npos);
  }
  EXPECT_EQ((*make_aead(AeadChoice::sodium))->name(), "sodium");
}

// A provider with one fault.
class Faulty final : public AeadProvider {
 public:
  enum class Fault { none, takes_any_tag, shows_plaintext, other_nonce };
  explicit Faulty(Fault fault) : fault_(fault) {}
  [[nodiscard]] std::string_view name() const override { return "faulty"; }
  void seal(const TrafficKey& key, std::span<AeadJob> jobs) override {
    TrafficKey used{.key = key.key.clone(), .iv = key.iv};
    if (fault_ == Fault::other_nonce) used.iv[11] ^= 1;
    sodium_->seal(used, jobs);
  }
  void open(const TrafficKey& key, std::span<AeadJob> jobs) override {
    sodium_->open(key, jobs);
    for (AeadJob& job : jobs) {
      if (fault_ == Fault::shows_plaintext && !job.ok && job.payload_size > 0) job.packet[CP_DATA_HEADER_SIZE] = 1;
      if (fault_ == Fault::takes_any_tag) job.ok = true;
    }
  }

 private:
  Fault fault_;
  std::unique_ptr<AeadProvider> sodium_ = make_sodium_aead();
};

TEST_F(AeadChoiceTest, TheSelfTestFindsFaults) {
  const auto agrees = [](Faulty::Fault fault) {
    Faulty provider(fault);
    return agrees_with_sodium(provider);
  };
  EXPECT_TRUE(agrees(Faulty::Fault::none));
  EXPECT_FALSE(agrees(Faulty::Fault::takes_any_tag));
  EXPECT_FALSE(agrees(Faulty::Fault::shows_plaintext));
  EXPECT_FALSE(agrees(Faulty::Fault::other_nonce));
}

}  // namespace
}  // namespace centipede::crypto
