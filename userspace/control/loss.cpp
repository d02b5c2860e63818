#include "control/loss.h"

#include <algorithm>
#include <bit>

namespace centipede::control {
namespace {

constexpr uint32_t enough = 8;

}  // namespace

bool InboundLoss::on_number(uint16_t peer_path_id, uint32_t number) {
  const bool fell_back = number < highest_ && highest_ - number >= 64;
  if (first_ == 0 || peer_path_id != peer_path_id_ || fell_back) {
    peer_path_id_ = peer_path_id;
    first_ = highest_ = number;
    seen_ = 1;
    return true;
  }
  if (number > highest_) {
    const uint32_t step = number - highest_;
    seen_ = step >= 64 ? 1 : (seen_ << step) | 1;
    highest_ = number;
    return true;
  }
  const uint64_t bit = uint64_t{1} << (highest_ - number);
  const bool fresh = (seen_ & bit) == 0;
  seen_ |= bit;
  first_ = std::min(first_, number);
  return fresh;
}

std::optional<double> InboundLoss::rate() const {
  if (first_ == 0) return std::nullopt;
  const uint32_t span = std::min<uint32_t>(64, highest_ - first_ + 1);
  if (span < enough) return std::nullopt;
  return 1.0 - static_cast<double>(std::popcount(seen_)) / span;
}

void OutboundLoss::on_report(uint32_t echoed_number, uint32_t heartbeats_received) {
  if (size_ > 0) {
    const Report& last = at(size_ - 1);
    // The peer counts from zero again: it has made this path anew.
    if (heartbeats_received < last.received || echoed_number < last.number)
      size_ = 0;
    else if (echoed_number == last.number)
      return;
  }
  if (size_ == window) {
    begin_ = (begin_ + 1) % window;
    --size_;
  }
  reports_[(begin_ + size_) % window] = {echoed_number, heartbeats_received};
  ++size_;
  while (size_ > 1 && echoed_number - at(0).number > window) {
    // One report before the window is kept, so that a long gap is seen as the loss it is.
    if (echoed_number - at(1).number < window / 2) break;
    begin_ = (begin_ + 1) % window;
    --size_;
  }
}

std::optional<double> OutboundLoss::rate() const {
  if (size_ < 2) return std::nullopt;
  const Report& oldest = at(0);
  const Report& newest = at(size_ - 1);
  const uint32_t sent = newest.number - oldest.number;
  if (sent < enough) return std::nullopt;
  const double arrived = static_cast<double>(newest.received - oldest.received) / sent;
  return std::clamp(1.0 - arrived, 0.0, 1.0);
}

}  // namespace centipede::control
