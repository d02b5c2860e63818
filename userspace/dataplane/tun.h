// The TUN device: the interface that applications see. One multi-queue device; worker k reads and writes queue k.
//
// Every packet carries a 10-byte virtio header (VirtioHeader::wire_bytes, little-endian), so super-packets cross whole
// and checksums may be left undone, as far as the kernel grants it: offload() tells. The device is not persistent: it
// vanishes with the Tun, or with the process however that ends, unless a service manager keeps copies of the
// descriptors. Its addresses, MTU and state are not set here.
//
// Ownership: Tun owns all descriptors; a TunQueue is a view that must not outlive it. Threading: create and destroy on
// one thread; each TunQueue is used by one worker thread.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/file_descriptor.h"
#include "base/result.h"
#include "dataplane/offload.h"

namespace centipede {

// Every read needs a buffer this large, or the kernel cuts the packet short without a word.
inline constexpr size_t tun_buffer_bytes = VirtioHeader::wire_bytes + max_ip_packet_bytes;

enum class TunOffload : uint8_t {
  none,      // single packets with complete checksums
  checksum,  // single packets
  tcp,       // and TCP super-packets
  tcp_udp,   // and UDP super-packets (Linux 6.2 and later)
};
[[nodiscard]] std::string_view text(TunOffload offload);

enum class TunWriteStatus : uint8_t { written, would_block, refused };

struct TunWriteOutcome {
  TunWriteStatus status = TunWriteStatus::written;
  int error = 0;  // errno where refused: EINVAL for a packet the kernel does not take, EIO while the interface is down
};

class TunQueue {
 public:
  explicit TunQueue(int fd) : fd_(fd) {}

  // For polling. Owned by the Tun.
  [[nodiscard]] int fd() const { return fd_; }

  // Reads one virtio header and packet to the start of `buffer` (tun_buffer_bytes) and returns their length; 0 where
  // nothing waits. An error (EIO: the interface is down; EBADFD: it was deleted) leaves the queue usable once it is
  // back.
  [[nodiscard]] Result<size_t> read(Bytes buffer) const;

  // Writes one packet; chain[0] is its virtio header, as in CoalescedPacket (coalesce.h).
  [[nodiscard]] TunWriteOutcome write(std::span<const iovec> chain) const;
  [[nodiscard]] TunWriteOutcome write(const VirtioHeader& header, ConstBytes packet) const;

 private:
  int fd_;
};

class Tun {
 public:
  static constexpr unsigned max_queues = 256;

  // Makes the device `name` with `queues` queues in the network namespace of the calling thread. A device of that name
  // that exists already, also a persistent one, is an error: joining it would share its packets with somebody else.
  [[nodiscard]] static Result<Tun> create(std::string_view name, unsigned queues);

  // One that outlived the process that made it: its queues, all of them. An error when they are not those of `name`.
  [[nodiscard]] static Result<Tun> adopt(std::string_view name, std::vector<FileDescriptor> queues);

  [[nodiscard]] TunQueue queue(size_t index) const { return TunQueue(queues_[index].get()); }
  [[nodiscard]] size_t queue_count() const { return queues_.size(); }
  [[nodiscard]] bool adopted() const { return adopted_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] unsigned interface_index() const { return interface_index_; }
  [[nodiscard]] TunOffload offload() const { return offload_; }
  [[nodiscard]] bool takes_udp_segments() const { return offload_ == TunOffload::tcp_udp; }
  [[nodiscard]] bool takes_tcp_segments() const { return offload_ >= TunOffload::tcp; }

 private:
  std::string name_;
  unsigned interface_index_ = 0;
  TunOffload offload_ = TunOffload::none;
  std::vector<FileDescriptor> queues_;
  bool adopted_ = false;

  Result<void> prepare();
};

}  // namespace centipede
