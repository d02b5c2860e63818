// What all hosts together have sent and received, across restarts, and what was promised about it: nothing is delivered
// twice, nothing that was not sent, nothing to somebody else. Threading: one thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"

namespace centipede::sim {

// One line for each promise that was broken.
using Violations = std::vector<std::string>;

// Session ids for people.
[[nodiscard]] std::string hex(uint64_t value);
// A datagram for people: what it claims to be, then its bytes.
[[nodiscard]] std::string describe(ConstBytes datagram, size_t most_bytes = SIZE_MAX);

class Ledger {
 public:
  explicit Ledger(Violations& violations) : violations_(violations) {}

  // A payload names its sender, its recipient and itself.
  struct Payload {
    uint64_t id = 0;
    uint32_t from = 0;
    uint32_t to = 0;
  };
  Payload new_payload(uint32_t from, uint32_t to, Instant now);
  void on_delivered(const Payload& payload, uint32_t at, ConstBytes datagram);

  [[nodiscard]] uint64_t sent() const { return payloads_.size(); }
  [[nodiscard]] uint64_t delivered() const { return delivered_; }
  struct Flow {
    uint64_t sent = 0;
    uint64_t delivered = 0;
  };
  // Between these two, of what was sent in [begin, end).
  [[nodiscard]] std::map<std::pair<uint32_t, uint32_t>, Flow> flows(Instant begin, Instant end) const;

 private:
  struct Sent {
    Payload payload;
    Instant at;
    bool delivered = false;
  };
  Violations& violations_;
  std::vector<Sent> payloads_;  // by id
  uint64_t delivered_ = 0;
};

}  // namespace centipede::sim
