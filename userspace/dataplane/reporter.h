// Every event of the tunnel goes through here: into the log, and to those who watch (event_log.h). One line each, no
// secrets. Of each kind a burst of 100 and one a second from then on, so that nobody from outside fills the disk or
// pushes out what else has happened; how many were left out is told.
// Threading: any. Bounds: a few words for each kind.
#pragma once

#include <map>
#include <mutex>
#include <string>

#include "base/time.h"
#include "control/token_bucket.h"
#include "dataplane/event_log.h"

namespace centipede {

class Reporter {
 public:
  explicit Reporter(EventLog& events) : events_(events) {}

  // event.kind is one of the few that event_log.h names.
  void report(TunnelEvent event, Instant now);
  // One line for each kind of which some were left out, every 10 s at most. To be called now and then.
  void tell_left_out(Instant now);

 private:
  struct Kind {
    control::TokenBucket rate{seconds(1), 100};
    uint64_t left_out = 0;
    Instant tell_at{};
  };
  void publish(TunnelEvent event);

  EventLog& events_;
  std::mutex mutex_;
  std::map<std::string, Kind> kinds_;
};

}  // namespace centipede
