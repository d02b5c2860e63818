// What the XDP program costs a frame, by verdict, under BPF_PROG_TEST_RUN. Needs root. A frame that does not come to
// the verdict that its benchmark is named after is an error.
#include <benchmark/benchmark.h>
#include <centipede/wire.h>

#include <algorithm>
#include <functional>
#include <memory>

#include "bpf_main.h"
#include "dataplane/xsk.h"
#include "shield_fixture.h"

namespace centipede::test {
namespace {

constexpr uint32_t batch = 20'000;  // runs in one system call, which waits for tens of ms besides
constexpr int64_t all_runs = 30 * batch;

// BPF_PROG_TEST_RUN says what a run took on average over a batch. The fastest batch is what to compare: the others had
// their core interrupted.
class BatchTimes {
 public:
  explicit BatchTimes(benchmark::State& state) : state_(state) {}
  ~BatchTimes() { state_.counters["fastest_ns"] = fastest_; }
  BatchTimes(const BatchTimes&) = delete;
  BatchTimes& operator=(const BatchTimes&) = delete;

  void add(uint32_t ns) {
    state_.SetIterationTime(static_cast<double>(ns) * batch * 1e-9);
    fastest_ = std::min(fastest_, ns);
  }

 private:
  benchmark::State& state_;
  uint32_t fastest_ = UINT32_MAX;
};

// The fixture of the program's tests, outside a test.
class Bench : public ShieldTest {
 public:
  Bench() { SetUp(); }
  ~Bench() override { TearDown(); }
  void TestBody() override {}

  [[nodiscard]] bool ready() const { return program != nullptr && !HasFailure(); }
  // Of frames from the uplink and from a device that is none.
  [[nodiscard]] uint64_t count(cp_verdict verdict) {
    const auto i = static_cast<size_t>(verdict);
    return counts()[i] + counts(CP_MAX_UPLINKS)[i];
  }
  // By the kernel's account, of all runs so far.
  [[nodiscard]] uint64_t run_time_ns() const {
    bpf_prog_info info{};
    uint32_t size = sizeof info;
    return bpf_obj_get_info_by_fd(program->program_fd(), &info, &size) == 0 ? info.run_time_ns : 0;
  }

  Frame duplicate(int family) {
    lane_window(0)[0] = window_word(0, 1U << 5);
    return build({.family = family, .payload = data_packet(0, 5, sid)});
  }
  Frame too_old() {
    lane_window(0)[0] = window_word(words, 0);
    return data_frame(0, 5);
  }
  // With a socket to go to. What the kernel does with a redirected frame afterwards is not part of a run.
  Frame redirected(int family) {
    auto opened = XskQueue::open({.device = "lo",
                                  .queue = 0,
                                  .workers = 2,
                                  .xsks_fd = program->xsks_fd(),
                                  .first_xsk = cp_xsk_slot(uplink_index, 0, live_workers, 0),
                                  .frames = 64});
    if (opened) queue_ = std::move(*opened);
    return build({.family = family, .payload = data_packet(0, 6, sid)});
  }
  Frame from_no_uplink() {
    program->erase_uplink(uplink_index);
    return data_frame(0, 6);
  }
  Frame with_wrong_mac1() const {
    Message message = initiation(shield, 7);
    ++message[20];
    return build({.payload = message});
  }
  // No limit for initiations without a cookie, so that their mac2 is looked at and proves nothing.
  Frame unproven_in_quiet_times() {
    shield.unproven = without_limit;
    put_shield();
    return build({.payload = initiation(shield, 7)});
  }

  using ProgramTest::run;
  using ShieldTest::proven;
  using ShieldTest::shield;

