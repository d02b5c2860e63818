// What the API does with a request, apart from HTTP and sockets: finds the resource, calls it, and makes an answer of
// whatever comes. The routes are in the table of router.cpp, described by openapi.json; each calls a function of
// resources.h. Ownership: refers to the tunnel, which must outlive it. Threading: answer() from several at once.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/counters.h"
#include "api/interface_json.h"
#include "base/result.h"
#include "dataplane/tunnel_control.h"

namespace centipede::api {

struct ApiRequest {
  std::string method;
  std::string target;  // as it was sent: "/v1/peers/a%2Fb?x=1"
  std::string_view body;
  std::string last_event_id;  // of a reader of events that comes back
  bool may_change = false;    // false: came over the socket that only reads
};

struct ApiAnswer {
  int status = 200;
  std::string body;
  std::string content_type = "application/json";
  std::string allow;                     // with 405: the methods that there are
  std::optional<uint64_t> follow_after;  // a stream of the events after this one, in the place of the body
};

// Reads the configuration file again and applies what has changed: a line each.
using Reload = std::function<Result<std::vector<std::string>>()>;

// What the resources work with.
struct ApiContext {
  TunnelControl& tunnel;
  Reload reload;
  ApiCounters& counters;
  InterfaceSettings interface{};  // as the tunnel was started
};

struct Route {
  std::string_view method;
  std::string_view path;  // "/v1/peers/{peer}"
};

class Router {
 public:
  explicit Router(ApiContext context) : context_(std::move(context)) {}

  // 2xx, or 4xx or 5xx with {"error": "..."}.
  [[nodiscard]] ApiAnswer answer(const ApiRequest& request) const;
  // An answer to a request that did not get as far: {"error": why}.
  [[nodiscard]] static ApiAnswer refusal(int status, std::string_view why);
  [[nodiscard]] static std::vector<Route> routes();

 private:
  ApiContext context_;
};

}  // namespace centipede::api
