// One accepted connection of the API: the request as it arrives, the answer as it leaves, or a stream of events. It is
// told when its socket is ready and never waits. Ownership: owns the socket. Threading: one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "api/request_reader.h"
#include "base/file_descriptor.h"
#include "dataplane/event_log.h"

namespace centipede::api {

using ApiClock = std::chrono::steady_clock;

class Connection {
 public:
  enum class State : uint8_t {
    reading,    // a request
    working,    // it is whole; somebody works the answer out
    writing,    // the answer, and then it ends
    streaming,  // events, until somebody ends it
    ended,
  };

  Connection(FileDescriptor socket, size_t longest_body, ApiClock::time_point now)
      : socket_(std::move(socket)), reader_(longest_body), since_(now) {}
  Connection(Connection&&) noexcept = default;
  Connection& operator=(Connection&&) noexcept = default;
  ~Connection();

  [[nodiscard]] int fd() const { return socket_.get(); }
  [[nodiscard]] State state() const { return state_; }
  // When this state began, or, of one that writes, the last byte left.
  [[nodiscard]] ApiClock::time_point since() const { return since_; }
  [[nodiscard]] ApiClock::time_point begun() const { return begun_; }
  [[nodiscard]] bool has_output() const { return written_ < output_.size(); }
  // The request, until it is answered, and of the answer what has not left.
  [[nodiscard]] size_t buffered() const { return reader_.size() + taken_ + output_.size(); }

  // While reading. A request that cannot become whole is left with problem().
  void read(ApiClock::time_point now);
  [[nodiscard]] bool request_whole() const { return reader_.whole(); }
  [[nodiscard]] std::optional<RequestProblem> problem() const;
  // Goes to `working`.
  [[nodiscard]] RequestReader take_request(ApiClock::time_point now);

  void answer(std::string bytes, ApiClock::time_point now);
  void follow(std::string head, uint64_t after, ApiClock::time_point now);
  // While streaming: more of the log, when all before has left.
  void feed(const EventLog& events, ApiClock::time_point now);
  void heartbeat(ApiClock::time_point now);
  // What fits.
  void write(ApiClock::time_point now);
  void end() { state_ = State::ended; }

 private:
  void output(std::string bytes, State state, ApiClock::time_point now);

  FileDescriptor socket_;
  State state_ = State::reading;
  RequestReader reader_;
  size_t taken_ = 0;  // bytes of the request that somebody works on
  bool cut_short_ = false;
  std::string output_;
  size_t written_ = 0;
  uint64_t last_event_ = 0;
  ApiClock::time_point since_;
  ApiClock::time_point begun_ = since_;
};

}  // namespace centipede::api
