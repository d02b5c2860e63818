// The data plane of one simulated host: what a worker does with a packet, on lane 0, and nothing else. It is where the
// promises are checked: nothing is delivered twice, nothing that was not sent, no number is used twice under one key.
// Threading: one thread.
#pragma once

#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "control/controller.h"

namespace centipede::sim {

// What all hosts together have sent and received, across restarts.
class Ledger {
 public:
  // A payload names its sender, its recipient and itself.
  struct Payload {
    uint64_t id = 0;
    uint32_t from = 0;
    uint32_t to = 0;
  };
  Payload new_payload(uint32_t from, uint32_t to);
  void on_delivered(const Payload& payload, uint32_t at);
  // Every datagram of a session that leaves a host: the same number only ever with the same bytes.
  void on_session_datagram(ConstBytes datagram);

  [[nodiscard]] const std::vector<std::string>& violations() const { return violations_; }
  void violation(std::string text) { violations_.push_back(std::move(text)); }
  [[nodiscard]] uint64_t sent() const { return payloads_.size(); }
  [[nodiscard]] uint64_t delivered() const { return delivered_count_; }
  // Delivered from one host to another.
  [[nodiscard]] uint64_t delivered(uint32_t from, uint32_t to) const;

 private:
  struct Sent {
    Payload payload;
    bool delivered = false;
  };
  std::vector<Sent> payloads_;                               // by id
  std::map<std::pair<uint64_t, uint64_t>, size_t> numbers_;  // (session id, number) → hash of the datagram
  std::map<std::pair<uint32_t, uint32_t>, uint64_t> delivered_;
  uint64_t delivered_count_ = 0;
  std::vector<std::string> violations_;
};

class DataTraffic {
 public:
  DataTraffic(Ledger& ledger, uint32_t self) : ledger_(ledger), self_(self), aead_(crypto::make_sodium_aead()) {}

  void add(const std::shared_ptr<crypto::Session>& session);
  void remove(wire::SessionId sid) { receiving_.erase(sid); }

  // One packet to the peer, sealed once; the bytes to send on each of its paths. Empty when there is no session.
  [[nodiscard]] std::vector<uint8_t> seal(const control::PeerForwarding& peer, uint32_t to);
  void on_datagram(ConstBytes datagram);

 private:
  struct Receiving {
    std::shared_ptr<crypto::Session> session;
    std::vector<uint64_t> words;
    crypto::Window window;
  };
  Ledger& ledger_;
  uint32_t self_;
  std::unique_ptr<crypto::AeadProvider> aead_;
  std::unordered_map<wire::SessionId, Receiving> receiving_;
};

}  // namespace centipede::sim
