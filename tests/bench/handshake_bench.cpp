// What each step of a handshake costs, beside the primitives of libsodium that it is made of. One over the time of
// BM_ResponderWhole is the number of handshakes that one core answers a second.
#include <benchmark/benchmark.h>
#include <sodium.h>

#include "crypto/cookie.h"
#include "crypto/handshake.h"

namespace centipede::crypto {
namespace {

struct Parties {
  Parties() {
    (void)initialise();
    alice = Identity::generate();
    bob = Identity::generate();
    randombytes_buf(ephemeral.data(), ephemeral.size);
  }
  [[nodiscard]] Initiator start() const {
    return *Initiator::start({.self = *alice,
                              .responder = bob->public_key(),
                              .sid = 1,
                              .timestamp_ns = timestamp_quantum_ns,
                              .params = {},
                              .ephemeral_secret = ephemeral});
  }
  [[nodiscard]] OpenedInitiation opened(const Initiator& initiator) const {
    auto claimed = OpenedInitiation::open(*bob, initiator.message());
    (void)claimed->verify(*bob, alice->public_key());
    return std::move(*claimed);
  }
  std::optional<Identity> alice;
  std::optional<Identity> bob;
  SecretKey ephemeral;
  SecretKey psk;
  CookieSecret secret;
};

const Parties& parties() {
  static const Parties made;
  return made;
}
const Endpoint source{*IpAddress::parse("192.0.2.1"), 5820};

// Primitives.
void BM_X25519(benchmark::State& state) {
  const Parties& p = parties();
  SecretKey shared;
  for (auto _ : state)
    benchmark::DoNotOptimize(crypto_scalarmult(shared.data(), p.ephemeral.data(), p.bob->public_key().x25519().data()));
}
void BM_X25519Base(benchmark::State& state) {
  std::array<uint8_t, 32> point;
  for (auto _ : state)
    benchmark::DoNotOptimize(crypto_scalarmult_base(point.data(), parties().ephemeral.data()));
}
void BM_Ed25519Sign(benchmark::State& state) {
  const std::array<uint8_t, 79> text{};
  for (auto _ : state)
    benchmark::DoNotOptimize(parties().alice->sign(text));
}
void BM_Ed25519Verify(benchmark::State& state) {
  const std::array<uint8_t, 79> text{};
  const auto signature = parties().alice->sign(text);
  for (auto _ : state)
    benchmark::DoNotOptimize(verify(parties().alice->public_key(), text, signature));
}

// What comes before the first Diffie-Hellman.
void BM_Mac1(benchmark::State& state) {
  const auto message = parties().start().message();
  for (auto _ : state)
    benchmark::DoNotOptimize(mac1_is_valid(parties().bob->receiver_keys(), message));
}
void BM_CookieAndMac2(benchmark::State& state) {
  auto message = parties().start().message();
  write_mac2(make_cookie(parties().secret, source), message);
  for (auto _ : state)
    benchmark::DoNotOptimize(mac2_is_valid(make_cookie(parties().secret, source), message));
}
void BM_SealCookie(benchmark::State& state) {
  const auto message = parties().start().message();
  uint64_t nonce = 0;
  for (auto _ : state) {
    const Cookie cookie = make_cookie(parties().secret, source);
    benchmark::DoNotOptimize(seal_cookie(parties().bob->receiver_keys(), cookie, message, ++nonce));
  }
}

// The steps.
void BM_InitiatorStart(benchmark::State& state) {
  for (auto _ : state)
    benchmark::DoNotOptimize(parties().start());
}
void BM_ResponderOpen(benchmark::State& state) {
  const Initiator initiator = parties().start();
  for (auto _ : state)
    benchmark::DoNotOptimize(OpenedInitiation::open(*parties().bob, initiator.message()));
}
void BM_ResponderVerify(benchmark::State& state) {
  const Initiator initiator = parties().start();
  auto opened = OpenedInitiation::open(*parties().bob, initiator.message());
  for (auto _ : state)
    benchmark::DoNotOptimize(opened->verify(*parties().bob, parties().alice->public_key()));
}
void BM_ResponderRespond(benchmark::State& state) {
  const Parties& p = parties();
  const OpenedInitiation opened = p.opened(p.start());
  for (auto _ : state)
    benchmark::DoNotOptimize(opened.respond(*p.bob, p.psk, 2, {}, p.ephemeral));
}
void BM_ResponderWhole(benchmark::State& state) {
  const Parties& p = parties();
  const Initiator initiator = p.start();
  for (auto _ : state) {
    auto opened = OpenedInitiation::open(*p.bob, initiator.message());
    (void)opened->verify(*p.bob, p.alice->public_key());
    benchmark::DoNotOptimize(opened->respond(*p.bob, p.psk, 2, {}, p.ephemeral));
  }
}
void BM_InitiatorFinish(benchmark::State& state) {
  const Parties& p = parties();
  const Initiator initiator = p.start();
  const auto response = p.opened(initiator).respond(*p.bob, p.psk, 2, {}, p.ephemeral);
  for (auto _ : state)
    benchmark::DoNotOptimize(initiator.finish(*p.alice, p.psk, response->message));
}

BENCHMARK(BM_X25519);
BENCHMARK(BM_X25519Base);
BENCHMARK(BM_Ed25519Sign);
BENCHMARK(BM_Ed25519Verify);
BENCHMARK(BM_Mac1);
BENCHMARK(BM_CookieAndMac2);
BENCHMARK(BM_SealCookie);
BENCHMARK(BM_InitiatorStart);
BENCHMARK(BM_ResponderOpen);
BENCHMARK(BM_ResponderVerify);
BENCHMARK(BM_ResponderRespond);
BENCHMARK(BM_ResponderWhole);
BENCHMARK(BM_InitiatorFinish);

}  // namespace
}  // namespace centipede::crypto
