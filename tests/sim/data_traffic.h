// The data plane of one simulated host: what a worker does with a packet, on each of its lanes, and nothing else.
// Threading: one thread.
#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "control/controller.h"
#include "ledger.h"
#include "sim_random.h"

namespace centipede::sim {

class DataTraffic {
 public:
  DataTraffic(Ledger& ledger, uint32_t self) : ledger_(ledger), self_(self), aead_(crypto::make_sodium_aead()) {}

  void add(const std::shared_ptr<crypto::Session>& session);
  void remove(wire::SessionId sid) { receiving_.erase(sid); }

  // One packet to the peer, sealed once, on one of our lanes; the bytes to send on each of its paths. Empty when there
  // is no session or no path.
  [[nodiscard]] std::vector<uint8_t> seal(const control::PeerForwarding& peer, uint32_t to, SimRandom& random,
                                          Instant now);
  void on_datagram(ConstBytes datagram);

 private:
  struct Lane {
    std::vector<uint64_t> words;
    crypto::Window window;
  };
  struct Receiving {
    std::shared_ptr<crypto::Session> session;
    std::vector<Lane> lanes;
  };
  Ledger& ledger_;
  uint32_t self_;
  std::unique_ptr<crypto::AeadProvider> aead_;
  std::unordered_map<wire::SessionId, Receiving> receiving_;
};

}  // namespace centipede::sim
