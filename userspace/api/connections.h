// The connections of one listening socket: one thread reads requests and writes answers for all of them and never waits
// for anybody, others work the answers out (api/request_workers.h). So whoever sends or reads slowly holds up nobody.
//
// Bounds: `connections` at a time; when there are as many and another waits, the one that has been sending a request or
// reading an answer for longest, and for longer than `patience`, is cut off. What is read and not answered, also while
// its answer is being worked out, and answered and not read, is at most `buffered_bytes` together. `streams` of events;
// one whose reader stalls for `stall_time` is cut off. Events that a slow reader misses are gaps in the numbers, since
// EventLog keeps the newest only.
//
// Ownership: owns the socket and its threads; router, events and counters must outlive it. Destroying it drops requests
// that nobody has begun, waits for the others and lets their answers be read. Threading: start and destroy on one
// thread; events_came() from any.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>

#include "api/router.h"
#include "api/unix_socket.h"
#include "base/result.h"

namespace centipede::api {

struct ConnectionLimits {
  unsigned threads = 8;
  size_t connections = 128;
  size_t streams = 32;
  size_t body_bytes = size_t{4} * 1024 * 1024;
  size_t buffered_bytes = size_t{64} * 1024 * 1024;
  std::chrono::milliseconds request_time{5000};  // from the first to the last byte of a request
  std::chrono::milliseconds answer_time{5000};   // of the whole answer
  std::chrono::milliseconds patience{250};
  std::chrono::milliseconds heartbeat_time{15000};  // of a stream that has nothing to say
  std::chrono::milliseconds stall_time{10000};
};

class Connections {
 public:
  static Result<std::unique_ptr<Connections>> start(const Router& router, const EventLog& events, ApiCounters& counters,
                                                    UnixListener listener, bool may_change,
                                                    const ConnectionLimits& limits);
  ~Connections();

  void events_came();

 private:
  class Impl;
  explicit Connections(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace centipede::api
