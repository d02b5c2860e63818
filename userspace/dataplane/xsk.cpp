#include "dataplane/xsk.h"

#include <bpf/bpf.h>
#include <centipede/abi.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xdp/xsk.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/file_descriptor.h"
#include "dataplane/bpf_log.h"

namespace centipede {
namespace {

// 512 frames a queue lost packets by the thousand, 4,096 none; more workers hold more of them in their hands.
constexpr uint32_t default_frames = 4096;
constexpr uint32_t many_workers = 4;
constexpr uint32_t receive_ring = 2048;
// What the kernel keeps free at the start of each frame (XDP_PACKET_HEADROOM), and Ethernet with two VLAN tags.
constexpr uint32_t headroom = 256;
constexpr uint32_t link_header = 22;
constexpr uint32_t small_frame = 2048;
constexpr uint32_t large_frame = 4096;
// The kernel frees a queue some time after its last socket has closed, or the process that owned it has been killed.
constexpr int release_polls = 100;
constexpr useconds_t release_poll_us = 10'000;
constexpr int busy_poll_budget = 64;  // packets

uint32_t device_mtu(const std::string& device) {
  const FileDescriptor fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::memcpy(request.ifr_name, device.data(), std::min<size_t>(device.size(), IFNAMSIZ - 1));
  if (!fd || ioctl(fd.get(), SIOCGIFMTU, &request) != 0 || request.ifr_mtu < 0) return 1500;
  return static_cast<uint32_t>(request.ifr_mtu);
}

// The queue is then driven by who polls, as far as its device is set for that (napi_defer_hard_irqs,
// gro_flush_timeout). Kernels before 5.11 know no preference; then nothing changes.
void prefer_busy_poll(int fd, uint32_t microseconds) {
  const auto set = [fd](int option, int value) { (void)setsockopt(fd, SOL_SOCKET, option, &value, sizeof value); };
  set(SO_PREFER_BUSY_POLL, 1);
  set(SO_BUSY_POLL, static_cast<int>(microseconds));
  set(SO_BUSY_POLL_BUDGET, busy_poll_budget);
}

}  // namespace

// Cache lines of its own: each belongs to one worker.
struct alignas(64) XskQueue::Socket {
  explicit Socket(uint32_t map_key) : key(map_key) {}

  xsk_ring_cons received{};
  xsk_socket* socket = nullptr;
  uint32_t key;
  std::vector<uint64_t> returning;  // capacity for every frame, so that it never allocates again
};

// Written by whichever worker fills, so apart from what all of them read.
struct alignas(64) XskQueue::Rings {
  xsk_ring_prod fill{};        // guarded by filling_
  xsk_ring_cons completion{};  // never used: nothing is sent through these sockets
};

XskQueue::XskQueue() : rings_(std::make_unique<Rings>()) {}

XskQueue::~XskQueue() {
  const BpfLog log;
  // The kernel takes a closed socket out of the map. Doing it here by key could hit the sockets of a successor.
  for (const auto& socket : sockets_)
    xsk_socket__delete(socket->socket);
  (void)xsk_umem__delete(umem_);
  if (memory_ != nullptr) munmap(memory_, size_t{frames_} * frame_size_);
}

Result<std::unique_ptr<XskQueue>> XskQueue::open(const XskSettings& settings) {
  if (settings.workers == 0 || settings.workers > CP_MAX_WORKERS || settings.queue >= CP_MAX_QUEUES)
    return fail("AF_XDP sockets for queue " + std::to_string(settings.queue) + " and " +
                std::to_string(settings.workers) + " workers: out of range");
  if (settings.frames != 0 && !std::has_single_bit(settings.frames))
    return fail("the number of AF_XDP frames must be a power of two");
  std::unique_ptr<XskQueue> queue(new XskQueue);
  if (auto done = queue->set_up(settings); !done) return std::unexpected(done.error());
  return queue;
}

Result<void> XskQueue::set_up(const XskSettings& settings) {
  const BpfLog log;
  frames_ = settings.frames != 0              ? settings.frames
            : settings.workers > many_workers ? default_frames * 2
                                              : default_frames;
  // Frames may not exceed a page; longer packets are dropped by the kernel and counted (XskStatistics::dropped).
  frame_size_ = device_mtu(settings.device) + link_header + headroom <= small_frame ? small_frame : large_frame;
  const size_t bytes = size_t{frames_} * frame_size_;
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED) return fail_system("allocating AF_XDP frames");
  memory_ = static_cast<uint8_t*>(memory);

  const xsk_umem_config config{
      .fill_size = frames_, .comp_size = 64, .frame_size = frame_size_, .frame_headroom = 0, .flags = 0};
  if (const int code = xsk_umem__create(&umem_, memory_, bytes, &rings_->fill, &rings_->completion, &config); code != 0)
    return std::unexpected(log.error("registering AF_XDP memory", code));
  for (uint32_t worker = 0; worker < settings.workers; ++worker)
    if (auto opened = open_socket(settings, worker); !opened) return opened;
  if (auto filled = fill_all(); !filled) return filled;

  // Only now may frames come in.
  for (const auto& socket : sockets_) {
    const int fd = xsk_socket__fd(socket->socket);
    if (const int code = bpf_map_update_elem(settings.xsks_fd, &socket->key, &fd, BPF_ANY); code != 0)
      return fail_system("putting an AF_XDP socket into the map", -code);
  }
  return {};
}

