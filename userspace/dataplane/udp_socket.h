// UDP sockets of one uplink: sending with segmentation offload (GSO) from a chosen local address, receiving in batches
// with coalescing (GRO) and the address each datagram was sent to.
//
// A socket is dual-stack where the kernel has IPv6, else IPv4 only. Path MTU discovery is off: routers may fragment
// what we send. Ownership: UdpSocket owns its descriptor; buffers are the caller's. Threading: one thread at a time
// uses a UdpReceiveBatch; the kernel serialises several threads that send on one socket. Nothing here allocates per
// packet.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "base/file_descriptor.h"
#include "base/result.h"

namespace centipede {

// One GSO send: what every kernel accepts.
inline constexpr size_t max_gso_segments = 64;
inline constexpr size_t max_gso_bytes = 65507;

struct UdpSocketOptions {
  std::string uplink = {};  // interface to bind to; empty: none
  uint16_t port = 0;        // 0: the kernel's choice
  bool reuse_port = false;
  bool gro = true;
  int receive_buffer_bytes = 0;  // 0: the system's default. The kernel doubles it for its own bookkeeping.
  int send_buffer_bytes = 0;
  unsigned busy_poll_us = 0;  // reads that find nothing look into the device's queue (SO_BUSY_POLL); workers' alone
  uint32_t mark = 0;          // SO_MARK of every packet; 0: none
  uint8_t traffic_class = 0;  // DSCP and ECN bits of every packet
  int filter_fd = -1;  // a BPF socket filter; what it refuses is not queued. Of a group: for the workers' sockets.
};

enum class SendStatus : uint8_t {
  sent,
  would_block,   // the send buffer is full: poll for POLLOUT
  too_big,       // EMSGSIZE
  gso_refused,   // the path takes no segmentation offload (EIO), or EINVAL with it: send the segments one by one
  unreachable,   // no route, link down, uplink gone; on newer kernels also an IPv4 source address that is gone
  address_gone,  // the source address is not ours (any more)
  no_buffers,    // queue full or out of memory: the datagram is lost, the next may pass
  refused,       // a firewall of this machine, or an earlier datagram was answered "port unreachable"
  other,
};
[[nodiscard]] std::string_view text(SendStatus status);

struct SendOutcome {
  SendStatus status = SendStatus::sent;
  int error = 0;  // errno
};

struct ReceivedDatagram {
  Bytes bytes;  // one datagram, or several of segment_size each (the last may be shorter)
  Endpoint remote;
  IpAddress local;  // the address it was sent to; none if the kernel did not say
  uint16_t segment_size = 0;
  bool truncated = false;  // the buffer was too small
};

// Calls visit(Bytes) with each datagram of a train.
template <class Visit>
void for_each_datagram(const ReceivedDatagram& train, Visit visit) {
  if (train.segment_size == 0) return;
  for (size_t at = 0; at < train.bytes.size(); at += train.segment_size)
    visit(train.bytes.subspan(at, std::min<size_t>(train.segment_size, train.bytes.size() - at)));
}

// The descriptions recvmmsg needs, made once. The buffers are the caller's: 64 KiB each for sockets with GRO.
class UdpReceiveBatch {
 public:
  explicit UdpReceiveBatch(std::span<const Bytes> buffers);
  // A move keeps the addresses that the messages point to; a copy would not.
  UdpReceiveBatch(UdpReceiveBatch&&) = default;
  UdpReceiveBatch& operator=(UdpReceiveBatch&&) = default;
  UdpReceiveBatch(const UdpReceiveBatch&) = delete;
  UdpReceiveBatch& operator=(const UdpReceiveBatch&) = delete;
  ~UdpReceiveBatch() = default;

  void set_buffer(size_t index, Bytes buffer) { slots_[index].buffer = {buffer.data(), buffer.size()}; }
  [[nodiscard]] size_t size() const { return slots_.size(); }

 private:
  friend class UdpSocket;
  static constexpr size_t control_bytes = 128;
  struct Slot {
    iovec buffer{};
    sockaddr_storage remote{};
    alignas(cmsghdr) uint8_t control[control_bytes]{};
  };
  void prepare(size_t used);
  [[nodiscard]] bool take(size_t index, ReceivedDatagram& out);

  std::vector<Slot> slots_;
  std::vector<mmsghdr> messages_;
  std::vector<ReceivedDatagram> received_;
  size_t used_ = 0;  // messages that the last call filled and the next must reset
};

class UdpSocket {
 public:
  [[nodiscard]] static Result<UdpSocket> open(const UdpSocketOptions& options);

  // workers + 2 sockets on one port: a data packet goes to the socket of its worker (cp_first_worker() in abi.h); a
  // first byte of 127 (control lane) goes to the last but one, one above (handshake) to the last, so that a flood of
  // handshakes cannot take the room of heartbeats. A port that another program uses on this uplink is an error, even
  // where both would be willing to share it. options.reuse_port is implied.
  [[nodiscard]] static Result<std::vector<UdpSocket>> open_group(const UdpSocketOptions& options, unsigned workers);

  // local: the address to send from; none: the kernel chooses. segment_size: 0: one datagram; else cut into datagrams
  // of this size, the last may be shorter.
  [[nodiscard]] SendOutcome send(const Endpoint& remote, const IpAddress& local, ConstBytes payload,
                                 uint16_t segment_size = 0) const;

  // What waits, up to batch.size(); empty: nothing. Valid until the next receive with this batch.
  [[nodiscard]] Result<std::span<const ReceivedDatagram>> receive(UdpReceiveBatch& batch) const;

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] uint16_t port() const { return port_; }
  [[nodiscard]] bool dual_stack() const { return dual_stack_; }
  [[nodiscard]] bool gro() const { return gro_; }

 private:
  UdpSocket(FileDescriptor fd, bool dual_stack) : fd_(std::move(fd)), dual_stack_(dual_stack) {}
  [[nodiscard]] static Result<UdpSocket> open_family(const UdpSocketOptions& options, bool dual_stack,
                                                     unsigned steer_over_workers);
  [[nodiscard]] static Result<UdpSocket> open_either(const UdpSocketOptions& options, unsigned steer_over_workers);
  [[nodiscard]] Result<void> configure(const UdpSocketOptions& options);
  [[nodiscard]] Result<void> steer(unsigned workers) const;
  [[nodiscard]] Result<void> bind(const UdpSocketOptions& options);

  FileDescriptor fd_;
  bool dual_stack_ = false;
  bool gro_ = false;
  uint16_t port_ = 0;
};

}  // namespace centipede
