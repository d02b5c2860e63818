// The one place where a worker sleeps: readiness of descriptors, a timeout and wake-ups from other threads, by
// io_uring. Arming and cancelling only fill the submission queue; wait() hands them to the kernel in the call that
// sleeps, so a steady state costs one system call a sleep. WakeUp is the other threads' way in.
//
// Ownership: Uring owns the ring, never the descriptors. Threading: a ring belongs to the thread that created it (the
// kernel enforces that where it can, and the others' calls then fail with EEXIST): create it in the worker's own
// thread. Only WakeUp::wake may be called from any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/file_descriptor.h"
#include "base/result.h"
#include "base/time.h"

struct io_uring;
struct io_uring_sqe;

namespace centipede {

struct Ready {
  uint64_t token = 0;
  uint32_t events = 0;  // POLLIN, POLLERR, POLLHUP
  int error = 0;        // errno where the poll itself failed (EBADF); events is 0 then
};

class Uring {
 public:
  // Tokens are the caller's choice below this one; the rest mark operations of our own.
  static constexpr uint64_t token_limit = UINT64_MAX - 15;

  // Room for `entries` (up to 4,096) polls to be armed between two waits before an extra system call is needed.
  [[nodiscard]] static Result<Uring> create(unsigned entries = 256);

  // Arms one report. A descriptor that is ready already is reported at once, so re-arming after draining loses nothing.
  // A token may be armed once at a time.
  [[nodiscard]] Result<void> poll(int fd, uint64_t token);

  // Disarms. A report that was already under way may still come once.
  [[nodiscard]] Result<void> cancel(uint64_t token);

  // Sleeps until something is ready or the time is over; zero or less collects only, Duration::max() waits for ever.
  // Empty after a timeout or a signal. The span stays valid until the next wait.
  [[nodiscard]] Result<std::span<const Ready>> wait(Duration timeout);

 private:
  struct Close {
    void operator()(io_uring* ring) const;
  };
  explicit Uring(std::unique_ptr<io_uring, Close> ring);
  [[nodiscard]] Result<io_uring_sqe*> submission();
  void collect();

  std::unique_ptr<io_uring, Close> ring_;
  std::vector<Ready> ready_;
};

// An event that any thread may signal; the owner polls fd() and drains it.
class WakeUp {
 public:
  [[nodiscard]] static Result<WakeUp> create();
  [[nodiscard]] int fd() const { return fd_.get(); }
  void wake() const;
  // Takes all wake-ups signalled so far; false: there was none.
  bool drain() const;

 private:
  explicit WakeUp(FileDescriptor fd) : fd_(std::move(fd)) {}
  FileDescriptor fd_;
};

}  // namespace centipede
