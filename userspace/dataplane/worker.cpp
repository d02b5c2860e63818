#include "dataplane/worker.h"

#include <centipede/frame.h>
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <utility>
#include <vector>

#include "dataplane/patience.h"
#include "dataplane/receive_pipeline.h"
#include "dataplane/send_pipeline.h"
#include "dataplane/tally.h"
#include "dataplane/uring.h"

namespace centipede {
namespace {

// A round takes from each source about as much as from the others, so that none waits long.
constexpr size_t tun_reads_a_round = 64;
constexpr size_t tun_bytes_a_round = size_t{256} << 10;
constexpr size_t frames_a_round = 64;
constexpr size_t inbox_limit = 256;
constexpr size_t udp_buffers = 16;
constexpr size_t udp_buffer_bytes = 65536;  // a whole coalesced train

// A descriptor that work comes from. While armed, io_uring reports it; else the worker looks itself, in each round.
struct Source {
  enum class Kind : uint8_t { wake, tun, udp, xsk };
  Kind kind;
  uint8_t uplink = 0;
  uint8_t queue = 0;
  int fd = -1;
  bool armed = false;
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
    arrivals_.reserve(udp_buffers * max_gso_segments);
    for (size_t i = 0; i < udp_buffers; ++i) {
      udp_batch_.set_buffer(i, Bytes(udp_buffer_).subspan(i * udp_buffer_bytes, udp_buffer_bytes));
    }
  }

  void run() {
    list_sources();
    take_over_plan();
    bool awake = false;
    while (!worker_.stopping_.load(std::memory_order_acquire)) {
      if (!awake && !arm_all()) return;
      const auto ready = ring_.wait(awake ? Duration::zero() : sleep_time());
      if (!ready) return setup_.failed(ready.error());
      for (const Ready& one : *ready)
        disarmed(one.token);
      // Drained before the version is read: what is published later wakes us again.
      const bool woken = !sources_.front().armed;
      if (woken) {
        worker_.wake_.drain();
        if (!arm(0)) return;
      }
      if (setup_.board.version() != version_) take_over_plan();
      bool worked = woken && serve_inbox();
      for (const Source& source : sources_)
        if (!source.armed) worked |= serve(source);
      const Instant now = monotonic_now();
      awake = patience_.goes_on(now, worked);
      if (!worked && awake) {
        sched_yield();
        patience_.yielded(now, monotonic_now());
      }
    }
  }

 private:
  void take_over_plan() {
    version_ = setup_.board.version();
    const std::shared_ptr<const Plan> before = std::exchange(plan_, setup_.board.current());
    if (plan_->uplinks != before->uplinks) list_sources();
  }

  void list_sources() {
    for (size_t i = 0; i < sources_.size(); ++i)
      if (sources_[i].armed) (void)ring_.cancel(token(i));
    ++generation_;
    sources_.clear();
    sources_.push_back({.kind = Source::Kind::wake, .fd = worker_.wake_.fd()});
    sources_.push_back({.kind = Source::Kind::tun, .fd = setup_.tun.fd()});
    for (uint8_t id = 0; id < CP_MAX_UPLINKS; ++id) {
      UplinkIo* uplink = plan_->uplinks[id].get();
      if (uplink == nullptr) continue;
      sources_.push_back({.kind = Source::Kind::udp, .uplink = id, .fd = uplink->data_socket(setup_.index).fd()});
      for (size_t queue = 0; queue < uplink->queues().size(); ++queue)
        sources_.push_back({.kind = Source::Kind::xsk,
                            .uplink = id,
                            .queue = static_cast<uint8_t>(queue),
                            .fd = uplink->queues()[queue]->fd(setup_.index)});
    }
  }

  // Of this list of sources, so that a late report of an earlier one is told from it.
  [[nodiscard]] uint64_t token(size_t source) const { return uint64_t{generation_} << 16 | source; }

  // What has been looked at directly until now. One that is ready is reported at once, so nothing is missed.
  bool arm_all() {
    for (size_t i = 0; i < sources_.size(); ++i)
      if (!sources_[i].armed && !arm(i)) return false;
    return true;
  }

  bool arm(size_t source) {
    const auto armed = ring_.poll(sources_[source].fd, token(source));
    if (!armed) setup_.failed(armed.error());
    sources_[source].armed = armed.has_value();
    return sources_[source].armed;
  }

  void disarmed(uint64_t reported) {
    const size_t index = reported & 0xffff;
    if (index < sources_.size() && reported == token(index)) sources_[index].armed = false;
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

  // True when there was something to do. What strangers send is not: it shall not keep the worker awake.
  bool serve(const Source& source) {
    switch (source.kind) {
      case Source::Kind::wake:
        return false;
      case Source::Kind::tun:
        return serve_tun();
      case Source::Kind::udp:
        return serve_udp(source.uplink, plan_->uplinks[source.uplink]->data_socket(setup_.index));
      case Source::Kind::xsk:
        return serve_xsk(source.uplink, *plan_->uplinks[source.uplink]->queues()[source.queue]);
    }
    return false;
  }

  bool serve_inbox() {
    std::vector<StrayDatagram> strays = worker_.take_inbox();
    arrivals_.clear();
    for (StrayDatagram& stray : strays) {
      arrivals_.push_back({.payload = stray.bytes,
                           .uplink = stray.route.uplink,
                           .local = stray.route.local,
                           .remote = stray.route.remote});
    }
    return process();
  }

  bool serve_tun() {
    size_t reads = 0;
    size_t bytes = 0;
    while (reads < tun_reads_a_round && bytes < tun_bytes_a_round) {
      const auto size = setup_.tun.read(tun_buffer_);
      if (!size || *size == 0) break;
      ++reads;
      bytes += *size;
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
      for_each_datagram(datagram, [&](Bytes payload) {
        arrivals_.push_back({.payload = payload, .uplink = uplink, .local = datagram.local, .remote = datagram.remote});
      });
    }
    tally(worker_.counters_.received_udp, arrivals_.size());
    return process();
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
    const bool worked = process();
    queue.release(setup_.index, std::span(frames_).first(count));
    return worked;
  }

  // True when one of the arrivals was authentic.
  bool process() {
    const uint64_t before = worker_.counters_.opened;
    receiver_.process(*plan_, arrivals_);
    return worker_.counters_.opened != before;
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
  std::vector<Source> sources_;
  uint32_t generation_ = 0;
  Patience patience_{setup_.busy_poll};
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

bool Worker::hand_over(StrayDatagram datagram) {
  {
    const std::scoped_lock lock(inbox_mutex_);
    if (inbox_.size() >= inbox_limit) return false;
    inbox_.push_back(std::move(datagram));
  }
  wake();
  return true;
}

std::vector<StrayDatagram> Worker::take_inbox() {
  const std::scoped_lock lock(inbox_mutex_);
  return std::exchange(inbox_, {});
}

WorkerCounters Worker::counters() {
  WorkerCounters copy;
  add_tallies(copy, counters_);
  return copy;
}

}  // namespace centipede
