// What each stage of the data plane costs a packet, alone and warm; then both pipelines without system calls (no AEAD,
// no uplink, and /dev/null for TUN); then the system calls, in a network namespace of this program's own (needs root).
// Arguments are bytes of the inner packet; a burst is 44 packets, as much as one segmented send takes of 1,400 bytes.
// The last column is the time for one packet, in seconds, and what has to be restored between bursts is not in it.
// `workers/...` runs on one thread and on two: where these share a cache line, two take longer each.
#include <benchmark/benchmark.h>
#include <centipede/frame.h>
#include <fcntl.h>
#include <netinet/udp.h>
#include <sched.h>

#include <chrono>
#include <functional>

#include "dataplane/checksum.h"
#include "dataplane/receive_pipeline.h"
#include "dataplane/send_pipeline.h"
#include "dataplane/tally.h"
#include "dataplane/udp_socket.h"
#include "measure.h"
#include "offload_packets.h"
#include "private_network.h"
#include "two_ends.h"

namespace centipede::test {
namespace {

constexpr size_t burst = 44;
constexpr size_t tun_mtu = 1420;

enum class Flow { tcp4, tcp6, udp4 };

// Packets of `bytes`, from end 0 to end 1, one behind the other in their flow.
struct Burst {
  PacketSpec spec;
  size_t payload;
  VirtioHeader super_packet_header;
  Packet super_packet;
  std::vector<Packet> packets;

  Burst(Flow flow, size_t bytes) {
    spec.v6 = flow == Flow::tcp6;
    spec.udp = flow == Flow::udp4;
    spec.df = true;
    if (!spec.udp && bytes > 72) spec.options = {1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8};  // timestamps
    payload = bytes - header_bytes(spec);
    std::mt19937 random(1);
    spec.payload = bytes_from(random, burst * payload);
    super_packet_header = super_header(spec, payload);
    super_packet = build(spec, false);
    packets = build_all(cut(spec, payload));
  }
};

// The burst as datagrams between the tunnel's ends, in one piece of memory like a coalesced train.
class Datagrams {
 public:
  explicit Datagrams(const Burst& inner) : stride_(CP_DATA_HEADER_SIZE + inner.packets[0].size()) {
    for (const Packet& packet : inner.packets) {
      Packet datagram(CP_DATA_HEADER_SIZE);
      datagram.insert(datagram.end(), packet.begin(), packet.end());
      original_.insert(original_.end(), datagram.begin(), datagram.end());
    }
    bytes_ = original_;
    for (size_t i = 0; i < burst; ++i)
      arrivals.push_back({.payload = Bytes(bytes_).subspan(i * stride_, stride_),
                          .uplink = 0,
                          .local = TwoEnds::outer(1).address,
                          .remote = TwoEnds::outer(0)});
  }
  // As they were, with numbers of their own.
  void renew() {
    std::ranges::copy(original_, bytes_.begin());
    for (const Arrival& one : arrivals)
      wire::write_data_header({.number = {.lane = 0, .counter = counter_++}, .sid = TwoEnds::sid(1)},
                              one.payload.data());
  }
  [[nodiscard]] Bytes inner(size_t index) const { return arrivals[index].payload.subspan(CP_DATA_HEADER_SIZE); }

  std::vector<Arrival> arrivals;

