// The receiving sessions of all peers as the data plane keeps them: a stretch of the windows array each, an entry in
// the `sessions` BPF map (as long as that has room; without one their packets come through the UDP sockets), and what
// each uplink's XDP program dropped for them. Threading: the control thread.
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

class ReceiveSessions {
 public:
  struct Limits {
    uint32_t workers = 1;
    uint32_t slots = 0;              // rows of session_counters / CP_MAX_UPLINKS
    uint32_t words_per_session = 0;  // a session's share of the windows array
  };
  // program may be null: no XDP.
  ReceiveSessions(XdpProgram* program, WindowPool& pool, const Limits& limits);

  // False when there is no window memory left for it: until retry() finds some, its packets count as of an unknown
  // session.
  bool add(control::PeerId peer, const std::shared_ptr<crypto::Session>& session);
  void remove(wire::SessionId sid);
  // True when a session that had to wait for window memory has got it.
  bool retry();

  [[nodiscard]] std::vector<ReceiveEntry> entries() const;
  // Whether all of them are in the `sessions` BPF map.
  [[nodiscard]] bool all_listed() const { return waiting_.empty() && unlisted_ == 0; }

  // Adds what XDP has dropped since the last call to PathCounters::dropped_early of the peers' paths.
  void collect_counters(const control::Forwarding& forwarding);

 private:
  static constexpr uint32_t no_slot = UINT32_MAX;
  struct Row {
    ReceiveEntry entry;
    uint32_t slot = no_slot;
    std::array<uint64_t, CP_MAX_UPLINKS> seen_drops{};
  };
  void collect(Row& row, const control::Forwarding& forwarding);

  XdpProgram* program_;
  WindowPool& pool_;
  Limits limits_;
  std::vector<uint32_t> free_slots_;
  std::unordered_map<wire::SessionId, Row> rows_;
  size_t unlisted_ = 0;  // of rows_
  std::vector<control::ReceiveSession> waiting_;
};

}  // namespace centipede
