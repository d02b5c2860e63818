// The controller's decisions as the workers need them: who gets a packet, under which session, on which paths.
// Ownership: immutable, shared; a new one is made when a decision changes. Only the counters inside are written, each
// row by its own worker. Threading: safe to read anywhere.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/address.h"
#include "control/allowed_ips.h"
#include "control/settings.h"
#include "crypto/session.h"

namespace centipede::control {

// What went over one path. Row w belongs to worker w (relaxed, single writer).
class PathCounters {
 public:
  struct alignas(64) Row {
    std::atomic<uint64_t> sent_packets{0};
    std::atomic<uint64_t> sent_bytes{0};  // datagram payload: header, tag and ciphertext
    std::atomic<uint64_t> send_errors{0};
    std::atomic<uint64_t> first_packets{0};  // arrived here before any copy did
    std::atomic<uint64_t> first_bytes{0};
    std::atomic<uint64_t> duplicate_packets{0};  // dropped by the worker: a copy was first
  };
  explicit PathCounters(unsigned workers) : rows_(workers) {}

  [[nodiscard]] Row& row(size_t index) { return rows_[index]; }
  [[nodiscard]] uint64_t sum(std::atomic<uint64_t> Row::* member) const {
    uint64_t total = 0;
    for (const Row& row : rows_)
      total += (row.*member).load(std::memory_order_relaxed);
    return total;
  }
  // Copies that the XDP program dropped on this path; told from time to time by the owner of the BPF maps.
  std::atomic<uint64_t> dropped_early{0};

 private:
  std::vector<Row> rows_;
};

// One row writer adds without a locked instruction.
inline void add_relaxed(std::atomic<uint64_t>& counter, uint64_t count) {
  counter.store(counter.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
}

struct DataPath {
  uint16_t id = 0;
  UplinkId uplink = 0;
  IpAddress local;
  Endpoint remote;
  std::shared_ptr<PathCounters> counters;
};

struct PeerForwarding {
  PeerId id = 0;
  std::string name;
  std::shared_ptr<crypto::Session> send_session;  // null: no session, or not yet confirmed by the peer
  std::vector<DataPath> send_paths;               // every packet goes out on each of these; empty: nowhere to send
  std::vector<DataPath> paths;                    // all known ones, for accounting of what arrives
};

struct ReceiveSession {
  PeerId peer = 0;
  std::shared_ptr<crypto::Session> session;
};

struct Forwarding {
  std::shared_ptr<const AllowedIps> routes;
  // Indexed by PeerId; null where a peer has been removed.
  std::vector<std::shared_ptr<const PeerForwarding>> peers;
  std::vector<ReceiveSession> sessions;  // previous, current and next ones of all peers
};

}  // namespace centipede::control
