// What we answered to one peer's initiations: the newest timestamp accepted, and the response, kept for the copies of
// the same initiation that arrive over other paths. Copies differ in mac2 only; each (source, destination) pair is
// answered once, eight at most. Memory for an answer is there from the first one on. Threading: plain value.
#pragma once

#include <cstring>
#include <memory>
#include <vector>

#include "control/controller.h"
#include "control/token_bucket.h"
#include "crypto/handshake.h"

namespace centipede::control {

struct AcceptedInitiation {
  static constexpr size_t before_mac2 = CP_INITIATION_OFFSET_MAC2;
  uint64_t timestamp_ns = 0;
  std::array<uint8_t, before_mac2> initiation{};
  crypto::ResponseBytes response{};
  wire::SessionId sid = 0;  // of the session that the response belongs to; 0: none
  std::vector<Route> answered;
};

class Answers {
 public:
  // timestamp_ns: the newest accepted before we were started.
  explicit Answers(uint64_t timestamp_ns) : newest_timestamp_ns_(timestamp_ns) {}

  [[nodiscard]] uint64_t newest_timestamp_ns() const { return newest_timestamp_ns_; }
  [[nodiscard]] bool is_newer(uint64_t timestamp_ns) const { return timestamp_ns > newest_timestamp_ns_; }
  // Spent only by initiations whose signature was right: nobody else can use up the peer's share.
  [[nodiscard]] bool within_rate(Instant now) const { return rate_.available(now); }
  void accept(uint64_t timestamp_ns, Instant now) {
    (void)rate_.take(now);
    accepted_ = std::make_unique<AcceptedInitiation>();
    accepted_->timestamp_ns = timestamp_ns;
    newest_timestamp_ns_ = timestamp_ns;
  }
  // A genuine call above the rate: not answered, but it makes all older ones stale. Somebody who recorded many calls
  // could otherwise spend them one after the other, and the rate with them.
  void overtake(uint64_t timestamp_ns) { newest_timestamp_ns_ = timestamp_ns; }
  // The response; the timestamp stays.
  void forget() { accepted_.reset(); }
  void remember(ConstBytes initiation, const crypto::ResponseBytes& response, wire::SessionId sid, const Route& at) {
    std::memcpy(accepted_->initiation.data(), initiation.data(), before_mac2);
    accepted_->response = response;
    accepted_->sid = sid;
    accepted_->answered.push_back(at);
  }
  // The session that the kept response belongs to; 0: none.
  [[nodiscard]] wire::SessionId sid() const { return accepted_ ? accepted_->sid : 0; }
  // The response to send when this is another copy of what was accepted last, over a pair not yet answered.
  [[nodiscard]] const crypto::ResponseBytes* answer_to_copy(uint64_t timestamp_ns, ConstBytes initiation,
                                                            const Route& at) {
    if (!accepted_ || accepted_->sid == 0 || timestamp_ns != accepted_->timestamp_ns) return nullptr;
    if (std::memcmp(accepted_->initiation.data(), initiation.data(), before_mac2) != 0) return nullptr;
    std::vector<Route>& answered = accepted_->answered;
    if (std::ranges::find(answered, at) != answered.end()) return nullptr;
    // Forgetting the oldest pair, never refusing a new one: copies that an attacker sends from made-up addresses must
    // not use up the answer that the genuine copy on another link is waiting for. An answer is shorter than what asked
    // for it.
    if (answered.size() == remembered_pairs) answered.erase(answered.begin());
    answered.push_back(at);
    return &accepted_->response;
  }

 private:
  static constexpr size_t before_mac2 = AcceptedInitiation::before_mac2;
  static constexpr size_t remembered_pairs = 8;
  uint64_t newest_timestamp_ns_;
  std::unique_ptr<AcceptedInitiation> accepted_;
  TokenBucket rate_{milliseconds(200), 5};
};

}  // namespace centipede::control
