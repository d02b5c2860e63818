// What the number of peers costs a packet, and what a change of one peer costs the control thread. Arguments: peers,
// and how many of them have traffic; those take turns, `burst` packets each. Sending stops before the system call
// (there is no uplink), receiving writes to /dev/null. Without encryption (null) all of it is ours; with it (aead) the
// figures are those of a packet's whole way.
#include <benchmark/benchmark.h>
#include <fcntl.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <random>
#include <vector>

#include "base/file_descriptor.h"
#include "control/controller.h"
#include "dataplane/receive_pipeline.h"
#include "dataplane/receive_sessions.h"
#include "dataplane/send_pipeline.h"
#include "measure.h"
#include "two_ends.h"
#include "wire/message.h"

namespace centipede {
namespace {

constexpr size_t inner_bytes = 1400;
constexpr size_t packets_a_turn = 4096;

std::unique_ptr<crypto::AeadProvider> provider(bool encrypts) {
  if (encrypts) return std::move(*crypto::make_aead(crypto::AeadChoice::automatic));
  return std::make_unique<test::NoAead>();
}

std::array<uint8_t, 4> address_of(size_t peer) {
  return {10, 64, static_cast<uint8_t>(peer >> 8), static_cast<uint8_t>(peer)};
}

// A gateway with so many peers, all in session over one path.
struct Gateway {
  explicit Gateway(size_t peers) : memory(WindowMemory::reserve(peers * 1024).value()), pool(memory.words()) {
    (void)crypto::initialise();
    std::mt19937_64 random(1);
    auto routes = std::make_shared<control::AllowedIps>();
    for (control::PeerId id = 0; id < peers; ++id) {
      (void)routes->insert({IpAddress::v4(address_of(id).data()), 32}, id);
      // Both directions under one key, so that what is sealed here can be opened here.
      crypto::Established established{.peer_sid = random() | 1, .peer_params = {.lanes = 1}};
      auto session = std::make_shared<crypto::Session>(established.peer_sid, wire::Params{}, std::move(established));
      auto peer = std::make_shared<control::PeerForwarding>();
      peer->id = id;
      peer->send_session = session;
      peer->paths.push_back({.id = 1,
                             .remote = {IpAddress::v4(address_of(id).data()), 5820},
                             .counters = std::make_shared<control::PathCounters>(1)});
      peer->send_paths = peer->paths;
      plan.forwarding.peers.push_back(peer);
      plan.sessions.insert(
          {.sid = session->local_sid(), .peer = id, .session = session, .windows = pool.allocate(1, 1024)});
    }
    plan.forwarding.routes = routes;
  }

