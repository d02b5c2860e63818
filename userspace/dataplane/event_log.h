// What has happened to a running tunnel, for those who watch it: the newest events, each with a number that counts up
// from 1. Who comes late or reads slowly misses the oldest and sees it by the numbers.
// Threading: any. Bounds: the newest 1,024 events.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <vector>

namespace centipede {

struct TunnelEvent {
  enum class Level : uint8_t { debug, info, warning, error };
  uint64_t number = 0;   // given by EventLog
  uint64_t time_ms = 0;  // since 1970; given by EventLog
  Level level = Level::info;
  // What it is about, for programs: "path", "session", "handshake", "peer", "uplink", "settings", "tunnel".
  std::string kind;
  std::string peer;    // its name; empty: about none
  std::string uplink;  // likewise
  std::string text;    // one line for people, no secrets
};

class EventLog {
 public:
  static constexpr size_t capacity = 1024;

  void post(TunnelEvent event);
  // Those after `number` that are still there, oldest first, at most `most`.
  [[nodiscard]] std::vector<TunnelEvent> after(uint64_t number, size_t most = capacity) const;
  [[nodiscard]] uint64_t newest() const;
  // Waits until there is one after `number`; false when the time is over or interrupt() was called.
  bool wait_after(uint64_t number, std::chrono::milliseconds time) const;
  // Every wait ends, now and later.
  void interrupt();

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::deque<TunnelEvent> events_;
  uint64_t newest_ = 0;
  bool interrupted_ = false;
};

}  // namespace centipede