Result<void> XskQueue::open_socket(const XskSettings& settings, uint32_t worker) {
  const BpfLog log;
  auto socket = std::make_unique<Socket>(settings.first_xsk + settings.queue * settings.workers + worker);
  socket->returning.reserve(frames_);
  xsk_socket_config config{};
  config.rx_size = std::min(receive_ring, frames_);
  config.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD;
  // Without XDP_COPY the kernel tries zero-copy and falls back by itself. Further sockets inherit the mode.
  config.bind_flags = static_cast<uint16_t>(XDP_USE_NEED_WAKEUP);
  // The rings of the first socket are those of the UMEM; the others of the same device and queue share them.
  const auto bind_socket = [&] {
    return xsk_socket__create_shared(&socket->socket, settings.device.c_str(), settings.queue, umem_, &socket->received,
                                     nullptr, &rings_->fill, &rings_->completion, &config);
  };
  int code = bind_socket();
  for (int poll = 0; code == -EBUSY && poll < release_polls; ++poll) {
    usleep(release_poll_us);
    code = bind_socket();
  }
  if (code != 0)
    return std::unexpected(log.error(
        "binding an AF_XDP socket to queue " + std::to_string(settings.queue) + " of " + settings.device, code));
  if (worker == 0) {
    xdp_options options{};
    socklen_t size = sizeof options;
    if (getsockopt(xsk_socket__fd(socket->socket), SOL_XDP, XDP_OPTIONS, &options, &size) == 0)
      zero_copy_ = (options.flags & XDP_OPTIONS_ZEROCOPY) != 0;
  }
  if (settings.busy_poll_us != 0) prefer_busy_poll(xsk_socket__fd(socket->socket), settings.busy_poll_us);
  busy_poll_ = settings.busy_poll_us != 0;
  sockets_.push_back(std::move(socket));
  return {};
}

Result<void> XskQueue::fill_all() {
  uint32_t index = 0;
  if (xsk_ring_prod__reserve(&rings_->fill, frames_, &index) != frames_)
    return fail("the AF_XDP fill ring is too small");
  for (uint32_t i = 0; i < frames_; ++i)
    *xsk_ring_prod__fill_addr(&rings_->fill, index + i) = uint64_t{i} * frame_size_;
  xsk_ring_prod__submit(&rings_->fill, frames_);
  return {};
}

size_t XskQueue::receive(uint32_t worker, std::span<XskFrame> out) {
  Socket& socket = *sockets_[worker];
  if (!socket.returning.empty()) give_back(socket);
  uint32_t index = 0;
  const auto most = static_cast<uint32_t>(out.size());
  uint32_t count = xsk_ring_cons__peek(&socket.received, most, &index);
  if (count == 0 && busy_poll_) {
    (void)recvfrom(xsk_socket__fd(socket.socket), nullptr, 0, MSG_DONTWAIT, nullptr, nullptr);
    count = xsk_ring_cons__peek(&socket.received, most, &index);
  }
  if (count == 0) return 0;
  for (uint32_t i = 0; i < count; ++i) {
    const xdp_desc* descriptor = xsk_ring_cons__rx_desc(&socket.received, index + i);
    out[i] = {.data = memory_ + descriptor->addr,
              .size = descriptor->len,
              .address = descriptor->addr & ~uint64_t{frame_size_ - 1}};
  }
  xsk_ring_cons__release(&socket.received, count);
  return count;
}

void XskQueue::release(uint32_t worker, std::span<const XskFrame> frames) {
  Socket& socket = *sockets_[worker];
  for (const XskFrame& frame : frames)
    socket.returning.push_back(frame.address);
  if (!socket.returning.empty()) give_back(socket);
}

bool XskQueue::drained(uint32_t worker) {
  Socket& socket = *sockets_[worker];
  if (!socket.returning.empty()) give_back(socket);
  return socket.returning.empty();
}

void XskQueue::give_back(Socket& socket) {
  if (filling_.test_and_set(std::memory_order_acquire)) return;
  const auto count = static_cast<uint32_t>(socket.returning.size());
  uint32_t index = 0;
  // The ring has room for all frames, so this fails only if a caller released a frame twice.
  const bool room = xsk_ring_prod__reserve(&rings_->fill, count, &index) == count;
  if (room) {
    for (uint32_t i = 0; i < count; ++i)
      *xsk_ring_prod__fill_addr(&rings_->fill, index + i) = socket.returning[i];
    xsk_ring_prod__submit(&rings_->fill, count);
  }
  const bool wake = xsk_ring_prod__needs_wakeup(&rings_->fill) != 0;
  filling_.clear(std::memory_order_release);
  if (!room) return;
  socket.returning.clear();
  // A zero-copy driver that ran out of frames waits to be told of new ones.
  if (wake) (void)recvfrom(xsk_socket__fd(socket.socket), nullptr, 0, MSG_DONTWAIT, nullptr, nullptr);
}

int XskQueue::fd(uint32_t worker) const {
  return xsk_socket__fd(sockets_[worker]->socket);
}

uint32_t XskQueue::workers() const {
  return static_cast<uint32_t>(sockets_.size());
}

XskStatistics XskQueue::statistics() const {
  XskStatistics sum;
  for (const auto& socket : sockets_) {
    xdp_statistics one{};
    socklen_t size = sizeof one;
    if (getsockopt(xsk_socket__fd(socket->socket), SOL_XDP, XDP_STATISTICS, &one, &size) != 0) continue;
    sum.dropped += one.rx_dropped;
    sum.ring_full += one.rx_ring_full;
    // Counted in the ring that the sockets share: the same figure from each.
    sum.fill_ring_empty = std::max<uint64_t>(sum.fill_ring_empty, one.rx_fill_ring_empty_descs);
    sum.invalid += one.rx_invalid_descs;
  }
  return sum;
}

}  // namespace centipede