  WindowMemory memory;
  WindowPool pool;
  Plan plan;
};

// From the peer's address, to it.
void write_inner(uint8_t* packet, size_t peer) {
  packet[0] = 0x45;
  store_be(packet + 2, static_cast<uint16_t>(inner_bytes));
  packet[8] = 64;
  packet[9] = 253;
  std::ranges::copy(address_of(peer), packet + 12);
  std::ranges::copy(address_of(peer), packet + 16);
}

// Whose packet the n-th is: peers take turns in an order that no prefetcher knows.
std::vector<uint32_t> turns(size_t peers, size_t active, size_t burst) {
  std::vector<uint32_t> order(peers);
  for (uint32_t i = 0; i < peers; ++i)
    order[i] = i;
  std::ranges::shuffle(order, std::mt19937(2));
  std::vector<uint32_t> whose;
  for (size_t i = 0; whose.size() < std::max(packets_a_turn, active * burst); i = (i + 1) % active)
    whose.insert(whose.end(), burst, order[i]);
  return whose;
}

// Inner address → peer, and what the pipeline reads of it.
void BM_Destination(benchmark::State& state) {
  const Gateway gateway(static_cast<size_t>(state.range(0)));
  const auto whose = turns(static_cast<size_t>(state.range(0)), static_cast<size_t>(state.range(1)), 1);
  for (auto _ : state) {
    for (const uint32_t peer : whose) {
      const auto id = gateway.plan.forwarding.routes->lookup_v4(address_of(peer).data());
      const control::PeerForwarding* found = gateway.plan.peer(*id);
      benchmark::DoNotOptimize(found->send_session.get());
      benchmark::DoNotOptimize(found->send_paths.data());
    }
  }
  test::a_packet(state, whose.size());
}

void BM_FindSession(benchmark::State& state) {
  const Gateway gateway(static_cast<size_t>(state.range(0)));
  const auto whose = turns(static_cast<size_t>(state.range(0)), static_cast<size_t>(state.range(1)), 1);
  std::vector<wire::SessionId> sids;
  for (const uint32_t peer : whose)
    sids.push_back(gateway.plan.peer(peer)->send_session->local_sid());
  for (auto _ : state) {
    for (const wire::SessionId sid : sids) {
      const ReceiveEntry* entry = gateway.plan.sessions.find(sid);
      benchmark::DoNotOptimize(entry->windows.get());
    }
  }
  test::a_packet(state, whose.size());
}

void send(benchmark::State& state, bool encrypts) {
  const Gateway gateway(static_cast<size_t>(state.range(0)));
  const auto burst = static_cast<size_t>(state.range(2));
  const auto whose = turns(static_cast<size_t>(state.range(0)), static_cast<size_t>(state.range(1)), burst);
  const auto aead = provider(encrypts);
  WorkerCounters counters;
  SendPipeline pipeline(0, 1420, *aead, counters);
  std::array<uint8_t, inner_bytes> packet{};
  for (auto _ : state) {
    for (size_t i = 0; i < whose.size(); ++i) {
      write_inner(packet.data(), whose[i]);
      pipeline.packet(gateway.plan, {}, packet);
      if ((i + 1) % burst == 0) pipeline.flush(gateway.plan);
    }
  }
  if (counters.sealed == 0 || counters.sent + counters.send_failed != counters.sealed) state.SkipWithError("not sent");
  test::a_packet(state, whose.size());
}

void receive(benchmark::State& state, bool encrypts) {
  const Gateway gateway(static_cast<size_t>(state.range(0)));
  const auto burst = static_cast<size_t>(state.range(2));
  auto whose = turns(static_cast<size_t>(state.range(0)), static_cast<size_t>(state.range(1)), burst);
  const auto aead = provider(encrypts);
  WorkerCounters counters;
  ControlMailbox mailbox(WakeUp::create().value());
  const FileDescriptor sink(open("/dev/null", O_WRONLY | O_CLOEXEC));
  ReceivePipeline pipeline(0, *aead, TunQueue(sink.get()), {}, mailbox, counters);
  std::vector<uint8_t> buffer(burst * 128 * (CP_DATA_HEADER_SIZE + inner_bytes));
  std::vector<Arrival> arrivals;
  // One receive of a worker: whatever burst is, the bursts of as many peers as fit into a batch.
  const size_t batch = ReceivePipeline::max_batch / burst * burst;
  whose.resize(whose.size() / batch * batch);
  size_t at = 0;
  for (auto _ : state) {
    arrivals.clear();
    for (size_t i = 0; i < batch; ++i, at = (at + 1) % whose.size()) {
      const control::PeerForwarding& peer = *gateway.plan.peer(whose[at]);
      const Bytes datagram =
          Bytes(buffer).subspan(i * (CP_DATA_HEADER_SIZE + inner_bytes), CP_DATA_HEADER_SIZE + inner_bytes);
      const uint64_t counter = *peer.send_session->take_counters(0, 1);
      wire::write_data_header({.number = {.lane = 0, .counter = counter}, .sid = peer.send_session->local_sid()},
                              datagram.data());
      write_inner(datagram.data() + CP_DATA_HEADER_SIZE, whose[at]);
      crypto::AeadJob job{.packet = datagram.data(), .payload_size = inner_bytes};
      aead->seal(peer.send_session->send_key(), {&job, 1});
      arrivals.push_back({.payload = datagram, .remote = peer.paths[0].remote});
    }
    const auto begin = std::chrono::steady_clock::now();
    pipeline.process(gateway.plan, arrivals);
    state.SetIterationTime(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  if (counters.delivered == 0 || counters.delivered != counters.opened || counters.unknown_session != 0)
    state.SkipWithError("not delivered");
  test::a_packet(state, batch);
}

void BM_Send_null(benchmark::State& state) {
  send(state, false);
}
void BM_Send_aead(benchmark::State& state) {
  send(state, true);
}
void BM_Receive_null(benchmark::State& state) {
  receive(state, false);
}
void BM_Receive_aead(benchmark::State& state) {
  receive(state, true);
}

// A handshake of one among many peers in session: its old session goes, a new one comes, its row of the plan is made
// anew, the plan is published, and a worker lets go of the one before.
void BM_Publish(benchmark::State& state) {
  const auto peers = static_cast<control::PeerId>(state.range(0));
  Gateway gateway(peers);
  PlanBoard board;
  std::shared_ptr<const Plan> of_the_worker;
  std::mt19937_64 random(3);
  for (auto _ : state) {
    const auto id = static_cast<control::PeerId>(random() % peers);
    const control::PeerForwarding& peer = *gateway.plan.peer(id);
    const ReceiveEntry entry = *gateway.plan.sessions.find(peer.send_session->local_sid());
    gateway.plan.sessions.erase(entry.sid);
    gateway.plan.sessions.insert(entry);
    gateway.plan.forwarding.peers.set(id, std::make_shared<control::PeerForwarding>(peer));
    board.publish(std::make_shared<Plan>(gateway.plan));
    of_the_worker = board.current();
  }
}

// peers, active, burst
#define CENTIPEDE_PEERS                  \
  ArgNames({"peers", "active", "burst"}) \
      ->Args({1, 1, 32})                 \
      ->Args({100, 1, 32})               \
      ->Args({10000, 1, 32})             \
      ->Args({100, 100, 32})             \
      ->Args({10000, 10000, 32})         \
      ->Args({1, 1, 1})                  \
      ->Args({100, 100, 1})              \
      ->Args({10000, 10000, 1})
#define CENTIPEDE_LOOKUPS \
  ArgNames({"peers", "active"})->Args({1, 1})->Args({100, 1})->Args({10000, 1})->Args({100, 100})->Args({10000, 10000})
BENCHMARK(BM_Destination)->CENTIPEDE_LOOKUPS;
BENCHMARK(BM_FindSession)->CENTIPEDE_LOOKUPS;
BENCHMARK(BM_Send_null)->CENTIPEDE_PEERS;
BENCHMARK(BM_Send_aead)->CENTIPEDE_PEERS;
BENCHMARK(BM_Receive_null)->CENTIPEDE_PEERS->UseManualTime();
BENCHMARK(BM_Receive_aead)->CENTIPEDE_PEERS->UseManualTime();
BENCHMARK(BM_Publish)->ArgName("peers")->Arg(1)->Arg(100)->Arg(10000);

}  // namespace
}  // namespace centipede
