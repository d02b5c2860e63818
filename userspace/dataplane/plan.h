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

// Session id to entry. Session ids are random, so their bits are the hash: the high ones choose one of 256 shards, the
// low ones the slot in it (open addressing in a power of two of slots, at most half full; an empty slot has the sid 0,
// which no session has). A copy shares the shards, and a change makes one shard anew, so that publishing a session does
// not cost a row for each one there is.
class SessionTable {
 public:
  SessionTable() = default;
  explicit SessionTable(const std::vector<ReceiveEntry>& entries);

  [[nodiscard]] const ReceiveEntry* find(wire::SessionId sid) const {
    const Shard& slots = shards_[shard_of(sid)];
    if (!slots) return nullptr;
    for (size_t slot = sid & (slots->size() - 1);; slot = (slot + 1) & (slots->size() - 1)) {
      const ReceiveEntry& entry = (*slots)[slot];
      if (entry.sid == 0) return nullptr;
      if (entry.sid == sid) return &entry;
    }
  }
  [[nodiscard]] size_t size() const { return size_; }

  // Its sid is not 0 and not in the table.
  void insert(ReceiveEntry entry);
  void erase(wire::SessionId sid);

 private:
  using Slots = std::vector<ReceiveEntry>;
  using Shard = std::shared_ptr<const Slots>;  // null: empty
  [[nodiscard]] static size_t shard_of(wire::SessionId sid) { return sid >> 56; }
  [[nodiscard]] static std::vector<ReceiveEntry> entries_of(const Shard& shard);
  [[nodiscard]] static Shard made_of(std::vector<ReceiveEntry> entries);

  std::array<Shard, 256> shards_;
  size_t size_ = 0;
};

struct Plan {
  control::Forwarding forwarding;
  SessionTable sessions;
  std::array<std::shared_ptr<UplinkIo>, CP_MAX_UPLINKS> uplinks;  // null: no such uplink, or its device is away

  [[nodiscard]] const control::PeerForwarding* peer(control::PeerId id) const { return forwarding.peers.find(id); }
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
