// From datagrams to TUN: session → window pre-check → open in a batch → commit to the window → inner source → TUN.
//
// The order is the point: only a packet that has authenticated changes the window, so a corrupted or forged copy on one
// link can never suppress the genuine packet on another. Every refusal is one counted reason.
//
// Ownership: owns its scratch arrays; borrows the provider, the TUN queue and the counters of its worker. The
// datagrams' memory is the caller's, is decrypted in place and is free again when process() returns. Threading: one
// worker.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "crypto/aead.h"
#include "dataplane/coalesce.h"
#include "dataplane/mailbox.h"
#include "dataplane/plan.h"
#include "dataplane/tun.h"
#include "dataplane/tunnel_status.h"

namespace centipede {

// One datagram's UDP payload and where it came from.
struct Arrival {
  Bytes payload;
  control::UplinkId uplink = 0;
  IpAddress local;
  Endpoint remote;
};

class ReceivePipeline {
 public:
  static constexpr size_t max_batch = 128;

  ReceivePipeline(unsigned worker, crypto::AeadProvider& aead, TunQueue tun, CoalesceOptions offloads,
                  ControlMailbox& control, WorkerCounters& counters);

  // Any number of arrivals; they go through in batches of max_batch.
  void process(const Plan& plan, std::span<const Arrival> arrivals);

 private:
  struct Candidate {
    const Arrival* arrival;
    const ReceiveEntry* entry;
    crypto::Window window;
    uint64_t counter;
  };

  void process_batch(const Plan& plan, std::span<const Arrival> arrivals);
  void admit(const Plan& plan, const Arrival& arrival);
  void open_candidates();
  void deliver(const Plan& plan, const Candidate& candidate, Bytes plaintext);
  void write_out();
  // The counters of the path that an arrival came over; null when it is none of the peer's known paths.
  [[nodiscard]] control::PathCounters::Row* path_row(const Plan& plan, control::PeerId peer,
                                                     const Arrival& arrival) const;
  void count_refused(const Plan& plan, const Arrival& arrival, const ReceiveEntry& entry,
                     crypto::WindowVerdict verdict);

  unsigned worker_;
  crypto::AeadProvider& aead_;
  TunQueue tun_;
  ControlMailbox& control_;
  WorkerCounters& counters_;
  Coalescer coalescer_;
  std::vector<Candidate> candidates_;
  std::vector<crypto::AeadJob> jobs_;
};

}  // namespace centipede