 private:
  size_t stride_;
  Packet original_;
  Packet bytes_;
  uint64_t counter_ = 0;
};

size_t size_of(const benchmark::State& state) {
  return static_cast<size_t>(state.range(0));
}

// Stages.

Packet outer_frame(bool v6) {
  PacketSpec spec{.v6 = v6, .udp = true, .destination_port = TwoEnds::first_port, .payload = Packet(1432)};
  Packet frame(CP_ETHERNET_SIZE);
  put16(frame, 12, v6 ? CP_ETHERTYPE_IPV6 : CP_ETHERTYPE_IPV4);
  const Packet packet = build(spec);
  frame.insert(frame.end(), packet.begin(), packet.end());
  return frame;
}

void parse_frame(benchmark::State& state, bool v6) {
  const Packet frame = outer_frame(v6);
  cp_frame parsed;
  measure(state, 1, [&] {
    const uint8_t* data = frame.data();
    benchmark::DoNotOptimize(data);
    benchmark::DoNotOptimize(cp_parse_frame(data, data + frame.size(), &parsed));
    benchmark::DoNotOptimize(parsed);
  });
}

void parse_header(benchmark::State& state) {
  Datagrams datagrams(Burst(Flow::tcp4, 64));
  datagrams.renew();
  measure(state, burst, [&] {
    for (const Arrival& one : datagrams.arrivals)
      benchmark::DoNotOptimize(wire::parse_data_header(one.payload));
  });
}

void session_table(benchmark::State& state) {
  std::mt19937_64 random(1);
  std::vector<ReceiveEntry> entries(size_of(state));
  for (ReceiveEntry& entry : entries)
    entry.sid = random();
  std::vector<wire::SessionId> wanted;
  for (size_t i = 0; i < 64; ++i)
    wanted.push_back(entries[random() % entries.size()].sid);
  const SessionTable table(entries);
  measure(state, wanted.size(), [&] {
    for (const wire::SessionId sid : wanted)
      benchmark::DoNotOptimize(table.find(sid));
  });
}

void route(benchmark::State& state, bool v6) {
  std::mt19937 random(1);
  control::AllowedIps table;
  std::vector<IpAddress> wanted;
  for (control::PeerId peer = 0; peer < size_of(state); ++peer) {
    Packet address = bytes_from(random, v6 ? 16 : 4);
    address[0] = v6 ? 0xfd : 10;
    wanted.push_back(v6 ? IpAddress::v6(address.data()) : IpAddress::v4(address.data()));
    (void)table.insert({wanted.back(), wanted.back().bits()}, peer);
  }
  wanted.resize(std::min<size_t>(wanted.size(), 64));
  measure(state, wanted.size(), [&] {
    for (const IpAddress& one : wanted)
      benchmark::DoNotOptimize(v6 ? table.lookup_v6(one.bytes().data()) : table.lookup_v4(one.bytes().data()));
  });
}

void inspect(benchmark::State& state, Flow flow) {
  const Burst inner(flow, 1400);
  measure(state, burst, [&] {
    for (const Packet& packet : inner.packets)
      benchmark::DoNotOptimize(inspect_ip(packet));
  });
}

void segment(benchmark::State& state, Flow flow) {
  const Burst inner(flow, size_of(state));
  Packet out(burst * tun_mtu);
  measure(state, burst, [&] {
    auto segmenter = Segmenter::start(inner.super_packet_header, inner.super_packet, tun_mtu);
    for (size_t at = 0; segmenter->remaining() > 0;)
      at += segmenter->next(Bytes(out).subspan(at));
    benchmark::ClobberMemory();
  });
}

void number(benchmark::State& state) {
  const TwoEnds ends;
  Datagrams datagrams(Burst(Flow::tcp4, 1400));
  crypto::Session& session = *ends.sessions[0];
  measure(state, burst, [&] {
    const uint64_t first = *session.take_counters(0, burst);
    for (size_t i = 0; i < burst; ++i)
      wire::write_data_header({.number = {.lane = 0, .counter = first + i}, .sid = session.peer_sid()},
                              datagrams.arrivals[i].payload.data());
    benchmark::ClobberMemory();
  });
}

void window(benchmark::State& state) {
  const TwoEnds ends;
  crypto::Window lane = ends.windows[1]->lane(0);
  uint64_t counter = 0;
  measure(state, burst, [&] {
    for (size_t i = 0; i < burst; ++i)
      benchmark::DoNotOptimize(lane.check(counter + i));
    for (size_t i = 0; i < burst; ++i)
      benchmark::DoNotOptimize(lane.commit(counter++));
  });
}

void coalesce(benchmark::State& state, Flow flow) {
  Datagrams datagrams(Burst(flow, size_of(state)));
  Coalescer coalescer(ReceivePipeline::max_batch, {.tcp = true, .udp = true});
  size_t written = 0;
  const auto prepare = [&] {
    datagrams.renew();
    coalescer.clear();
  };
  measure(state, burst, prepare, [&] {
    for (size_t i = 0; i < burst; ++i)
      benchmark::DoNotOptimize(coalescer.add(datagrams.inner(i)));
    written = coalescer.finish().size();
    benchmark::ClobberMemory();
  });
  if (written != 1) state.SkipWithError("the packets were not joined");
}

void counters(benchmark::State& state) {
  WorkerCounters tallies;
  control::PathCounters path(1);
  measure(state, 1, [&] {
    tally(tallies.opened);
    tally(tallies.delivered);
    control::add_relaxed(path.row(0).first_packets, 1);
    control::add_relaxed(path.row(0).first_bytes, 1432);
    benchmark::ClobberMemory();
  });
}

void checksum(benchmark::State& state, bool copy) {
  const Packet from(size_of(state), 7);
  Packet to(from.size());
  measure(state, 1, [&] {
    ConstBytes bytes = from;
    benchmark::DoNotOptimize(bytes);
    benchmark::DoNotOptimize(copy ? checksum_copy(to.data(), bytes) : checksum_sum(bytes));
    benchmark::ClobberMemory();
  });
}

// Pipelines.

void send_pipeline(benchmark::State& state, Flow flow, bool super_packets) {
  const TwoEnds ends;
  const Burst inner(flow, size_of(state));
  NoAead aead;
  WorkerCounters tallies;
  SendPipeline pipeline(0, tun_mtu, aead, tallies);
  const Plan& plan = *ends.plans[0];
  measure(state, burst, [&] {
    if (super_packets) {
      pipeline.packet(plan, inner.super_packet_header, inner.super_packet);
    } else {
      for (const Packet& packet : inner.packets)
        pipeline.packet(plan, {}, packet);
    }
    pipeline.flush(plan);
  });
  if (tallies.sealed != tallies.send_failed || tallies.sealed % burst != 0) state.SkipWithError("packets were refused");
}

void receive_pipeline(benchmark::State& state, Flow flow, CoalesceOptions options) {
  const TwoEnds ends;
  Datagrams datagrams(Burst(flow, size_of(state)));
  NoAead aead;
  WorkerCounters tallies;
  ControlMailbox mailbox(WakeUp::create().value());
  const FileDescriptor sink(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  ReceivePipeline pipeline(0, aead, TunQueue(sink.get()), options, mailbox, tallies);
  measure(state, burst, [&] { datagrams.renew(); }, [&] { pipeline.process(*ends.plans[1], datagrams.arrivals); });
  if (tallies.delivered != burst * static_cast<uint64_t>(state.iterations()))
    state.SkipWithError("packets were refused");
}

// To subtract from receive_pipeline: the same chains, and nothing but the system calls.
void write_to_null(benchmark::State& state, Flow flow, CoalesceOptions options) {
  Datagrams datagrams(Burst(flow, size_of(state)));
  Coalescer coalescer(ReceivePipeline::max_batch, options);
  const FileDescriptor sink(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  const TunQueue queue(sink.get());
  for (size_t i = 0; i < burst; ++i)
    (void)coalescer.add(datagrams.inner(i));
  const auto packets = coalescer.finish();
  measure(state, burst, [&] {
    for (const CoalescedPacket& one : packets)
      benchmark::DoNotOptimize(queue.write(one.chain));
  });
}

// What workers write at the same time.

void workers_number(benchmark::State& state) {
  static const crypto::Session session(1, wire::Params{.lanes = 2}, {.peer_sid = 2, .peer_params = {.lanes = 2}});
  auto& shared = const_cast<crypto::Session&>(session);
  for (auto _ : state)
    benchmark::DoNotOptimize(shared.take_counters(static_cast<uint8_t>(state.thread_index()), 1));
}

void workers_path_counters(benchmark::State& state) {
  static control::PathCounters path(2);
  control::PathCounters::Row& row = path.row(static_cast<size_t>(state.thread_index()));
  for (auto _ : state) {
    control::add_relaxed(row.sent_packets, 1);
    benchmark::ClobberMemory();
  }
}

void workers_window(benchmark::State& state) {
  static std::vector<uint64_t> memory(4096);
  static WindowPool pool(memory);
  static const auto windows = pool.allocate(2, 1024);
  crypto::Window lane = windows->lane(static_cast<uint32_t>(state.thread_index()));
  static std::array<std::array<uint64_t, 8>, 2> counters;
  uint64_t& counter = counters[static_cast<size_t>(state.thread_index())][0];
  for (auto _ : state)
    benchmark::DoNotOptimize(lane.commit(counter++));
}

// For comparison: two counters in one line.
void workers_on_one_line(benchmark::State& state) {
  alignas(64) static std::array<uint64_t, 2> counters{};
  for (auto _ : state) {
    tally(counters[static_cast<size_t>(state.thread_index())]);
    benchmark::ClobberMemory();
  }
}

// System calls.

class Sockets {
 public:
  Sockets() {
    set_up("lo");
    auto tun = Tun::create("bench0", 1);
    if (!tun) return;
    tun_.emplace(std::move(*tun));
    set_up("bench0", tun_mtu);
    add_address("bench0", *Prefix::parse("10.9.0.1/24"));
    for (size_t end = 0; end < 2; ++end) {
      auto socket = UdpSocket::open(
          {.port = TwoEnds::outer(end).port, .receive_buffer_bytes = 4 << 20, .send_buffer_bytes = 4 << 20});
      if (!socket) return;
      sockets_.push_back(std::move(*socket));
    }
    ready_ = true;
  }
  // The namespace is this program's own from here on.
  static Sockets* get() {
    static const bool isolated = ::unshare(CLONE_NEWNET) == 0;
    static const auto sockets = isolated ? std::make_unique<Sockets>() : nullptr;
    return sockets && sockets->ready_ ? sockets.get() : nullptr;
  }

  [[nodiscard]] TunQueue tun() const { return tun_->queue(0); }
  [[nodiscard]] bool takes_udp_segments() const { return tun_->takes_udp_segments(); }
  [[nodiscard]] const UdpSocket& end(size_t index) const { return sockets_[index]; }
  void drain_tun() {
    while (tun().read(buffer_).value_or(0) > 0)
      continue;
  }
  Bytes buffer() { return buffer_; }

 private:
  std::optional<Tun> tun_;
  std::vector<UdpSocket> sockets_;
  Packet buffer_ = Packet(tun_buffer_bytes);
  bool ready_ = false;
};

// What waits at the socket, up to the size of the batch.
std::span<const ReceivedDatagram> take(const UdpSocket& socket, UdpReceiveBatch& batch) {
  const auto received = socket.receive(batch);
  return received ? *received : std::span<const ReceivedDatagram>();
}

// A burst from one UDP socket to `remote`, in one segmented send or datagram by datagram.
void send_burst(const UdpSocket& socket, const Endpoint& remote, ConstBytes bytes, size_t size, bool train) {
  if (train) {
    (void)socket.send(remote, {}, bytes, static_cast<uint16_t>(size));
    return;
  }
  for (size_t at = 0; at < bytes.size(); at += size)
    (void)socket.send(remote, {}, bytes.subspan(at, size));
}

constexpr uint16_t inner_port = 7777;

void tun_read(benchmark::State& state, bool super_packets) {
  Sockets* const sockets = Sockets::get();
  if (sockets == nullptr) return state.SkipWithError("needs root");
  const Endpoint behind{*IpAddress::parse("10.9.0.2"), inner_port};
  const size_t payload = size_of(state) - 28;
  const Packet bytes(burst * payload);
  size_t reads = 0;
  const auto prepare = [&] {
    sockets->drain_tun();
    send_burst(sockets->end(0), behind, bytes, payload, super_packets);
    reads = 0;
  };
  measure(state, burst, prepare, [&] {
    while (sockets->tun().read(sockets->buffer()).value_or(0) > 0)
      ++reads;
  });
  if (reads != (super_packets ? 1 : burst)) state.SkipWithError("other packets were read");
}

// As far as the socket of an application, which takes super-packets whole.
void tun_write(benchmark::State& state, bool super_packets) {
  Sockets* const sockets = Sockets::get();
  if (sockets == nullptr) return state.SkipWithError("needs root");
  if (super_packets && !sockets->takes_udp_segments()) return state.SkipWithError("kernel without USO");
  const auto application = UdpSocket::open({.port = inner_port, .receive_buffer_bytes = 4 << 20});
  if (!application) return state.SkipWithError(application.error().text.c_str());
  PacketSpec spec{.udp = true, .destination_port = inner_port};
  spec.payload.resize(burst * (size_of(state) - 28));
  std::vector<Packet> packets =
      super_packets ? std::vector<Packet>{build(spec, false)} : build_all(cut(spec, size_of(state) - 28));
  for (Packet& one : packets)  // from 10.9.0.2 to 10.9.0.1, which changes no checksum
    std::swap(one[15], one[19]);
  const VirtioHeader header = super_packets ? super_header(spec, size_of(state) - 28) : VirtioHeader{};
  UdpReceiveBatch batch(std::vector<Bytes>(1, sockets->buffer()));
  size_t received = 0;
  size_t written = 0;
  const auto prepare = [&] {
    while (!take(*application, batch).empty())
      ++received;
    sockets->drain_tun();
  };
  measure(state, burst, prepare, [&] {
    for (const Packet& one : packets)
      written += sockets->tun().write(header, one).status == TunWriteStatus::written ? 1 : 0;
  });
  prepare();
  if (received == 0 || written % packets.size() != 0) state.SkipWithError("packets were refused");
}

// Into the queue of a TUN device: the network stack without a receiver.
void udp_send(benchmark::State& state, bool train) {
  Sockets* const sockets = Sockets::get();
  if (sockets == nullptr) return state.SkipWithError("needs root");
  const Endpoint behind{*IpAddress::parse("10.9.0.2"), TwoEnds::first_port};
  const size_t size = CP_DATA_HEADER_SIZE + size_of(state);
  const Packet bytes(burst * size);
  measure(
      state, burst, [&] { sockets->drain_tun(); }, [&] { send_burst(sockets->end(0), behind, bytes, size, train); });
}

void udp_receive(benchmark::State& state, bool train) {
  Sockets* const sockets = Sockets::get();
  if (sockets == nullptr) return state.SkipWithError("needs root");
  const size_t size = CP_DATA_HEADER_SIZE + size_of(state);
  const Packet bytes(burst * size);
  constexpr size_t buffers = 16;  // as in a worker
  std::vector<Packet> memory(buffers, Packet(65536));
  UdpReceiveBatch batch(std::vector<Bytes>(memory.begin(), memory.end()));
  size_t got = 0;
  const auto prepare = [&] {
    while (!take(sockets->end(1), batch).empty())
      continue;
    send_burst(sockets->end(0), TwoEnds::outer(1), bytes, size, train);
    got = 0;
  };
  measure(state, burst, prepare, [&] {
    while (got < bytes.size()) {
      const auto received = take(sockets->end(1), batch);
      if (received.empty()) break;
      for (const ReceivedDatagram& one : received)
        got += one.bytes.size();
    }
  });
  if (got != bytes.size()) state.SkipWithError("datagrams were lost");
}

void sizes(benchmark::internal::Benchmark* bench) {
  bench->Arg(64)->Arg(1400);
  fastest(bench);
}
void sizes_restored(benchmark::internal::Benchmark* bench) {
  bench->UseManualTime();
  sizes(bench);
}
void on_one_and_two_threads(benchmark::internal::Benchmark* bench) {
  bench->Threads(1)->Threads(2)->UseRealTime();
}

constexpr CoalesceOptions joined{.tcp = true, .udp = true};
constexpr CoalesceOptions singly{.tcp = false, .udp = false};

BENCHMARK_CAPTURE(parse_frame, v4, false)->Apply(fastest);
BENCHMARK_CAPTURE(parse_frame, v6, true)->Apply(fastest);
BENCHMARK(parse_header)->Apply(fastest);
BENCHMARK(session_table)->Arg(1)->Arg(1000)->Apply(fastest);
BENCHMARK_CAPTURE(route, v4, false)->Arg(1)->Arg(1000)->Apply(fastest);
BENCHMARK_CAPTURE(route, v6, true)->Arg(1)->Arg(1000)->Apply(fastest);
BENCHMARK_CAPTURE(inspect, v4, Flow::tcp4)->Apply(fastest);
BENCHMARK_CAPTURE(inspect, v6, Flow::tcp6)->Apply(fastest);
BENCHMARK_CAPTURE(segment, tcp4, Flow::tcp4)->Apply(sizes);
BENCHMARK_CAPTURE(segment, tcp6, Flow::tcp6)->Arg(1400)->Apply(fastest);
BENCHMARK_CAPTURE(segment, udp4, Flow::udp4)->Apply(sizes);
BENCHMARK(number)->Apply(fastest);
BENCHMARK(window)->Apply(fastest);
BENCHMARK_CAPTURE(coalesce, tcp4, Flow::tcp4)->Apply(sizes_restored);
BENCHMARK_CAPTURE(coalesce, tcp6, Flow::tcp6)->Arg(1400)->UseManualTime()->Apply(fastest);
BENCHMARK_CAPTURE(coalesce, udp4, Flow::udp4)->Apply(sizes_restored);
BENCHMARK(counters)->Apply(fastest);
BENCHMARK_CAPTURE(checksum, sum, false)->Arg(20)->Apply(sizes);
BENCHMARK_CAPTURE(checksum, copy, true)->Arg(20)->Apply(sizes);

BENCHMARK_CAPTURE(send_pipeline, tcp4, Flow::tcp4, true)->Apply(sizes);
BENCHMARK_CAPTURE(send_pipeline, tcp6, Flow::tcp6, true)->Arg(1400)->Apply(fastest);
BENCHMARK_CAPTURE(send_pipeline, udp4, Flow::udp4, true)->Apply(sizes);
BENCHMARK_CAPTURE(send_pipeline, single, Flow::udp4, false)->Apply(sizes);
BENCHMARK_CAPTURE(receive_pipeline, tcp4, Flow::tcp4, joined)->Apply(sizes_restored);
BENCHMARK_CAPTURE(receive_pipeline, tcp6, Flow::tcp6, joined)->Arg(1400)->UseManualTime()->Apply(fastest);
BENCHMARK_CAPTURE(receive_pipeline, udp4, Flow::udp4, joined)->Apply(sizes_restored);
BENCHMARK_CAPTURE(receive_pipeline, single, Flow::udp4, singly)->Apply(sizes_restored);
BENCHMARK_CAPTURE(write_to_null, joined, Flow::tcp4, joined)->Apply(sizes);
BENCHMARK_CAPTURE(write_to_null, single, Flow::udp4, singly)->Apply(sizes);

BENCHMARK(workers_number)->Name("workers/number")->Apply(on_one_and_two_threads);
BENCHMARK(workers_path_counters)->Name("workers/path_counters")->Apply(on_one_and_two_threads);
BENCHMARK(workers_window)->Name("workers/window")->Apply(on_one_and_two_threads);
BENCHMARK(workers_on_one_line)->Name("workers/on_one_line_for_comparison")->Apply(on_one_and_two_threads);

BENCHMARK_CAPTURE(tun_read, super, true)->Apply(sizes_restored);
BENCHMARK_CAPTURE(tun_read, single, false)->Apply(sizes_restored);
BENCHMARK_CAPTURE(tun_write, super, true)->Apply(sizes_restored);
BENCHMARK_CAPTURE(tun_write, single, false)->Apply(sizes_restored);
BENCHMARK_CAPTURE(udp_send, train, true)->Apply(sizes_restored);
BENCHMARK_CAPTURE(udp_send, single, false)->Apply(sizes_restored);
BENCHMARK_CAPTURE(udp_receive, train, true)->Apply(sizes_restored);
BENCHMARK_CAPTURE(udp_receive, single, false)->Apply(sizes_restored);

}  // namespace
}  // namespace centipede::test
