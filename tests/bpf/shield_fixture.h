// A program with its shield up, by default so that every unproven initiation is challenged.
#pragma once

#include <sched.h>
#include <time.h>

#include "program_fixture.h"
#include "shield_model.h"

namespace centipede::test {

class ShieldTest : public ProgramTest {
 protected:
  void SetUp() override {
    // Unproven initiations are counted for each CPU.
    ASSERT_EQ(sched_getaffinity(0, sizeof cpus_, &cpus_), 0);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<unsigned>(sched_getcpu()), &one);
    ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
    ProgramTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    put_shield();
  }
  void TearDown() override { sched_setaffinity(0, sizeof cpus_, &cpus_); }

  void put_shield() { ASSERT_TRUE(program->put_shield(shield.abi())); }

  static FrameSpec from(std::array<uint8_t, 4> address, uint16_t port, Message payload) {
    return {.source = {address.begin(), address.end()}, .source_port = port, .payload = std::move(payload)};
  }

  // An initiation in a frame of this kind, with a mac2 under one of the secrets.
  Frame proven(FrameSpec spec, uint32_t secret, uint64_t call = 7) {
    spec.payload = initiation(shield, call);
    const Sender sender = sender_of(build(spec));
    put_mac2(spec.payload, shield.cookie(sender.address, sender.port, secret));
    return build(spec);
  }

  // So many at once and then, for longer than any test takes, no more. Counted from the machine's start, so the burst
  // must lie within the time since then.
  static cp_rate only(uint64_t events) {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    const uint64_t period =
        (static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec)) / (events + 1);
    return {.period_ns = period, .burst_ns = period * events};
  }

  Shield shield;

 private:
  cpu_set_t cpus_{};
};

}  // namespace centipede::test
