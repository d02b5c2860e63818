// The forwarding plan: all that a worker reads to do its work, immutable, published whole by the control thread.
//
// Publishing is a version number that workers compare once a round and, only when it has moved, a shared_ptr copied
// under a mutex; nothing is locked or counted per packet. An old plan, with the keys and sockets in it, goes when the
// last worker has moved on. Threading: Plan is immutable; PlanBoard has one publisher and any number of readers.
#pragma once

#include <centipede/abi.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "control/forwarding.h"
#include "dataplane/uplink_io.h"
#include "dataplane/window_pool.h"

namespace centipede {

// A session as the receiving side needs it.
struct ReceiveEntry {
  wire::SessionId sid = 0;
  control::PeerId peer = 0;
  std::shared_ptr<crypto::Session> session;
  std::shared_ptr<WindowRange> windows;
};

// Session id to entry: open addressing in a power of two of slots, at most half full. Session ids are random, so their
// low bits are the hash.
class SessionTable {
 public:
  SessionTable() = default;
  explicit SessionTable(std::vector<ReceiveEntry> entries);

  [[nodiscard]] const ReceiveEntry* find(wire::SessionId sid) const {
    if (slots_.empty()) return nullptr;
    for (size_t slot = sid & (slots_.size() - 1);; slot = (slot + 1) & (slots_.size() - 1)) {
      const uint32_t index = slots_[slot];
      if (index == empty) return nullptr;
      if (entries_[index].sid == sid) return &entries_[index];
    }
  }

 private:
  static constexpr uint32_t empty = UINT32_MAX;
  std::vector<ReceiveEntry> entries_;
  std::vector<uint32_t> slots_;
};

struct Plan {
  control::Forwarding forwarding;
  SessionTable sessions;
  std::array<std::shared_ptr<UplinkIo>, CP_MAX_UPLINKS> uplinks;  // null: no such uplink, or its device is away

  [[nodiscard]] const control::PeerForwarding* peer(control::PeerId id) const {
    return id < forwarding.peers.size() ? forwarding.peers[id].get() : nullptr;
  }
};

class PlanBoard {
 public:
  void publish(std::shared_ptr<const Plan> plan) {
    const std::scoped_lock lock(mutex_);
    plan_.swap(plan);
    version_.fetch_add(1, std::memory_order_release);
  }
  [[nodiscard]] uint64_t version() const { return version_.load(std::memory_order_acquire); }
  [[nodiscard]] std::shared_ptr<const Plan> current() const {
    const std::scoped_lock lock(mutex_);
    return plan_;
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const Plan> plan_ = std::make_shared<Plan>();
  std::atomic<uint64_t> version_{1};
};

}  // namespace centipede
