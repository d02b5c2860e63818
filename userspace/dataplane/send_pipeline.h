// From TUN to the paths: route by inner destination, segment, number on this worker's lane, seal once, send the same
// bytes on every path the policy chose. Packets of one size to one peer are collected into a train, sealed in one batch
// and handed to each path as one segmented send (UDP_SEGMENT). A train goes out on the first path as soon as it is
// sealed, on the others when all of the burst have gone out on the first: the copies come a little later then, when the
// receiver has opened the first ones, and die before they cost it anything.
//
// A path that refuses a train costs that path its copies and nothing else: the reason is counted and the heartbeats
// find out about the path. Ownership: owns its buffers; borrows the provider and counters of its worker. Threading: one
// worker.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "crypto/aead.h"
#include "dataplane/offload.h"
#include "dataplane/plan.h"
#include "dataplane/tunnel_status.h"

namespace centipede {

class SendPipeline {
 public:
  SendPipeline(unsigned worker, unsigned mtu, crypto::AeadProvider& aead, WorkerCounters& counters);

  // One read from TUN: an IP packet or a super-packet. May leave packets in the train until flush().
  void packet(const Plan& plan, const VirtioHeader& header, ConstBytes packet);
  // Seals and sends what has been collected. To be called before `plan` is let go.
  void flush(const Plan& plan);

 private:
  [[nodiscard]] const control::PeerForwarding* destination(const Plan& plan, ConstBytes packet);
  void append(const Plan& plan, size_t payload_size);
  [[nodiscard]] bool seal_train();
  void send_train(const Plan& plan);
  // Packets of packet_size bytes back to back, the last perhaps shorter.
  struct Train {
    ConstBytes bytes;
    size_t packet_size = 0;
    size_t count = 0;
  };
  void send_on_path(UplinkIo* uplink, const control::DataPath& path, const Train& train);
  size_t send_one_by_one(UplinkIo& uplink, const control::DataPath& path, const Train& train);

  unsigned worker_;
  size_t mtu_;
  crypto::AeadProvider& aead_;
  WorkerCounters& counters_;

  // The train that grows lies in buffer_[begin_, end_); before it those that have gone out on the first path only.
  std::vector<uint8_t> buffer_;
  size_t begin_ = 0;
  size_t end_ = 0;
  size_t packet_size_ = 0;
  size_t count_ = 0;
  std::vector<Train> sealed_;
  const control::PeerForwarding* peer_ = nullptr;
  std::vector<crypto::AeadJob> jobs_;
};

}  // namespace centipede