 private:
  std::unique_ptr<XskQueue> queue_;
};

using MakeFrame = std::function<Frame(Bench&)>;

// Frames that the program leaves as they are, so that the kernel can repeat them. The time is the kernel's, a run.
void repeated(benchmark::State& state, cp_verdict verdict, const MakeFrame& make) {
  Bench bench;
  if (!bench.ready()) return state.SkipWithError("the program is not ready");
  const Frame frame = make(bench);
  const uint64_t before = bench.count(verdict);
  uint64_t runs = 0;
  BatchTimes times(state);
  while (state.KeepRunningBatch(batch)) {
    uint32_t ns = 0;
    if (bench.run(frame, batch, &ns) < 0) return state.SkipWithError("BPF_PROG_TEST_RUN failed");
    times.add(ns);
    runs += batch;
  }
  if (bench.count(verdict) - before != runs) state.SkipWithError("it came to another verdict");
}

// Frames that the program turns into others. Single runs, by the kernel's account, with cold caches: compare them with
// one another alone.
void single(benchmark::State& state, cp_verdict verdict, const MakeFrame& make) {
  const FileDescriptor statistics(bpf_enable_stats(BPF_STATS_RUN_TIME));
  Bench bench;
  if (!bench.ready() || !statistics) return state.SkipWithError("the program is not ready");
  const Frame frame = make(bench);
  const uint64_t before = bench.count(verdict);
  for (auto _ : state) {
    const uint64_t begin = bench.run_time_ns();
    if (bench.run(frame) < 0) return state.SkipWithError("BPF_PROG_TEST_RUN failed");
    state.SetIterationTime(static_cast<double>(bench.run_time_ns() - begin) * 1e-9);
  }
  if (bench.count(verdict) - before != static_cast<uint64_t>(state.iterations()))
    state.SkipWithError("it came to another verdict");
}

// What BPF_PROG_TEST_RUN itself costs a run: to subtract from the others.
void empty_program(benchmark::State& state) {
  const std::array<bpf_insn, 2> code{
      {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = XDP_PASS},
       {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}}};
  const FileDescriptor program(bpf_prog_load(BPF_PROG_TYPE_XDP, "pass", "GPL", code.data(), code.size(), nullptr));
  const Frame frame = data_frame(0, 5);
  BatchTimes times(state);
  while (state.KeepRunningBatch(batch)) {
    LIBBPF_OPTS(bpf_test_run_opts, options);
    options.data_in = frame.data();
    options.data_size_in = static_cast<uint32_t>(frame.size());
    options.repeat = batch;
    if (bpf_prog_test_run_opts(program.get(), &options) != 0) return state.SkipWithError("BPF_PROG_TEST_RUN failed");
    times.add(options.duration);
  }
}

using Measure = void (*)(benchmark::State&, cp_verdict, const MakeFrame&);

void add(const char* name, Measure measure, cp_verdict verdict, const MakeFrame& make) {
  auto* added = benchmark::RegisterBenchmark(name, measure, verdict, make)->UseManualTime();
  if (measure == repeated) added->Iterations(all_runs);
}

Frame payload(Message message, uint16_t port = tunnel_port) {
  return build({.port = port, .payload = std::move(message)});
}

void add_all() {
  benchmark::RegisterBenchmark("empty_program", empty_program)->UseManualTime()->Iterations(all_runs);
  add("foreign/arp", repeated, CP_VERDICT_FOREIGN, [](Bench&) { return build({.family = 0}); });
  add("foreign/tcp", repeated, CP_VERDICT_FOREIGN,
      [](Bench&) { return build({.protocol = 6, .payload = data_packet(0, 5, sid)}); });
  add("foreign/other_port", repeated, CP_VERDICT_FOREIGN, [](Bench&) { return payload(data_packet(0, 5, sid), 53); });
  add("foreign/no_uplink", repeated, CP_VERDICT_FOREIGN, [](Bench& bench) { return bench.from_no_uplink(); });
  add("duplicate/ipv4", repeated, CP_VERDICT_DUPLICATE, [](Bench& bench) { return bench.duplicate(4); });
  add("duplicate/ipv6", repeated, CP_VERDICT_DUPLICATE, [](Bench& bench) { return bench.duplicate(6); });
  add("too_old", repeated, CP_VERDICT_TOO_OLD, [](Bench& bench) { return bench.too_old(); });
  add("redirected/ipv4", repeated, CP_VERDICT_REDIRECTED, [](Bench& bench) { return bench.redirected(4); });
  add("redirected/ipv6", repeated, CP_VERDICT_REDIRECTED, [](Bench& bench) { return bench.redirected(6); });
  add("no_socket", repeated, CP_VERDICT_NO_SOCKET, [](Bench&) { return data_frame(0, 6); });
  add("control", repeated, CP_VERDICT_CONTROL, [](Bench&) { return data_frame(CP_CONTROL_LANE, 6); });
  add("unknown_session", repeated, CP_VERDICT_UNKNOWN_SESSION, [](Bench&) { return data_frame(0, 6, sid + 1); });
  add("uncalled", repeated, CP_VERDICT_UNCALLED, [](Bench& bench) { return payload(response(bench.shield, 7)); });
  add("bad_mac1", repeated, CP_VERDICT_BAD_MAC1, [](Bench& bench) { return bench.with_wrong_mac1(); });
  add("handshake/proven", repeated, CP_VERDICT_HANDSHAKE,
      [](Bench& bench) { return bench.proven({}, bench.shield.current); });
  add("handshake/proven_by_secret_before", repeated, CP_VERDICT_HANDSHAKE,
      [](Bench& bench) { return bench.proven({}, 1 - bench.shield.current); });
  add("handshake/unproven_in_quiet_times", repeated, CP_VERDICT_HANDSHAKE,
      [](Bench& bench) { return bench.unproven_in_quiet_times(); });
  add("single_run/bad_mac1", single, CP_VERDICT_BAD_MAC1, [](Bench& bench) { return bench.with_wrong_mac1(); });
  add("single_run/challenged", single, CP_VERDICT_CHALLENGED,
      [](Bench& bench) { return payload(initiation(bench.shield, 7)); });
}

}  // namespace
}  // namespace centipede::test

int main(int argc, char** argv) {
  return centipede::test::run_benchmarks(argc, argv, "bench_verdict", centipede::test::add_all);
}
