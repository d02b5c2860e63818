#include "api/http_exchange.h"

#include <algorithm>

#include "dataplane/log.h"

namespace centipede::api {
namespace {

// What the library writes before it reads a body that it was told to wait for; whoever waits has been told already.
constexpr std::string_view interim = "HTTP/1.1 100 Continue\r\n\r\n";

// A connection that holds one request's head and takes the answer.
class MemoryStream : public httplib::Stream {
 public:
  explicit MemoryStream(std::string_view head) : rest_(head) {}

  [[nodiscard]] bool is_readable() const override { return !rest_.empty(); }
  [[nodiscard]] bool is_writable() const override { return true; }
  ssize_t read(char* into, size_t size) override {
    const size_t taken = rest_.copy(into, size);
    rest_.remove_prefix(taken);
    return static_cast<ssize_t>(taken);
  }
  ssize_t write(const char* from, size_t size) override {
    written_.append(from, size);
    return static_cast<ssize_t>(size);
  }
  void get_remote_ip_and_port(std::string& ip, int& port) const override { name(ip, port); }
  void get_local_ip_and_port(std::string& ip, int& port) const override { name(ip, port); }
  [[nodiscard]] socket_t socket() const override { return INVALID_SOCKET; }

  [[nodiscard]] std::string take_written() { return std::move(written_); }

 private:
  static void name(std::string& ip, int& port) {
    ip = "local";
    port = 0;
  }
  std::string_view rest_;
  std::string written_;
};

const char* reason_of(int status) {
  return status == 414 ? "the request line is too long" : "the request is no HTTP/1.1";
}

}  // namespace

HttpExchange::HttpExchange(const Router& router, ApiCounters& counters) : router_(router), counters_(counters) {
  // Before the library looks for a handler or a body: neither is its business.
  set_pre_routing_handler([this](const httplib::Request& request, httplib::Response& response) {
    fill(request, response);
    return HandlerResponse::Handled;
  });
  // What the library refuses by itself.
  set_error_handler(HandlerWithResponse([](const httplib::Request&, httplib::Response& response) {
    if (!response.body.empty()) return HandlerResponse::Unhandled;
    response.set_content(Router::refusal(response.status, reason_of(response.status)).body, "application/json");
    return HandlerResponse::Handled;
  }));
}

void HttpExchange::fill(const httplib::Request& request, httplib::Response& response) {
  ApiAnswer answer = settled_ ? std::move(*settled_)
                              : router_.answer({.method = request.method,
                                                .target = request.target,
                                                .body = body_,
                                                .last_event_id = request.get_header_value("Last-Event-ID"),
                                                .may_change = may_change_});
  response.status = answer.status;
  response.set_header("Cache-Control", "no-store");
  if (!answer.allow.empty()) response.set_header("Allow", answer.allow);
  follow_after_ = answer.follow_after;
  if (!follow_after_) return response.set_content(answer.body, answer.content_type.c_str());
  response.set_content_provider(answer.content_type, [](size_t, httplib::DataSink& sink) {
    sink.done();  // the head alone
    return true;
  });
}

HttpAnswer HttpExchange::answer(std::string_view head, std::string_view body, bool may_change) {
  body_ = body;
  may_change_ = may_change;
  follow_after_.reset();
  MemoryStream stream(head);
  bool closed = false;
  try {
    // A list of ranges could ask for the same bytes a thousand times.
    process_request(stream, true, closed, [](httplib::Request& request) { request.ranges.clear(); });
  } catch (const std::exception& error) {
    log::error("API: {}", error.what());
    return {refusal(500, "the request failed inside the daemon: see its log"), std::nullopt};
  }
  HttpAnswer answer{stream.take_written(), follow_after_};
  if (answer.bytes.starts_with(interim)) answer.bytes.erase(0, interim.size());
  if (answer.bytes.empty()) answer.bytes = refusal(400, reason_of(400));
  ++counters_.requests;
  if (!answer.bytes.starts_with("HTTP/1.1 2")) ++counters_.refused;
  return answer;
}

std::string HttpExchange::refusal(int status, std::string_view why) {
  settled_ = Router::refusal(status, why);
  MemoryStream stream("GET / HTTP/1.1\r\n\r\n");
  bool closed = false;
  process_request(stream, true, closed, nullptr);
  settled_.reset();
  return stream.take_written();
}

}  // namespace centipede::api
