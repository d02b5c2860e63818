// The controller's decisions as the workers need them: who gets a packet, under which session, on which paths.
// Ownership: immutable, shared; a new one is made when a decision changes. Only the counters inside are written, each
// row by its own worker. Threading: safe to read anywhere.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>
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
  // Packets that came here after another path had brought them.
  [[nodiscard]] uint64_t copies() const {
    return dropped_early.load(std::memory_order_relaxed) + sum(&Row::duplicate_packets);
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
  std::shared_ptr<crypto::Session> send_session;  // null: no session, or not yet confirmed by the peer
  std::vector<DataPath> send_paths;               // every packet goes out on each of these; empty: nowhere to send
  std::vector<DataPath> paths;                    // all known ones, for accounting of what arrives
};

// PeerId to PeerForwarding, in pages: a copy shares them, and a change makes one page anew. So publishing what changed
// for one of ten thousand peers copies a few hundred pointers.
class PeerTable {
 public:
  using Row = std::shared_ptr<const PeerForwarding>;

  [[nodiscard]] size_t size() const { return size_; }
  // Null where a peer has been removed. Below size().
  [[nodiscard]] const Row& operator[](size_t id) const { return (*pages_[id / page_rows])[id % page_rows]; }
  // Null beyond the end, too.
  [[nodiscard]] const PeerForwarding* find(PeerId id) const { return id < size_ ? (*this)[id].get() : nullptr; }
  void set(PeerId id, Row row);
  void push_back(Row row) { set(static_cast<PeerId>(size_), std::move(row)); }

 private:
  static constexpr size_t page_rows = 64;
  using Page = std::array<Row, page_rows>;
  std::vector<std::shared_ptr<const Page>> pages_;
  size_t size_ = 0;
};

struct ReceiveSession {
  PeerId peer = 0;
  std::shared_ptr<crypto::Session> session;
};

struct Forwarding {
  std::shared_ptr<const AllowedIps> routes;
  PeerTable peers;
};

}  // namespace centipede::control
