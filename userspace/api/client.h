// Talks to a running tunnel's API (api/server.h). Errors: what the daemon answered, or why there was no answer; the
// code is ENOENT or ECONNREFUSED when no daemon listens, EACCES when we may not ask, EPROTO for an answer that is not
// ours, and for what the daemon refused the errno of its status: EINVAL (400), EPERM (403), ENXIO (404), EEXIST (409).
// Who may not open the tunnel's socket reads from the one beside it that is for reading, where that is allowed.
// Threading: one thread; each call is a connection of its own and waits at most 15 seconds (follow_events: for ever).
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/config_json.h"
#include "api/interface_json.h"
#include "base/result.h"
#include "dataplane/event_log.h"
#include "dataplane/tunnel_control.h"
#include "dataplane/tunnel_status.h"

namespace centipede::api {

// One segment of a target: client.request("DELETE", "/v1/peers/" + percent_encoded(name)).
[[nodiscard]] std::string percent_encoded(std::string_view segment);

class Client {
 public:
  explicit Client(std::string socket_path) : path_(std::move(socket_path)) {}

  // True when a daemon is there, whether or not it is for us to ask.
  [[nodiscard]] bool reachable() const;

  // Any request of api/server.h; the body is JSON or empty. The answer's body, without the line's end.
  Result<std::string> request(const std::string& method, const std::string& target, const std::string& body = {});

  Result<TunnelStatus> status();
  Result<std::string> status_text();  // the JSON as it came, without the line's end
  // What cannot change while it runs, as it was configured.
  Result<InterfaceSettings> interface_settings();
  // What may, without preshared keys.
  Result<ShownSettings> settings();
  Result<void> attach_uplink(const UplinkSettings& uplink);
  Result<void> detach_uplink(std::string_view name);
  // What changed, a line each.
  Result<std::vector<std::string>> reload();
  Result<std::vector<PathPing>> ping(std::string_view peer, std::chrono::milliseconds time);
  // Those after the number that the daemon still has.
  Result<std::vector<TunnelEvent>> events(uint64_t after);
  // Gives each event, from the one after `after` on (none: from now on), until `take` returns false, or with ECONNRESET
  // when the stream has ended: the daemon stops, or we read too slowly. A gap in the numbers: those are lost.
  Result<void> follow_events(std::optional<uint64_t> after, const std::function<bool(const TunnelEvent&)>& take);
  Result<void> stop();

 private:
  std::string path_;
};

// No daemon is there, as an error of Client says it.
[[nodiscard]] inline bool not_running(const Error& error) {
  return error.code == ENOENT || error.code == ECONNREFUSED;
}

}  // namespace centipede::api
