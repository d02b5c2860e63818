#include "dataplane/worker.h"

#include <centipede/frame.h>
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <utility>
#include <vector>

#include "dataplane/receive_pipeline.h"
#include "dataplane/send_pipeline.h"
#include "dataplane/tally.h"
#include "dataplane/uring.h"

namespace centipede {
namespace {

constexpr Duration spin_time = microseconds(50);
constexpr size_t tun_reads_a_round = 64;
constexpr size_t frames_a_round = 64;
constexpr size_t udp_buffers = 16;
constexpr size_t udp_buffer_bytes = 65536;  // a whole coalesced train

// A poll's token: what it is about, and of which generation of its uplink, so that a late report of a closed one is
// told from a report of its successor.
enum class Source : uint8_t { wake, tun, udp, xsk };
struct Token {
  Source source;
  uint8_t uplink = 0;
  uint8_t queue = 0;
  uint32_t generation = 0;

  [[nodiscard]] uint64_t value() const {
    return uint64_t{generation} << 24 | uint64_t{queue} << 16 | uint64_t{uplink} << 8 | static_cast<uint8_t>(source);
  }
  [[nodiscard]] static Token from(uint64_t value) {
    return {static_cast<Source>(value & 0xff), static_cast<uint8_t>(value >> 8), static_cast<uint8_t>(value >> 16),
            static_cast<uint32_t>(value >> 24)};
  }
};

Instant monotonic_now() {
  return Instant(std::chrono::steady_clock::now().time_since_epoch());
}

}  // namespace

class Worker::Loop {
 public:
  Loop(const Setup& setup, Worker& worker, Uring ring, std::unique_ptr<crypto::AeadProvider> aead)
      : setup_(setup),
        worker_(worker),
        ring_(std::move(ring)),
        aead_(std::move(aead)),
        sender_(setup.index, setup.mtu, *aead_, worker.counters_),
        receiver_(setup.index, *aead_, setup_.tun, setup.offloads, setup.control, worker.counters_),
        tun_buffer_(tun_buffer_bytes),
        udp_buffer_(udp_buffers * udp_buffer_bytes),
        udp_batch_(std::vector<Bytes>(udp_buffers)) {
    for (size_t i = 0; i < udp_buffers; ++i) {
      udp_batch_.set_buffer(i, Bytes(udp_buffer_).subspan(i * udp_buffer_bytes, udp_buffer_bytes));
    }
  }

  void run() {
    arm(worker_.wake_.fd(), {.source = Source::wake});
    arm(setup_.tun.fd(), {.source = Source::tun});
    take_over_plan();
    Instant spin_until = monotonic_now();
    while (!worker_.stopping_.load(std::memory_order_acquire)) {
      const bool spinning = monotonic_now() < spin_until;
      const auto ready = ring_.wait(spinning ? Duration::zero() : sleep_time());
      if (!ready) return setup_.failed(ready.error());
      if (setup_.board.version() != version_) take_over_plan();
      bool worked = false;
      for (const Ready& one : *ready)
        worked |= serve(Token::from(one.token));
      sender_.flush(*plan_);
      if (worked) {
        spin_until = monotonic_now() + spin_time;
      } else if (spinning) {
        sched_yield();
      }
    }
  }

 private:
  void arm(int fd, const Token& token) {
    const auto armed = ring_.poll(fd, token.value());
    if (!armed && !worker_.stopping_.exchange(true)) setup_.failed(armed.error());
  }

  void take_over_plan() {
    version_ = setup_.board.version();
    const std::shared_ptr<const Plan> plan = setup_.board.current();
    for (uint8_t id = 0; id < CP_MAX_UPLINKS; ++id) {
      if (plan->uplinks[id] == plan_->uplinks[id]) continue;
      if (plan_->uplinks[id])
        for_each_source(id, *plan_->uplinks[id],
                        [this](int, const Token& token) { (void)ring_.cancel(token.value()); });
      ++generations_[id];
      if (plan->uplinks[id])
        for_each_source(id, *plan->uplinks[id], [this](int fd, const Token& token) { arm(fd, token); });
    }
    plan_ = plan;
  }

  // For ever, but not while a frame of ours is on no ring because another worker held the fill ring.
  Duration sleep_time() {
    bool drained = true;
    for (const auto& uplink : plan_->uplinks) {
      if (!uplink) continue;
      for (const auto& queue : uplink->queues())
        drained &= queue->drained(setup_.index);
    }
    return drained ? Duration::max() : Duration(milliseconds(1));
  }

  template <class Visit>
  void for_each_source(uint8_t id, UplinkIo& uplink, Visit visit) {
    visit(uplink.data_socket(setup_.index).fd(),
          Token{.source = Source::udp, .uplink = id, .generation = generations_[id]});
    for (size_t queue = 0; queue < uplink.queues().size(); ++queue) {
      visit(uplink.queues()[queue]->fd(setup_.index), Token{.source = Source::xsk,
                                                            .uplink = id,
                                                            .queue = static_cast<uint8_t>(queue),
                                                            .generation = generations_[id]});
    }
  }

  // True when there was something to do. Re-arms what it served.
  bool serve(const Token& token) {
    switch (token.source) {
      case Source::wake:
        worker_.wake_.drain();
        arm(worker_.wake_.fd(), token);
        return false;
      case Source::tun: {
        const bool worked = serve_tun();
        arm(setup_.tun.fd(), token);
        return worked;
      }
      case Source::udp:
      case Source::xsk:
        break;
    }
    UplinkIo* uplink = plan_->uplinks[token.uplink].get();
    if (uplink == nullptr || token.generation != generations_[token.uplink]) return false;
    if (token.source == Source::udp) {
      UdpSocket& socket = uplink->data_socket(setup_.index);
      const bool worked = serve_udp(token.uplink, socket);
      arm(socket.fd(), token);
      return worked;
    }
    XskQueue& queue = *uplink->queues()[token.queue];
    const bool worked = serve_xsk(token.uplink, queue);
    arm(queue.fd(setup_.index), token);
    return worked;
  }

