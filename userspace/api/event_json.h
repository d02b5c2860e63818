// Events of a tunnel as JSON, and as server-sent events (WHATWG HTML, 9.2).
//   {"number": 7, "time_ms": 1790000000000, "level": "info", "kind": "path", "peer": "office", "uplink": "eth0",
//    "text": "..."}          peer and uplink are empty when it is about none
// Errors of reading: EPROTO. Threading: pure functions and a plain value.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"
#include "dataplane/event_log.h"

namespace centipede::api {

[[nodiscard]] nlohmann::json event_json(const TunnelEvent& event);
[[nodiscard]] Result<TunnelEvent> event_from_json(const nlohmann::json& from);

// "id: 7\nevent: path\ndata: {...}\n\n"
[[nodiscard]] std::string server_sent(const TunnelEvent& event);
// Keeps a stream alive that has nothing to say.
inline constexpr std::string_view server_sent_heartbeat = ":\n\n";

// Puts a stream's pieces together again.
class EventStreamReader {
 public:
  // Gives each whole event to `take`; false when that returned false.
  Result<bool> add(std::string_view bytes, const std::function<bool(const TunnelEvent&)>& take);

 private:
  std::string rest_;
};

}  // namespace centipede::api
