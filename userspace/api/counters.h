// What the API counts of itself. Threading: any.
#pragma once

#include <atomic>
#include <cstdint>

namespace centipede::api {

struct ApiCounters {
  std::atomic<uint64_t> requests = 0;           // answered, whatever the answer
  std::atomic<uint64_t> refused = 0;            // of these, with an error
  std::atomic<uint64_t> connections_cut = 0;    // whose request or reading of the answer took too long or too much
  std::atomic<uint64_t> event_streams = 0;      // that are open
  std::atomic<uint64_t> event_streams_cut = 0;  // whose readers were too slow
};

}  // namespace centipede::api
