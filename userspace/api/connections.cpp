#include "api/connections.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <thread>
#include <vector>

#include "api/connection.h"
#include "api/request_workers.h"

namespace centipede::api {
namespace {

using Clock = ApiClock;
using State = Connection::State;

}  // namespace

class Connections::Impl {
 public:
  Impl(const Router& router, const EventLog& events, ApiCounters& counters, UnixListener listener, bool may_change,
       const ConnectionLimits& limits, FileDescriptor wake)
      : events_(events),
        counters_(counters),
        limits_(limits),
        listener_(std::move(listener)),
        wake_(std::move(wake)),
        refuser_(router, counters),
        workers_(router, counters, may_change, limits.threads, wake_.get()),
        thread_([this] { run(); }) {}
  ~Impl() {
    stopping_ = true;
    wake();
    thread_.join();
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  // An eventfd takes eight bytes unless it is full, and a full one wakes the thread just as well.
  void wake() { eventfd_write(wake_.get(), 1); }

 private:
  void run();
  void wait(Clock::time_point now);
  void accept_some(Clock::time_point now);
  bool make_room(Clock::time_point now);
  void collect_answers(Clock::time_point now);
  void deliver(Connection& connection, HttpAnswer answer, Clock::time_point now);
  void serve(uint64_t id, Connection& connection, short ready, Clock::time_point now);
  void read_request(uint64_t id, Connection& connection, Clock::time_point now);
  void mind_time(Connection& connection, Clock::time_point now);
  void begin_to_stop(Clock::time_point now);

  [[nodiscard]] bool may_accept(Clock::time_point now) const;
  [[nodiscard]] const Connection* slowest() const;
  [[nodiscard]] std::optional<Clock::time_point> deadline(const Connection& connection) const;
  [[nodiscard]] size_t buffered() const;
  [[nodiscard]] size_t streams() const;
  void cut(Connection& connection, int status, std::string_view why, Clock::time_point now);

  const EventLog& events_;
  ApiCounters& counters_;
  const ConnectionLimits limits_;
  UnixListener listener_;
  FileDescriptor wake_;
  HttpExchange refuser_;
  RequestWorkers workers_;
  std::map<uint64_t, Connection> connections_;
  uint64_t next_id_ = 0;
  size_t streams_counted_ = 0;
  Clock::time_point accept_again_;  // descriptors or memory had run out
  // Of the last wait.
  std::vector<pollfd> waiting_;
  std::vector<uint64_t> waiting_ids_;
  bool listener_ready_ = false;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

void Connections::Impl::run() {
  bool told_to_stop = false;
  while (true) {
    wait(Clock::now());
    const auto now = Clock::now();
    if (stopping_ && !std::exchange(told_to_stop, true)) begin_to_stop(now);
    for (size_t i = 0; i < waiting_ids_.size(); ++i) {
      const auto found = connections_.find(waiting_ids_[i]);
      if (found != connections_.end()) serve(found->first, found->second, waiting_[i + 2].revents, now);
    }
    collect_answers(now);
    for (auto& [id, connection] : connections_) {
      mind_time(connection, now);
      if (connection.state() == State::streaming) connection.feed(events_, now);
    }
    std::erase_if(connections_, [](const auto& entry) { return entry.second.state() == State::ended; });
    counters_.event_streams += streams() - std::exchange(streams_counted_, streams());
    if (told_to_stop && connections_.empty()) return;
    if (!told_to_stop && listener_ready_) accept_some(now);
  }
}

void Connections::Impl::wait(Clock::time_point now) {
  std::optional<Clock::time_point> earliest;
  const auto consider = [&](std::optional<Clock::time_point> time) {
    if (time && (!earliest || *time < *earliest)) earliest = time;
  };
  const bool accepting = !stopping_ && may_accept(now);
  if (!accepting && accept_again_ > now) consider(accept_again_);
  if (!accepting && connections_.size() >= limits_.connections && slowest() != nullptr) {
    consider(slowest()->since() + limits_.patience);
  }
  waiting_ = {{wake_.get(), POLLIN, 0}, {accepting ? listener_.fd() : -1, POLLIN, 0}};
  waiting_ids_.clear();
  for (const auto& [id, connection] : connections_) {
    consider(deadline(connection));
    if (connection.state() == State::working) continue;  // a hang-up would be told of all the time
    const short wanted = static_cast<short>((connection.state() == State::reading ? POLLIN : 0) |
                                            (connection.has_output() ? POLLOUT : 0));
    waiting_.push_back({connection.fd(), wanted, 0});
    waiting_ids_.push_back(id);
  }
  int timeout = -1;
  if (earliest) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(*earliest - now).count();
    timeout = static_cast<int>(std::clamp<int64_t>(left, 0, 60'000));
  }
  if (poll(waiting_.data(), waiting_.size(), timeout) < 0) {  // EINTR, ENOMEM: nothing is known to be ready
    for (pollfd& entry : waiting_)
      entry.revents = 0;
  }
  listener_ready_ = waiting_[1].revents != 0;
  eventfd_t ignored = 0;
  if (waiting_[0].revents != 0) (void)eventfd_read(wake_.get(), &ignored);
}

// Who has kept us waiting for longest.
const Connection* Connections::Impl::slowest() const {
  const Connection* found = nullptr;
  for (const auto& [id, connection] : connections_) {
    const bool waits = connection.state() == State::reading || connection.state() == State::writing;
    if (waits && (found == nullptr || connection.since() < found->since())) found = &connection;
  }
  return found;
}

bool Connections::Impl::may_accept(Clock::time_point now) const {
  if (now < accept_again_) return false;
  if (connections_.size() < limits_.connections) return true;
  const Connection* connection = slowest();
  return connection != nullptr && now - connection->since() >= limits_.patience;
}

bool Connections::Impl::make_room(Clock::time_point now) {
  if (connections_.size() < limits_.connections) return true;
  if (!may_accept(now)) return false;
  const Connection* victim = slowest();
  const auto found =
      std::ranges::find_if(connections_, [victim](const auto& entry) { return &entry.second == victim; });
  cut(found->second, 503, "others wait, and this request has not arrived as a whole: send it at once", now);
  connections_.erase(found);
  return true;
}

void Connections::Impl::accept_some(Clock::time_point now) {
  constexpr int at_once = 16;
  for (int i = 0; i < at_once && make_room(now); ++i) {
    FileDescriptor socket(accept4(listener_.fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (socket) {
      connections_.emplace(next_id_++, Connection(std::move(socket), limits_.body_bytes, now));
      continue;
    }
    // Out of descriptors or memory: the connection stays in the queue, so poll() would return at once. Wait a little.
    if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
      accept_again_ = now + std::chrono::milliseconds(100);
    return;
  }
}

void Connections::Impl::serve(uint64_t id, Connection& connection, short ready, Clock::time_point now) {
  if (ready == 0) return;
  if (connection.has_output()) connection.write(now);
  if (connection.state() == State::reading) {
    read_request(id, connection, now);
  } else if ((ready & (POLLHUP | POLLERR | POLLNVAL)) != 0) {
    connection.end();
  }
}

void Connections::Impl::read_request(uint64_t id, Connection& connection, Clock::time_point now) {
  connection.read(now);
  if (connection.state() != State::reading) return;
  if (const auto problem = connection.problem()) {
    connection.answer(refuser_.refusal(problem->status, problem->why), now);
  } else if (buffered() > limits_.buffered_bytes) {
    cut(connection, 503, "too much is being sent at once: try again", now);
  } else if (connection.request_whole()) {
    RequestReader request = connection.take_request(now);
    const size_t head_size = request.head_size();
    workers_.submit({id, request.take(), head_size});
  }
}

void Connections::Impl::collect_answers(Clock::time_point now) {
  for (FinishedAnswer& finished : workers_.collect()) {
    const auto found = connections_.find(finished.connection);
    if (found != connections_.end()) deliver(found->second, std::move(finished.answer), now);
  }
}

void Connections::Impl::deliver(Connection& connection, HttpAnswer answer, Clock::time_point now) {
  if (answer.follow_after) {
    if (stopping_) return connection.end();
    if (streams() < limits_.streams) return connection.follow(std::move(answer.bytes), *answer.follow_after, now);
    return connection.answer(refuser_.refusal(503, "too many streams of events are open: close one, or use follow=0"),
                             now);
  }
  const size_t others = buffered() - connection.buffered();  // its request has been let go of
  if (others + answer.bytes.size() > limits_.buffered_bytes) {
    return cut(connection, 503, "too many answers are being read slowly: try again", now);
  }
  connection.answer(std::move(answer.bytes), now);
}

std::optional<Clock::time_point> Connections::Impl::deadline(const Connection& connection) const {
  switch (connection.state()) {
    case State::reading:
      return connection.begun() + limits_.request_time;
    case State::writing:
      return connection.begun() + limits_.answer_time;
    case State::streaming:
      return connection.since() + (connection.has_output() ? limits_.stall_time : limits_.heartbeat_time);
    default:
      return std::nullopt;
  }
}

void Connections::Impl::mind_time(Connection& connection, Clock::time_point now) {
  const auto due = deadline(connection);
  if (!due || now < *due) return;
  if (connection.state() == State::reading) {
    cut(connection, 408, "the request took too long to arrive", now);
  } else if (connection.state() == State::writing) {
    ++counters_.connections_cut;
    connection.end();
  } else if (connection.has_output()) {
    ++counters_.event_streams_cut;
    connection.end();
  } else {
    connection.heartbeat(now);
  }
}

// With a word of why, as far as there is room for it.
void Connections::Impl::cut(Connection& connection, int status, std::string_view why, Clock::time_point now) {
  ++counters_.connections_cut;
  if (connection.state() == State::writing) return connection.end();
  connection.answer(refuser_.refusal(status, why), now);
}

void Connections::Impl::begin_to_stop(Clock::time_point now) {
  for (const uint64_t id : workers_.drop_waiting()) {
    const auto found = connections_.find(id);
    if (found != connections_.end()) found->second.answer(refuser_.refusal(503, "the tunnel is stopping"), now);
  }
  for (auto& [id, connection] : connections_)
    if (connection.state() == State::reading || connection.state() == State::streaming) connection.end();
}

size_t Connections::Impl::buffered() const {
  size_t sum = 0;
  for (const auto& [id, connection] : connections_)
    sum += connection.buffered();
  return sum;
}

size_t Connections::Impl::streams() const {
  return static_cast<size_t>(
      std::ranges::count_if(connections_, [](const auto& entry) { return entry.second.state() == State::streaming; }));
}

Connections::Connections(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Connections::~Connections() = default;

Result<std::unique_ptr<Connections>> Connections::start(const Router& router, const EventLog& events,
                                                        ApiCounters& counters, UnixListener listener, bool may_change,
                                                        const ConnectionLimits& limits) {
  FileDescriptor wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake) return fail_system("opening an eventfd");
  return std::unique_ptr<Connections>(new Connections(
      std::make_unique<Impl>(router, events, counters, std::move(listener), may_change, limits, std::move(wake))));
}

void Connections::events_came() {
  impl_->wake();
}

}  // namespace centipede::api
