// The packet path allocates nothing and takes no lock: functions of the C library that do are replaced in this binary
// by ones that count, and two workers exchange 100,000 packets. Sanitizers replace the same functions, so there is
// nothing of this in their builds.
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define CENTIPEDE_SANITIZED 1
#endif
#endif
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(CENTIPEDE_SANITIZED)

#include <dlfcn.h>
#include <pthread.h>
#include <sys/socket.h>

#include <atomic>
#include <mutex>
#include <new>
#include <shared_mutex>

#include "dataplane/receive_pipeline.h"
#include "dataplane/send_pipeline.h"
#include "dataplane/udp_socket.h"
#include "dataplane/worker.h"
#include "offload_packets.h"
#include "private_network.h"
#include "two_ends.h"

namespace {

std::atomic<bool> counting = false;
std::atomic<uint64_t> allocations = 0;
std::atomic<uint64_t> locks = 0;
thread_local bool exempt = false;

void count(std::atomic<uint64_t>& calls) {
  if (counting.load(std::memory_order_relaxed) && !exempt) calls.fetch_add(1, std::memory_order_relaxed);
}

// The function of this name that would have been called.
template <class Function>
Function* next(std::atomic<Function*>& found, const char* name) {
  Function* function = found.load(std::memory_order_relaxed);
  if (function == nullptr) {
    function = reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
    found.store(function, std::memory_order_relaxed);
  }
  return function;
}

}  // namespace

