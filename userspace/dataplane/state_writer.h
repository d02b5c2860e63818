// Keeps the state file (dataplane/state_file.h) current from a thread of its own, because disks may be slow or full.
//
// A snapshot is written whole beside the old file and put in its place, each step synced to the disk: a reader finds
// one or the other, whatever ends the process. Between two writes lie a second or more, so that 20 kB are written a
// second on average. A write that fails leaves the old file and is tried again, after 1 s at first and up to 60 s
// later; an event says so once, and once when it works again.
//
// Threading: one owner (the control thread) calls everything; nothing but save_now() and the destructor waits.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "base/result.h"
#include "base/time.h"
#include "crypto/keys.h"
#include "dataplane/event_log.h"
#include "dataplane/state_file.h"

namespace centipede {

// Puts a file of mode 0600 with this content at `path`, durably, and its folder of mode 0700 if there is none. When it
// fails, what was at `path` is there still. Only one caller at a time for one path.
Result<void> replace_file(const std::string& path, std::string_view content);

// What must pass after `bytes` were written, and after so many failures in a row (1 or more).
[[nodiscard]] Duration pause_after_write(size_t bytes);
[[nodiscard]] Duration pause_after_failure(unsigned failures);

class StateWriter {
 public:
  using WriteFile = std::function<Result<void>(const std::string& path, std::string_view content)>;

  // May be called on the writer's thread.
  using Tell = std::function<void(TunnelEvent::Level, std::string)>;

  // `patience`: how long the destructor waits for the newest snapshot to be written.
  StateWriter(std::string path, const crypto::PublicKey& own_key, Tell tell, WriteFile write_file = replace_file,
              Duration patience = seconds(5));
  // Writes the newest snapshot if it was not yet, trying once. A disk that does not answer keeps the thread, not us.
  ~StateWriter();
  StateWriter(const StateWriter&) = delete;
  StateWriter& operator=(const StateWriter&) = delete;

  // To be written when it is time; a later one takes its place.
  void save(SavedState state);
  // As save(), and waits until this or a later snapshot is durable. False when that takes longer than `timeout`.
  [[nodiscard]] bool save_now(SavedState state, Duration timeout);

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
  Duration patience_;
  std::thread thread_;
};

}  // namespace centipede
