// The receiving sessions of all peers as the data plane keeps them: a window each, an entry in the `sessions` BPF map,
// and what each uplink's XDP program dropped for them.
//
// Policy: BPF maps cannot grow, and arrays are backed by memory from the start. So what is costly is there for the
// sessions that may well be in use at once, not for all that may be, and who comes later does with less:
//   window     in the array that XDP sees (shared); else in memory of the process (plain): the workers drop the copies
//              then. When half of that is used, a session gets no more than what is reserved for each.
//   entry      for every session; one for which the kernel has no memory receives through the UDP sockets.
//   counters   for the first ones; copies dropped early for others are in no path's count.
// Threading: the control thread.
#pragma once

#include <centipede/abi.h>

#include <array>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "control/forwarding.h"
#include "dataplane/plan.h"
#include "dataplane/window_pool.h"
#include "dataplane/xdp.h"

namespace centipede {

// How much there is of everything, for so many peers at the start and 256 more that are added while it runs.
struct SessionCapacity {
  uint32_t sessions = 0;           // entries of `sessions`: all that the controller may have
  uint32_t counted = 0;            // of them with rows in session_counters
  uint32_t shared_words = 0;       // of `windows`, backed by memory at once
  uint32_t plain_words = 0;        // of WindowMemory, address space until a session gets some of it
  uint32_t words_per_session = 0;  // the most that one gets
  uint32_t reserved_words = 0;     // what each one is sure of
};
[[nodiscard]] SessionCapacity session_capacity(size_t peers, unsigned window_bits);

class ReceiveSessions {
 public:
  // program and shared may be null: no XDP. The pools and the program must outlive this.
  ReceiveSessions(XdpProgram* program, WindowPool* shared, WindowPool& plain, const SessionCapacity& capacity);

  enum class Added : uint8_t {
    whole,
    shrunk,   // with windows smaller than wanted, for want of memory: what is reordered by more is dropped
    waiting,  // no window memory left: until retry() finds some, its packets count as of an unknown session
  };
  Added add(control::PeerId peer, const std::shared_ptr<crypto::Session>& session);
  // Adds what XDP has dropped for it first, as collect_counters() does.
  void remove(wire::SessionId sid, const control::PeerTable& peers);
  // True when a session that had to wait for window memory has got it.
  bool retry();

  // Since the start.
  [[nodiscard]] uint64_t shrunk() const { return shrunk_; }
  // Now.
  [[nodiscard]] size_t waiting() const { return waiting_.size(); }

  // Of all that have windows.
  [[nodiscard]] const SessionTable& table() const { return table_; }
  // Whether all of them are in the `sessions` BPF map.
  [[nodiscard]] bool all_listed() const { return waiting_.empty() && unlisted_ == 0; }

  // Adds what XDP has dropped since the last call to PathCounters::dropped_early of the peers' paths.
  void collect_counters(const control::PeerTable& peers);

 private:
  struct Row {
    control::PeerId peer = 0;
    bool listed = false;  // in `sessions`
    uint32_t slot = CP_NO_COUNTERS;
  };
  using Drops = std::array<uint64_t, CP_MAX_UPLINKS>;
  struct Windows {
    std::shared_ptr<WindowRange> range;
    bool shrunk = false;
  };
  [[nodiscard]] Windows windows_for(const crypto::Session& session);
  [[nodiscard]] Row list(const ReceiveEntry& entry);
  void collect(const Row& row, const control::PeerTable& peers);

  XdpProgram* program_;
  WindowPool* shared_;
  WindowPool& plain_;
  SessionCapacity capacity_;
  std::vector<uint32_t> free_slots_;
  std::vector<Drops> seen_drops_;  // by slot
  std::unordered_map<wire::SessionId, Row> rows_;
  SessionTable table_;
  size_t unlisted_ = 0;  // of rows_
  uint64_t shrunk_ = 0;
  std::vector<control::ReceiveSession> waiting_;
};

}  // namespace centipede
