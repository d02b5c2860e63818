#include "dataplane/event_log.h"

#include <algorithm>
#include <utility>

namespace centipede {

void EventLog::post(TunnelEvent event) {
  const auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
  event.time_ms = static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(since_1970).count());
  {
    const std::scoped_lock lock(mutex_);
    event.number = ++newest_;
    events_.push_back(std::move(event));
    if (events_.size() > capacity) events_.pop_front();
  }
  changed_.notify_all();
}

std::vector<TunnelEvent> EventLog::after(uint64_t number, size_t most) const {
  const std::scoped_lock lock(mutex_);
  const auto first = std::ranges::upper_bound(events_, number, {}, &TunnelEvent::number);
  const auto count = std::min<size_t>(most, static_cast<size_t>(events_.end() - first));
  return {first, first + static_cast<std::ptrdiff_t>(count)};
}

uint64_t EventLog::newest() const {
  const std::scoped_lock lock(mutex_);
  return newest_;
}

bool EventLog::wait_after(uint64_t number, std::chrono::milliseconds time) const {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, time, [&] { return interrupted_ || newest_ > number; });
  return !interrupted_ && newest_ > number;
}

void EventLog::interrupt() {
  {
    const std::scoped_lock lock(mutex_);
    interrupted_ = true;
  }
  changed_.notify_all();
}

}  // namespace centipede