  bool serve_tun() {
    size_t reads = 0;
    while (reads < tun_reads_a_round) {
      const auto size = setup_.tun.read(tun_buffer_);
      if (!size || *size == 0) break;
      ++reads;
      if (*size < VirtioHeader::wire_bytes) continue;
      const ConstBytes packet = ConstBytes(tun_buffer_).first(*size).subspan(VirtioHeader::wire_bytes);
      sender_.packet(*plan_, VirtioHeader::load(tun_buffer_.data()), packet);
    }
    sender_.flush(*plan_);
    return reads > 0;
  }

  bool serve_udp(uint8_t uplink, UdpSocket& socket) {
    const auto received = socket.receive(udp_batch_);
    if (!received || received->empty()) return false;
    arrivals_.clear();
    for (const ReceivedDatagram& datagram : *received) {
      if (datagram.segment_size == 0) continue;
      // A coalesced train: equal segments, the last perhaps shorter.
      for (size_t at = 0; at < datagram.bytes.size(); at += datagram.segment_size) {
        const size_t size = std::min<size_t>(datagram.segment_size, datagram.bytes.size() - at);
        arrivals_.push_back({.payload = datagram.bytes.subspan(at, size),
                             .uplink = uplink,
                             .local = datagram.local,
                             .remote = datagram.remote});
      }
    }
    tally(worker_.counters_.received_udp, arrivals_.size());
    receiver_.process(*plan_, arrivals_);
    return true;
  }

  bool serve_xsk(uint8_t uplink, XskQueue& queue) {
    const size_t count = queue.receive(setup_.index, frames_);
    if (count == 0) return false;
    arrivals_.clear();
    for (const XskFrame& frame : std::span(frames_).first(count)) {
      if (const auto arrival = parse_frame(uplink, frame)) arrivals_.push_back(*arrival);
    }
    tally(worker_.counters_.received_xdp, count);
    tally(worker_.counters_.malformed, count - arrivals_.size());
    receiver_.process(*plan_, arrivals_);
    queue.release(setup_.index, std::span(frames_).first(count));
    return true;
  }

  static std::optional<Arrival> parse_frame(uint8_t uplink, const XskFrame& frame);

  const Setup setup_;
  Worker& worker_;
  Uring ring_;
  std::unique_ptr<crypto::AeadProvider> aead_;
  SendPipeline sender_;
  ReceivePipeline receiver_;
  std::shared_ptr<const Plan> plan_ = std::make_shared<Plan>();
  uint64_t version_ = 0;
  std::array<uint32_t, CP_MAX_UPLINKS> generations_{};
  std::vector<uint8_t> tun_buffer_;
  std::vector<uint8_t> udp_buffer_;
  UdpReceiveBatch udp_batch_;
  std::array<XskFrame, frames_a_round> frames_{};
  std::vector<Arrival> arrivals_;
};

// The program has parsed this frame with the same function, so it is whole.
std::optional<Arrival> Worker::Loop::parse_frame(uint8_t uplink, const XskFrame& frame) {
  cp_frame parsed;
  if (cp_parse_frame(frame.data, frame.data + frame.size, &parsed) != CP_KIND_UDP) return std::nullopt;
  const uint8_t* ip = frame.data + parsed.l3_offset;
  const bool v4 = parsed.family == 4;
  return Arrival{.payload = Bytes(frame.data + parsed.payload_offset, parsed.payload_length),
                 .uplink = uplink,
                 .local = v4 ? IpAddress::v4(ip + CP_IPV4_DESTINATION) : IpAddress::v6(ip + CP_IPV6_DESTINATION),
                 .remote = {v4 ? IpAddress::v4(ip + CP_IPV4_SOURCE) : IpAddress::v6(ip + CP_IPV6_SOURCE),
                            cp_host16(parsed.source_port_be)}};
}

Result<std::unique_ptr<Worker>> Worker::start(const Setup& setup) {
  auto wake = WakeUp::create();
  if (!wake) return std::unexpected(wake.error());
  auto aead = crypto::make_aead(setup.aead);
  if (!aead) return std::unexpected(aead.error());
  std::unique_ptr<Worker> worker(new Worker(std::move(*wake)));
  // The ring belongs to the thread that makes it, so the outcome comes back through a promise.
  std::promise<Result<void>> started;
  auto outcome = started.get_future();
  worker->thread_ =
      std::thread([setup, self = worker.get(), aead = std::move(*aead), started = std::move(started)]() mutable {
        auto ring = Uring::create();
        if (!ring) {
          started.set_value(std::unexpected(ring.error()));
          return;
        }
        Loop loop(setup, *self, std::move(*ring), std::move(aead));
        started.set_value({});
        loop.run();
      });
  if (auto result = outcome.get(); !result) return std::unexpected(result.error());
  return worker;
}

Worker::~Worker() {
  stopping_.store(true, std::memory_order_release);
  wake_.wake();
  if (thread_.joinable()) thread_.join();
}

WorkerCounters Worker::counters() {
  WorkerCounters copy;
  add_tallies(copy, counters_);
  return copy;
}

}  // namespace centipede
