#include "api/event_json.h"

#include <array>

#include "api/json_text.h"

namespace centipede::api {
namespace {

using nlohmann::json;

constexpr std::array level_names{"debug", "info", "warning", "error"};
// No event of ours is as long.
constexpr size_t longest_event = size_t{64} * 1024;

Result<TunnelEvent> event_from_text(std::string_view text) {
  const auto from = json::parse(text, nullptr, false);
  return event_from_json(from);
}

}  // namespace

json event_json(const TunnelEvent& event) {
  return {
      {"number", event.number}, {"time_ms", event.time_ms}, {"level", level_names.at(static_cast<size_t>(event.level))},
      {"kind", event.kind},     {"peer", event.peer},       {"uplink", event.uplink},
      {"text", event.text}};
}

Result<TunnelEvent> event_from_json(const json& from) {
  TunnelEvent event;
  try {
    from.at("number").get_to(event.number);
    from.at("time_ms").get_to(event.time_ms);
    from.at("kind").get_to(event.kind);
    from.at("peer").get_to(event.peer);
    from.at("uplink").get_to(event.uplink);
    from.at("text").get_to(event.text);
    const auto level = std::ranges::find(level_names, from.at("level").get<std::string>());
    if (level == level_names.end()) return fail("reading an event: unknown level", EPROTO);
    event.level = static_cast<TunnelEvent::Level>(level - level_names.begin());
  } catch (const json::exception&) {
    return fail("reading an event: it is not as this program knows it", EPROTO);
  }
  return event;
}

std::string server_sent(const TunnelEvent& event) {
  // The kind is a word of ours; JSON text has no line ends.
  return "id: " + std::to_string(event.number) + "\nevent: " + event.kind + "\ndata: " + text_of(event_json(event)) +
         "\n\n";
}

Result<bool> EventStreamReader::add(std::string_view bytes, const std::function<bool(const TunnelEvent&)>& take) {
  constexpr std::string_view data = "data: ";
  rest_ += bytes;
  size_t end = 0;
  while ((end = rest_.find("\n\n")) != std::string::npos) {
    const std::string block = "\n" + rest_.substr(0, end) + "\n";
    rest_.erase(0, end + 2);
    const size_t at = block.find("\n" + std::string(data));
    if (at == std::string::npos) continue;  // a comment
    const size_t begin = at + 1 + data.size();
    const auto event = event_from_text(std::string_view(block).substr(begin, block.find('\n', begin) - begin));
    if (!event) return std::unexpected(event.error());
    if (!take(*event)) return false;
  }
  if (rest_.size() > longest_event) return fail("reading the events: one is too long", EPROTO);
  return true;
}

}  // namespace centipede::api
