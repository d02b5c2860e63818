// What a frame costs that comes in through an AF_XDP socket on a veth pair, beside bench_stages. Needs root. `receive`
// is a worker's part: frames off the receive ring and back to the fill ring. `send` is everything else of it, on the
// thread that sends: system call, network stack, veth, XDP program, the copy into the frame. The last column is the
// time for one packet, in seconds.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "live_fixture.h"

namespace centipede::test {
namespace {

constexpr size_t burst = 44;

class Bench : public LiveTest {
 public:
  Bench() {
    SetUp();
    queue = open_uplink(*wire, 0);
    attachment = std::make_unique<XdpAttachment>(attach(*wire));
    socket = far_udp(*wire);
  }
  ~Bench() override { TearDown(); }
  void TestBody() override {}

  void send_burst(size_t size) {
    for (size_t i = 0; i < burst; ++i)
      (void)send(socket, 0, counter_++, size);
  }
  size_t receive_and_release() {
    const size_t count = queue->receive(0, frames_);
    queue->release(0, std::span(frames_).first(count));
    return count;
  }

  std::unique_ptr<XskQueue> queue;
  std::unique_ptr<XdpAttachment> attachment;
  FileDescriptor socket;

 private:
  uint64_t counter_ = 0;
  std::array<XskFrame, 64> frames_{};
};

// Made once: attaching takes longer than measuring.
Bench& bench() {
  static Bench made;
  return made;
}

template <class Prepare, class Work>
void measure(benchmark::State& state, Prepare prepare, Work work) {
  using Clock = std::chrono::steady_clock;
  for (auto _ : state) {
    prepare();
    const auto start = Clock::now();
    work();
    state.SetIterationTime(std::chrono::duration<double>(Clock::now() - start).count());
  }
  using Counter = benchmark::Counter;
  state.counters["a_packet"] = Counter(burst, Counter::kIsIterationInvariantRate | Counter::kInvert);
}

size_t size_of(const benchmark::State& state) {
  return static_cast<size_t>(state.range(0));
}

void receive(benchmark::State& state) {
  size_t received = 0;
  measure(state, [&] { bench().send_burst(size_of(state)); }, [&] { received = bench().receive_and_release(); });
  if (received != burst) state.SkipWithError("frames were lost");
}

void send(benchmark::State& state) {
  measure(state, [&] { (void)bench().receive_and_release(); }, [&] { bench().send_burst(size_of(state)); });
  if (bench().receive_and_release() != burst) state.SkipWithError("frames were lost");
}

void fastest(benchmark::internal::Benchmark* one) {
  one->Arg(64)->Arg(1400)->UseManualTime()->Iterations(300)->Repetitions(10)->ReportAggregatesOnly()->ComputeStatistics(
      "fastest", [](const std::vector<double>& times) { return std::ranges::min(times); });
}

BENCHMARK(receive)->Apply(fastest);
BENCHMARK(send)->Apply(fastest);

}  // namespace
}  // namespace centipede::test

int main(int argc, char** argv) {
  testing::InitGoogleTest();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  isolate();
  if (!environment_problem().empty()) {
    std::fprintf(stderr, "bench_xsk: %s\n", environment_problem().c_str());
    return 1;
  }
  benchmark::RunSpecifiedBenchmarks();
}
