#include "api/router.h"

#include <array>

#include "api/json_text.h"
#include "api/resources.h"
#include "api/target.h"
#include "dataplane/log.h"

namespace centipede::api {
namespace {

struct Row {
  Route route;
  Resource* resource;
};

constexpr std::array rows{
    Row{{"GET", "/v1/status"}, show_status},
    Row{{"GET", "/v1/interface"}, show_interface},
    Row{{"GET", "/v1/sessions"}, show_sessions},
    Row{{"GET", "/v1/statistics"}, show_statistics},
    Row{{"GET", "/v1/policies"}, show_policies},
    Row{{"GET", "/v1/config"}, show_config},
    Row{{"PUT", "/v1/config"}, replace_config},
    Row{{"POST", "/v1/reload"}, reload_config},
    Row{{"GET", "/v1/uplinks"}, list_uplinks},
    Row{{"POST", "/v1/uplinks"}, add_uplink},
    Row{{"GET", "/v1/uplinks/{uplink}"}, show_uplink},
    Row{{"PATCH", "/v1/uplinks/{uplink}"}, patch_uplink},
    Row{{"DELETE", "/v1/uplinks/{uplink}"}, remove_uplink},
    Row{{"GET", "/v1/peers"}, list_peers},
    Row{{"POST", "/v1/peers"}, add_peer},
    Row{{"GET", "/v1/peers/{peer}"}, show_peer},
    Row{{"PATCH", "/v1/peers/{peer}"}, patch_peer},
    Row{{"DELETE", "/v1/peers/{peer}"}, remove_peer},
    Row{{"GET", "/v1/peers/{peer}/paths"}, list_paths},
    Row{{"PATCH", "/v1/peers/{peer}/paths/{uplink}"}, patch_path},
    Row{{"POST", "/v1/peers/{peer}/ping"}, ping_peer},
    Row{{"GET", "/v1/events"}, show_events},
    Row{{"GET", "/v1/metrics"}, show_metrics},
    Row{{"GET", "/v1/openapi.json"}, show_openapi},
    Row{{"GET", "/v1/keylog"}, show_keylog},
    Row{{"POST", "/v1/stop"}, stop_tunnel},
};

int status_of(const Error& error) {
  switch (error.code) {
    case EINVAL:
      return 400;
    case EPERM:
      return 403;
    case ENOENT:
    case ENODEV:
      return 404;
    case ENOTSUP:
      return 501;
    default:
      return 409;
  }
}

ApiAnswer call(const Row& row, const Call& call) {
  if (!call.request.may_change && row.route.method != "GET") {
    return Router::refusal(403, "this socket only reads; ask over the tunnel's own, as root");
  }
  if (!call.query.empty() && row.resource != show_events) {
    return Router::refusal(400, "this resource takes no parameters; leave out what follows the question mark");
  }
  auto answer = row.resource(call);
  return answer ? std::move(*answer) : Router::refusal(status_of(answer.error()), answer.error().text);
}

}  // namespace

ApiAnswer Router::refusal(int status, std::string_view why) {
  return {.status = status, .body = text_of({{"error", why}}) + "\n"};
}

std::vector<Route> Router::routes() {
  std::vector<Route> routes;
  routes.reserve(rows.size());
  for (const Row& row : rows)
    routes.push_back(row.route);
  return routes;
}

ApiAnswer Router::answer(const ApiRequest& request) const {
  const auto target = parse_target(request.target);
  if (!target) return refusal(400, target.error().text);
  std::string allow;
  for (const Row& row : rows) {
    auto names = match(row.route.path, *target);
    if (!names) continue;
    if (row.route.method != request.method) {
      allow += (allow.empty() ? "" : ", ") + std::string(row.route.method);
      continue;
    }
    try {
      return call(row, {context_, request, std::move(*names), target->query});
    } catch (const std::exception& error) {
      log::error("API: {} {}: {}", row.route.method, row.route.path, error.what());
      return refusal(500, "the request failed inside the daemon: see its log");
    }
  }
  if (allow.empty()) return refusal(404, "there is no such resource: /v1/openapi.json lists those that there are");
  ApiAnswer answer = refusal(405, "this resource does not take this method; it takes " + allow);
  answer.allow = allow;
  return answer;
}

}  // namespace centipede::api
