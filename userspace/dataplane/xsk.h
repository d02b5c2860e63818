// AF_XDP sockets of one receive queue of one device: one memory region (UMEM), one fill ring shared by all, and one
// receive-only socket a worker, in the XSKMAP at first_xsk + queue * workers + worker.
//
// A frame is always in exactly one place: the fill ring, the kernel, a socket's receive ring, a worker's hands (between
// receive() and release()), or a worker's list of frames to give back. The fill ring has room for every frame, so
// giving back never fails for want of space; it happens under a try-lock, and what a worker could not give back because
// another was at it waits in its list for its next receive() or release().
//
// Ownership: frame memory belongs to the queue and dies with it. Survives its device (receives nothing more).
// Threading: receive(), release() and drained() of worker w by one thread at a time, different workers in parallel.
// Opening, statistics and destruction: control thread, destruction with no worker inside.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

struct xsk_ring_prod;
struct xsk_umem;

namespace centipede {

struct XskFrame {
  uint8_t* data = nullptr;  // the Ethernet frame
  uint32_t size = 0;
  uint64_t address = 0;  // of the frame in the UMEM, for release()
};

struct XskSettings {
  std::string device;
  uint32_t queue = 0;
  uint32_t workers = 1;
  int xsks_fd = -1;           // XdpProgram::xsks_fd()
  uint32_t first_xsk = 0;     // cp_xsk_slot() of queue 0, worker 0
  uint32_t frames = 0;        // a power of two; 0: chosen by the number of workers
  uint32_t busy_poll_us = 0;  // receive() drives the device's queue itself when it is empty (SO_PREFER_BUSY_POLL)
};

// XDP_STATISTICS, summed over the workers' sockets where each has its own count.
struct XskStatistics {
  uint64_t dropped = 0;          // refused: too large for a frame of the UMEM, or no frame to receive into
  uint64_t ring_full = 0;        // a worker did not keep up
  uint64_t fill_ring_empty = 0;  // the kernel found no frame to receive into
  uint64_t invalid = 0;
};

class XskQueue {
 public:
  [[nodiscard]] static Result<std::unique_ptr<XskQueue>> open(const XskSettings& settings);
  XskQueue(const XskQueue&) = delete;
  XskQueue& operator=(const XskQueue&) = delete;
  ~XskQueue();

  // Up to out.size() frames, without blocking. Every one must come back through release().
  [[nodiscard]] size_t receive(uint32_t worker, std::span<XskFrame> out);
  void release(uint32_t worker, std::span<const XskFrame> frames);
  // Tries to give back what is left of earlier releases; true when nothing is. A worker calls it before it sleeps for
  // long.
  bool drained(uint32_t worker);

  // Readable when frames are waiting.
  [[nodiscard]] int fd(uint32_t worker) const;
  [[nodiscard]] uint32_t workers() const;
  [[nodiscard]] bool zero_copy() const { return zero_copy_; }
  [[nodiscard]] uint32_t frames() const { return frames_; }
  [[nodiscard]] uint32_t frame_size() const { return frame_size_; }
  [[nodiscard]] XskStatistics statistics() const;

 private:
  struct Socket;
  struct Rings;

  XskQueue();
  [[nodiscard]] Result<void> set_up(const XskSettings& settings);
  [[nodiscard]] Result<void> open_socket(const XskSettings& settings, uint32_t worker);
  [[nodiscard]] Result<void> fill_all();
  void give_back(Socket& socket);

  uint8_t* memory_ = nullptr;
  uint32_t frames_ = 0;
  uint32_t frame_size_ = 0;
  bool zero_copy_ = false;
  bool busy_poll_ = false;
  xsk_umem* umem_ = nullptr;
  std::unique_ptr<Rings> rings_;
  std::vector<std::unique_ptr<Socket>> sockets_;
  alignas(64) std::atomic_flag filling_;  // the try-lock of the fill ring
};

}  // namespace centipede
