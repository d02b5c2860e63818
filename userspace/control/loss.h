// One-way loss of a path over its last 64 heartbeats, from authenticated numbers only: counts of duplicates could be
// forged by anyone on the way. Threading: plain values.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace centipede::control {

// What we miss of the peer's heartbeats: gaps in their numbers.
class InboundLoss {
 public:
  // Starts anew when the peer's path is another one, or when its numbers fell back (the peer restarted).
  // True when this number has not been seen before.
  bool on_number(uint16_t peer_path_id, uint32_t number);
  // Nothing until enough numbers have passed to speak of a rate.
  [[nodiscard]] std::optional<double> rate() const;

 private:
  uint64_t seen_ = 0;  // bit b: number highest_ - b has arrived
  uint32_t highest_ = 0;
  uint32_t first_ = 0;  // 0: nothing yet
  uint16_t peer_path_id_ = 0;
};

// What the peer misses of ours: how far its count of received heartbeats fell behind the highest number it has seen.
// Heartbeats in flight are beyond that number and so outside the reckoning.
class OutboundLoss {
 public:
  void on_report(uint32_t echoed_number, uint32_t heartbeats_received);
  [[nodiscard]] std::optional<double> rate() const;

 private:
  struct Report {
    uint32_t number = 0;
    uint32_t received = 0;
  };
  static constexpr size_t window = 64;
  std::array<Report, window> reports_{};  // a ring, oldest at begin_
  size_t begin_ = 0;
  size_t size_ = 0;
  [[nodiscard]] const Report& at(size_t index) const { return reports_[(begin_ + index) % window]; }
};

}  // namespace centipede::control
