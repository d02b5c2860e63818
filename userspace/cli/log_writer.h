// Lines for a descriptor whose reader may stand still: a terminal after Ctrl-S, a pager, a pipe that nobody reads. Who
// gives a line never waits; a thread of its own writes. What waits is bounded, and what does not fit is refused.
// Ownership: the descriptor is the caller's. Threading: any. To be made after what changes the groups of the process,
// which glibc does on all threads: this one keeps no capabilities.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>
#include <thread>

namespace centipede::cli {

class LogWriter {
 public:
  explicit LogWriter(int fd, size_t limit = 256 << 10);
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;
  ~LogWriter();  // waits as drain() does; what is not written by then may be lost

  // False: more than `limit` bytes wait already.
  bool take(std::string_view line);
  // Waits until all is written, for a second at most; false: it is not.
  bool drain();

 private:
  struct Queue;
  static void serve(Queue& queue, int fd);

  std::shared_ptr<Queue> queue_;  // shared with the thread, which stays behind in a write that does not end
  const size_t limit_;
  std::thread thread_;
};

}  // namespace centipede::cli
