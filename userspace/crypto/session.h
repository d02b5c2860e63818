// One session: the keys of both directions and the counters of the sending lanes. The session id is the key epoch:
// every handshake makes a new Session, so old and new packets in flight never share a key or a window. Ownership:
// shared by the controller (control lane) and the plans that the workers read; keys are wiped with the last one.
// Threading: each lane's counter has one sending thread (a worker, which has a lane of its own, or the control thread:
// lane 127); the tallies are relaxed atomics that anyone may read.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <vector>

#include "crypto/aead.h"
#include "crypto/handshake.h"
#include "crypto/window.h"
#include "wire/message.h"

namespace centipede::crypto {

class Session {
 public:
  // local_sid: what the peer puts into its headers; established.peer_sid: what we put into ours.
  Session(wire::SessionId local_sid, const wire::Params& local_params, Established established);

  [[nodiscard]] wire::SessionId local_sid() const { return local_sid_; }
  [[nodiscard]] wire::SessionId peer_sid() const { return peer_sid_; }
  [[nodiscard]] const wire::Params& local_params() const { return local_params_; }
  [[nodiscard]] const wire::Params& peer_params() const { return peer_params_; }
  [[nodiscard]] const TrafficKey& send_key() const { return send_key_; }
  [[nodiscard]] const TrafficKey& receive_key() const { return receive_key_; }

  // Takes `count` consecutive counters of a lane; the first of them, or nothing when the lane's limit is reached
  // (the session must then be replaced). Called by the lane's own thread only. A number is never handed out twice.
  [[nodiscard]] std::optional<uint64_t> take_counters(uint8_t lane, uint32_t count);

  [[nodiscard]] uint64_t packets_sealed() const;  // over all lanes
  [[nodiscard]] uint64_t failed_tags() const { return failed_tags_.load(std::memory_order_relaxed); }
  void count_failed_tags(uint64_t count) { failed_tags_.fetch_add(count, std::memory_order_relaxed); }

  // Control lane only, one packet: header and tag around `plaintext`. Empty when the lane is exhausted.
  [[nodiscard]] std::vector<uint8_t> seal_control(AeadProvider& aead, ConstBytes plaintext);
  // Control lane only: checks the window, opens, commits. The plaintext, or nothing; the reason is tallied by the
  // caller.
  enum class ControlFailure : uint8_t { malformed, duplicate, too_old, bad_tag };
  [[nodiscard]] std::expected<std::vector<uint8_t>, ControlFailure> open_control(AeadProvider& aead,
                                                                                 ConstBytes datagram);

 private:
  struct alignas(64) Lane {
    std::atomic<uint64_t> next{0};
  };
  static constexpr size_t control_window_words = 1024 / 32;

  wire::SessionId local_sid_;
  wire::SessionId peer_sid_;
  wire::Params local_params_;
  wire::Params peer_params_;
  TrafficKey send_key_;
  TrafficKey receive_key_;
  std::vector<Lane> lanes_;  // local_params.lanes data lanes, then the control lane
  std::array<uint64_t, control_window_words> control_words_{};
  Window control_window_{control_words_};
  std::atomic<uint64_t> failed_tags_{0};
};

}  // namespace centipede::crypto