#define CENTIPEDE_COUNTED_LOCK(name, argument)                       \
  int name(argument* lock) noexcept {                                \
    static constinit std::atomic<int (*)(argument*)> found{nullptr}; \
    count(locks);                                                    \
    return next<int(argument*)>(found, #name)(lock);                 \
  }

extern "C" {

// dlsym() may allocate, so these are called by their second names.
void* libc_malloc(size_t bytes) asm("__libc_malloc");
void* libc_calloc(size_t number, size_t bytes) asm("__libc_calloc");
void* libc_realloc(void* memory, size_t bytes) asm("__libc_realloc");
void* libc_memalign(size_t alignment, size_t bytes) asm("__libc_memalign");

void* malloc(size_t bytes) noexcept {
  count(allocations);
  return libc_malloc(bytes);
}
void* calloc(size_t number, size_t bytes) noexcept {
  count(allocations);
  return libc_calloc(number, bytes);
}
void* realloc(void* memory, size_t bytes) noexcept {
  count(allocations);
  return libc_realloc(memory, bytes);
}
void* aligned_alloc(size_t alignment, size_t bytes) noexcept {
  count(allocations);
  return libc_memalign(alignment, bytes);
}
int posix_memalign(void** memory, size_t alignment, size_t bytes) noexcept {
  count(allocations);
  *memory = libc_memalign(alignment, bytes);
  return *memory == nullptr ? ENOMEM : 0;
}

CENTIPEDE_COUNTED_LOCK(pthread_mutex_lock, pthread_mutex_t)
CENTIPEDE_COUNTED_LOCK(pthread_mutex_trylock, pthread_mutex_t)
CENTIPEDE_COUNTED_LOCK(pthread_rwlock_rdlock, pthread_rwlock_t)
CENTIPEDE_COUNTED_LOCK(pthread_rwlock_wrlock, pthread_rwlock_t)
CENTIPEDE_COUNTED_LOCK(pthread_spin_lock, volatile int)
}

namespace centipede::test {
namespace {

// What threads that are not exempt do while it lives.
class Counting {
 public:
  Counting() {
    allocations = 0;
    locks = 0;
    counting = true;
  }
  ~Counting() { counting = false; }
  Counting(const Counting&) = delete;
  Counting& operator=(const Counting&) = delete;
};

TEST(PerPacket, AllocationsAndLocksAreSeenByTheCounts) {
  std::mutex mutex;
  std::shared_mutex shared_mutex;
  {
    const Counting counts;
    const std::scoped_lock lock(mutex);
    const std::scoped_lock exclusive(shared_mutex);
    // A call of the operator, unlike a new-expression, may not be left out.
    ::operator delete(::operator new(100));
    ::operator delete(::operator new(100, std::align_val_t(64)), std::align_val_t(64));
  }
  EXPECT_EQ(locks, 2U);
  EXPECT_EQ(allocations, 2U);
}

constexpr size_t tun_mtu = 1420;

struct Inner {
  VirtioHeader header;
  Packet packet;
};

// One of each kind that applications send, from end `from`: super-packets and single ones.
std::vector<Inner> inner_packets(size_t from) {
  std::mt19937 random(static_cast<unsigned>(from));
  std::vector<Inner> out;
  for (const bool v6 : {false, true}) {
    for (const bool udp : {false, true}) {
      PacketSpec spec;
      spec.v6 = v6;
      spec.udp = udp;
      spec.df = true;
      spec.payload = bytes_from(random, 40 * 1300);
      out.push_back({super_header(spec, 1300), build(spec, false)});
      for (const size_t bytes : {0U, 24U, 1300U}) {
        spec.payload.resize(bytes);
        spec.source_port++;
        out.push_back({{}, build(spec)});
      }
    }
  }
  if (from == 0) return out;
  for (Inner& one : out) {  // the addresses the other way round, which changes no checksum
    const bool v6 = one.packet[0] >> 4 == 6;
    const auto source = one.packet.begin() + (v6 ? 8 : 12);
    std::swap_ranges(source, source + (v6 ? 16 : 4), source + (v6 ? 16 : 4));
  }
  return out;
}

size_t segments_in(const std::vector<Inner>& packets) {
  size_t count = 0;
  for (const Inner& one : packets)
    count += std::max<size_t>(1, segments_of(one.header, one.packet, tun_mtu).size());
  return count;
}

// The kernel's end of a TUN queue, played by a socket that keeps records apart.
struct TunEnds {
  FileDescriptor worker;
  FileDescriptor kernel;

  TunEnds() {
    int fds[2] = {-1, -1};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    worker.reset(fds[0]);
    kernel.reset(fds[1]);
    const int room = 4 << 20;
    for (const int fd : fds)
      EXPECT_EQ(::setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room), 0);
  }
  void send(const Inner& one) const {
    const TunQueue queue(kernel.get());
    ASSERT_EQ(queue.write(one.header, one.packet).status, TunWriteStatus::written);
  }
  void drain(Bytes buffer) const {
    while (::recv(kernel.get(), buffer.data(), buffer.size(), 0) > 0)
      continue;
  }
};

std::shared_ptr<UplinkIo> loopback_uplink(size_t end) {
  auto uplink = UplinkIo::open({.link = {.ifindex = static_cast<int>(::if_nametoindex("lo")), .name = "lo"},
                                .port = TwoEnds::outer(end).port,
                                .mode = ReceiveMode::udp});
  EXPECT_TRUE(uplink) << uplink.error().text;
  return uplink ? *uplink : nullptr;
}

// A worker at one end, with all that it borrows.
struct End {
  TunEnds tun;
  PlanBoard board;
  ControlMailbox mailbox{WakeUp::create().value()};
  std::unique_ptr<Worker> worker;

  End(const TwoEnds& ends, size_t index) {
    ends.plans[index]->uplinks[0] = loopback_uplink(index);
    board.publish(ends.plans[index]);
  }
  void start() {
    auto started = Worker::start({.mtu = tun_mtu,
                                  .tun = TunQueue(tun.worker.get()),
                                  .offloads = {.tcp = true, .udp = true},
                                  .board = board,
                                  .control = mailbox,
                                  .failed = [](const Error& error) { ADD_FAILURE() << error.text; }});
    ASSERT_TRUE(started) << started.error().text;
    worker = std::move(*started);
  }
};

TEST(PerPacket, TwoWorkersThatExchange100000PacketsAllocateNothingAndTakeNoLock) {
  in_private_network([] {
    exempt = true;
    set_up("lo");
    const TwoEnds ends;
    std::array<End, 2> both{End(ends, 0), End(ends, 1)};
    for (End& end : both)
      end.start();
    const std::array traffic{inner_packets(0), inner_packets(1)};
    const size_t packets_a_round = segments_in(traffic[0]);
    Packet buffer(tun_buffer_bytes);
    const auto exchange = [&](size_t packets) {
      for (size_t sent = 0; sent < packets; sent += 2 * packets_a_round) {
        std::array<uint64_t, 2> wanted{};
        for (size_t i = 0; i < 2; ++i) {
          wanted[i] = both[i].worker->counters().delivered + packets_a_round;
          for (const Inner& one : traffic[1 - i])
            both[1 - i].tun.send(one);
        }
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
        for (size_t i = 0; i < 2; ++i) {
          while (both[i].worker->counters().delivered < wanted[i]) {
            ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "what was sent did not arrive";
            both[i].tun.drain(buffer);
            std::this_thread::yield();
          }
          both[i].tun.drain(buffer);
        }
      }
    };
    exchange(5'000);
    const uint64_t before = both[0].worker->counters().delivered + both[1].worker->counters().delivered;
    {
      const Counting counts;
      exchange(100'000);
    }
    const uint64_t after = both[0].worker->counters().delivered + both[1].worker->counters().delivered;
    EXPECT_GE(after - before, 100'000U);
    EXPECT_EQ(allocations, 0U);
    EXPECT_EQ(locks, 0U);
  });
}

// What anybody may send: copies, forgeries, packets of no session, of no lane, too old.
TEST(PerPacket, RefusingPacketsAllocatesNothingAndTakesNoLock) {
  const TwoEnds ends;
  const auto aead = crypto::make_aead(crypto::AeadChoice::automatic).value();
  ControlMailbox mailbox{WakeUp::create().value()};
  WorkerCounters counters;
  const TunEnds tun;
  ReceivePipeline pipeline(0, *aead, TunQueue(tun.worker.get()), {}, mailbox, counters);
  const Packet plaintext = build(PacketSpec{.host = 1, .payload = Packet(1000)});
  const auto datagram = [&](wire::PacketNumber number, wire::SessionId sid) {
    Packet out(CP_DATA_HEADER_SIZE);
    out.insert(out.end(), plaintext.begin(), plaintext.end());
    wire::write_data_header({.number = number, .sid = sid}, out.data());
    crypto::AeadJob job{.packet = out.data(), .payload_size = plaintext.size()};
    aead->seal(ends.sessions[0]->send_key(), {&job, 1});
    return out;
  };
  const uint64_t far = uint64_t{TwoEnds::window_words} * CP_WINDOW_WORD_BITS;
  std::vector<Packet> kinds{datagram({0, far + 7}, TwoEnds::sid(1)), datagram({0, far + 8}, TwoEnds::sid(1)),
                            datagram({0, 7}, TwoEnds::sid(1)),       datagram({5, 7}, TwoEnds::sid(1)),
                            datagram({0, 7}, TwoEnds::sid(1) + 9),   datagram({0, CP_COUNTER_LIMIT}, TwoEnds::sid(1))};
  kinds[1][CP_OFFSET_TAG] ^= 1;
  std::vector<Packet> copies = kinds;
  std::vector<Arrival> arrivals(kinds.size());
  const auto run = [&](int rounds) {
    for (int round = 0; round < rounds; ++round) {
      for (size_t i = 0; i < kinds.size(); ++i) {
        std::ranges::copy(kinds[i], copies[i].begin());
        arrivals[i] = {.payload = copies[i], .remote = TwoEnds::outer(0)};
      }
      pipeline.process(*ends.plans[1], arrivals);
    }
  };
  run(1);
  {
    const Counting counts;
    run(20'000);
  }
  EXPECT_EQ(allocations, 0U);
  EXPECT_EQ(locks, 0U);
  EXPECT_EQ(counters.delivered, 1U);
  for (const uint64_t each : {counters.duplicate, counters.bad_tag, counters.too_old, counters.bad_lane,
                              counters.unknown_session, counters.bad_counter})
    EXPECT_GE(each, 20'000U);
}

// Several reads a loop: what waits in the queue when the worker looks is sealed and sent together.
TEST(PerPacket, PacketsThatWaitInTheTunQueueLeaveInOneTrain) {
  in_private_network([] {
    set_up("lo");
    const TwoEnds ends;
    End end(ends, 0);
    const auto receiver = UdpSocket::open({.uplink = "lo", .port = TwoEnds::outer(1).port}).value();
    const Inner one{{}, build(PacketSpec{.host = 1, .payload = Packet(100)})};
    constexpr size_t packets = 40;
    for (size_t i = 0; i < packets; ++i)
      end.tun.send(one);
    end.start();
    Packet buffer(65536);
    const Bytes view(buffer);
    UdpReceiveBatch batch({&view, 1});
    ASSERT_TRUE(readable_within(receiver.fd(), 5000));
    const auto received = receiver.receive(batch);
    ASSERT_TRUE(received);
    ASSERT_EQ(received->size(), 1U);
    const size_t segment = CP_DATA_HEADER_SIZE + one.packet.size();
    EXPECT_EQ((*received)[0].segment_size, segment);
    EXPECT_EQ((*received)[0].bytes.size(), packets * segment);
  });
}

}  // namespace
}  // namespace centipede::test

#endif
