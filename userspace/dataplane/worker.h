// One core's share of the data plane: TUN queue k, a lane of each session, socket k of every uplink, one AEAD provider,
// one io_uring in which it sleeps. It shares nothing that is written per packet with other workers but the window
// words.
//
// A round: take over a new plan if there is one, take what there is from each source that has been reported since the
// last sleep, send. A source is armed with io_uring only before a sleep, so that a busy one costs neither its producer
// a wake-up nor the worker a report. How long a worker without work looks on (yielding the core) before it sleeps:
// patience.h.
//
// Ownership: borrows the board, the mailbox and the TUN queue, which must outlive it. Threading: start and stop on the
// owner's thread; everything else happens on the worker's own. counters() from any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/result.h"
#include "crypto/aead.h"
#include "dataplane/coalesce.h"
#include "dataplane/mailbox.h"
#include "dataplane/plan.h"
#include "dataplane/tun.h"
#include "dataplane/tunnel_status.h"

namespace centipede {

// Aligned: the counters share no cache line with anything that another thread writes per packet.
class alignas(64) Worker {
 public:
  struct Setup {
    unsigned index = 0;
    unsigned mtu = 0;
    crypto::AeadChoice aead = crypto::AeadChoice::automatic;
    Duration busy_poll = Duration::zero();
    TunQueue tun;
    CoalesceOptions offloads;
    const PlanBoard& board;
    ControlMailbox& control;
    // On the worker's thread, once, when it cannot go on.
    std::function<void(const Error&)> failed;
  };

  static Result<std::unique_ptr<Worker>> start(const Setup& setup);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // The board has a new plan, or stop() was called.
  void wake() { wake_.wake(); }
  // A data packet that reached the control thread (the kernel had joined it to a heartbeat). From any thread. False,
  // and the datagram dropped, when the worker is behind.
  bool hand_over(StrayDatagram datagram);
  [[nodiscard]] WorkerCounters counters();

 private:
  class Loop;
  explicit Worker(WakeUp wake) : wake_(std::move(wake)) {}
  [[nodiscard]] std::vector<StrayDatagram> take_inbox();

  WakeUp wake_;
  std::atomic<bool> stopping_{false};
  std::mutex inbox_mutex_;
  std::vector<StrayDatagram> inbox_;
  WorkerCounters counters_;
  std::thread thread_;
};

}  // namespace centipede
