#include <charconv>

#include "api/event_json.h"
#include "api/json_text.h"
#include "api/metrics.h"
#include "api/openapi.h"
#include "api/resources.h"

namespace centipede::api {
namespace {

Result<std::optional<uint64_t>> event_number(const std::string& name, const std::string& text) {
  if (text.empty()) return std::nullopt;
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc{} && end == text.data() + text.size()) return number;
  return fail(name + ": " + in_quotes(text) + " is no number of an event; write a whole number", EINVAL);
}

}  // namespace

ApiAnswer text_answer(std::string json) {
  return {.body = std::move(json) + "\n"};
}
ApiAnswer done() {
  return text_answer("{}");
}
ApiAnswer json_answer(const nlohmann::json& value) {
  return text_answer(text_of(value));
}

Result<ApiAnswer> show_events(const Call& call) {
  std::string after_text = call.request.last_event_id;
  bool follow = true;
  for (const auto& [key, value] : call.query) {
    if (key == "after") {
      // A browser that comes back repeats the target and says in the header how far it got.
      if (after_text.empty()) after_text = value;
    } else if (key == "follow" && (value == "0" || value == "1")) {
      follow = value == "1";
    } else {
      return fail("there are only the parameters after=NUMBER and follow=0 or follow=1", EINVAL);
    }
  }
  const auto given = event_number("after", after_text);
  if (!given) return std::unexpected(given.error());
  const EventLog& events = call.context.tunnel.events();
  const uint64_t newest = events.newest();
  uint64_t after = given->value_or(follow ? newest : 0);
  // The number of an event of an earlier daemon: what this one has is all new.
  if (after > newest) after = 0;
  if (follow) return ApiAnswer{.content_type = "text/event-stream", .follow_after = after};
  return text_answer(with_list(nlohmann::json::object(), "events", events.after(after), event_json));
}

Result<ApiAnswer> show_metrics(const Call& call) {
  const auto status = call.context.tunnel.status();
  if (!status) return std::unexpected(status.error());
  return ApiAnswer{.body = metrics_text(*status, call.context.tunnel.events().newest(), call.context.counters),
                   .content_type = "text/plain; version=0.0.4; charset=utf-8"};
}

Result<ApiAnswer> show_openapi(const Call&) {
  return text_answer(std::string(openapi_text()));
}

Result<ApiAnswer> stop_tunnel(const Call& call) {
  call.context.tunnel.stop();
  return done();
}

}  // namespace centipede::api
