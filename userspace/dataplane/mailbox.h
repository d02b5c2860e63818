// A bounded queue into the control thread: work from the API's threads, and control datagrams that reached a worker
// (a heartbeat coalesced behind data, or a frame that came through an AF_XDP socket).
// Threading: any thread puts; the control thread takes after its WakeUp became readable.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

#include "control/controller.h"
#include "dataplane/uring.h"

namespace centipede {

struct StrayDatagram {
  control::Route route;
  std::vector<uint8_t> bytes;
};

class ControlMailbox {
 public:
  using Task = std::move_only_function<void()>;
  struct Contents {
    std::vector<Task> tasks;
    std::vector<StrayDatagram> datagrams;
  };

  explicit ControlMailbox(WakeUp wake) : wake_(std::move(wake)) {}

  // False once the control thread has stopped taking.
  bool post(Task task) {
    {
      const std::scoped_lock lock(mutex_);
      if (closed_) return false;
      contents_.tasks.push_back(std::move(task));
    }
    wake_.wake();
    return true;
  }

  // False, and the datagram dropped, when the control thread is behind.
  bool post(StrayDatagram datagram) {
    {
      const std::scoped_lock lock(mutex_);
      if (closed_ || contents_.datagrams.size() >= max_datagrams) return false;
      contents_.datagrams.push_back(std::move(datagram));
    }
    wake_.wake();
    return true;
  }

  [[nodiscard]] Contents take() {
    const std::scoped_lock lock(mutex_);
    return std::exchange(contents_, {});
  }

  // What waits is handed back to be refused; nothing is accepted from now on.
  [[nodiscard]] Contents close() {
    const std::scoped_lock lock(mutex_);
    closed_ = true;
    return std::exchange(contents_, {});
  }

  [[nodiscard]] WakeUp& wake() { return wake_; }

 private:
  static constexpr size_t max_datagrams = 4096;

  WakeUp wake_;
  std::mutex mutex_;
  Contents contents_;
  bool closed_ = false;
};

}  // namespace centipede
