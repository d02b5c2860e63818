// One request as bytes in, its answer as bytes out: HTTP by the library, the rest by the router.
// Threading: one thread; each that answers has its own.
#pragma once

// The HTTP library's header names everything of <regex>, OpenSSL and more: only this layer's sources include it.
#include <httplib.h>

#include <optional>
#include <string>
#include <string_view>

#include "api/router.h"

namespace centipede::api {

struct HttpAnswer {
  std::string bytes;
  std::optional<uint64_t> follow_after;  // these are only the head of a stream of events
};

class HttpExchange : private httplib::Server {
 public:
  HttpExchange(const Router& router, ApiCounters& counters);

  // `head` ends with the empty line.
  [[nodiscard]] HttpAnswer answer(std::string_view head, std::string_view body, bool may_change);
  // To a request that is not worth reading on.
  [[nodiscard]] std::string refusal(int status, std::string_view why);

 private:
  void fill(const httplib::Request& request, httplib::Response& response);

  const Router& router_;
  ApiCounters& counters_;
  // Of the exchange under way.
  std::string_view body_;
  bool may_change_ = false;
  std::optional<ApiAnswer> settled_;  // whatever is asked
  std::optional<uint64_t> follow_after_;
};

}  // namespace centipede::api
