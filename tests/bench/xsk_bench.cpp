// What a frame costs that comes in through an AF_XDP socket on a veth pair, beside bench_stages. Needs root. `receive`
// is a worker's part: frames off the receive ring and back to the fill ring. `send` is everything else of it, on the
// thread that sends: system call, network stack, veth, XDP program, the copy into the frame. The last column is the
// time for one packet, in seconds.
#include <benchmark/benchmark.h>

#include <algorithm>

#include "bpf_main.h"
#include "live_fixture.h"
#include "measure.h"

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

size_t size_of(const benchmark::State& state) {
  return static_cast<size_t>(state.range(0));
}

void receive(benchmark::State& state) {
  size_t received = 0;
  measure(state, burst, [&] { bench().send_burst(size_of(state)); }, [&] { received = bench().receive_and_release(); });
  if (received != burst) state.SkipWithError("frames were lost");
}

void send(benchmark::State& state) {
  measure(state, burst, [&] { (void)bench().receive_and_release(); }, [&] { bench().send_burst(size_of(state)); });
  if (bench().receive_and_release() != burst) state.SkipWithError("frames were lost");
}

void sizes(benchmark::internal::Benchmark* one) {
  fastest_of(one->Arg(64)->Arg(1400)->UseManualTime()->Iterations(300), 10);
}

BENCHMARK(receive)->Apply(sizes);
BENCHMARK(send)->Apply(sizes);

}  // namespace
}  // namespace centipede::test

int main(int argc, char** argv) {
  return centipede::test::run_benchmarks(argc, argv, "bench_xsk");
}
