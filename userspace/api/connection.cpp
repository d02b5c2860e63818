#include "api/connection.h"

#include <sodium.h>
#include <sys/socket.h>

#include <array>

#include "api/event_json.h"

namespace centipede::api {
namespace {

constexpr size_t events_at_once = 64;

}  // namespace

Connection::~Connection() {
  if (!socket_) return;
  // Unread bytes at close() would make the kernel tell the client of an error before it has read the answer.
  ::shutdown(socket_.get(), SHUT_WR);
  std::array<char, 4096> rest;
  for (int i = 0; i < 64 && recv(socket_.get(), rest.data(), rest.size(), MSG_DONTWAIT) > 0; ++i) {
  }
}

void Connection::read(ApiClock::time_point now) {
  std::array<char, 16384> piece;
  const ssize_t got = recv(socket_.get(), piece.data(), piece.size(), MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got < 0 || (got == 0 && reader_.empty())) return end();
  if (got == 0) {
    cut_short_ = !reader_.whole();
    return;
  }
  const bool fine = reader_.add({piece.data(), static_cast<size_t>(got)});
  sodium_memzero(piece.data(), static_cast<size_t>(got));
  if (!fine) return;
  if (reader_.wants_continue()) output("HTTP/1.1 100 Continue\r\n\r\n", State::reading, now);
}

std::optional<RequestProblem> Connection::problem() const {
  if (cut_short_) return RequestProblem{400, "the request ends before it is whole"};
  return reader_.problem();
}

RequestReader Connection::take_request(ApiClock::time_point now) {
  state_ = State::working;
  since_ = begun_ = now;
  taken_ = reader_.size();
  return std::exchange(reader_, RequestReader(0));
}

void Connection::output(std::string bytes, State state, ApiClock::time_point now) {
  output_.erase(0, written_);
  written_ = 0;
  if (output_.empty()) {
    output_ = std::move(bytes);
  } else {
    output_ += bytes;
  }
  if (state_ != state) since_ = begun_ = now;
  state_ = state;
  write(now);
}

void Connection::answer(std::string bytes, ApiClock::time_point now) {
  reader_ = RequestReader(0);
  taken_ = 0;
  output(std::move(bytes), State::writing, now);
}

void Connection::follow(std::string head, uint64_t after, ApiClock::time_point now) {
  taken_ = 0;
  last_event_ = after;
  output(std::move(head), State::streaming, now);
}

void Connection::feed(const EventLog& events, ApiClock::time_point now) {
  while (state_ == State::streaming && !has_output()) {
    const auto fresh = events.after(last_event_, events_at_once);
    if (fresh.empty()) return;
    std::string bytes;
    for (const TunnelEvent& event : fresh)
      bytes += server_sent(event);
    last_event_ = fresh.back().number;
    output(std::move(bytes), State::streaming, now);
  }
}

void Connection::heartbeat(ApiClock::time_point now) {
  output(std::string(server_sent_heartbeat), State::streaming, now);
}

void Connection::write(ApiClock::time_point now) {
  while (has_output()) {
    const ssize_t sent =
        send(socket_.get(), output_.data() + written_, output_.size() - written_, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) return;
    if (sent < 0) return end();
    written_ += static_cast<size_t>(sent);
    if (state_ != State::reading) since_ = now;
  }
  output_ = {};
  written_ = 0;
  if (state_ == State::writing) end();
}

}  // namespace centipede::api
