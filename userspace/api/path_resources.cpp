#include <algorithm>

#include "api/json_fields.h"
#include "api/json_text.h"
#include "api/peer_json.h"
#include "api/resources.h"
#include "api/status_json.h"
#include "dataplane/uplink_selection.h"

namespace centipede::api {
namespace {

using nlohmann::json;

constexpr uint64_t default_ping_ms = 1000;
constexpr uint64_t longest_ping_ms = 10'000;

}  // namespace

Result<ApiAnswer> list_paths(const Call& call) {
  auto settings = call.context.tunnel.settings();
  if (!settings) return std::unexpected(settings.error());
  const auto peer = find_peer(*settings, call.names[0]);
  if (!peer) return std::unexpected(peer.error());
  const auto status = call.context.tunnel.status();
  if (!status) return std::unexpected(status.error());
  const auto found = std::ranges::find(status->peers, (*peer)->public_key, &control::PeerStatus::public_key);
  const auto none = std::vector<control::PathStatus>{};
  return text_answer(with_list(json::object(), "paths", found == status->peers.end() ? none : found->paths, path_json));
}

Result<ApiAnswer> patch_path(const Call& call) {
  const std::string& uplink = call.names[1];
  const auto body = parse_json(call.request.body);
  if (!body) return std::unexpected(body.error());
  const JsonFields fields(*body, "", {"enabled", "priority"});
  if (fields.failure()) return std::unexpected(*fields.failure());
  control::PathSettings after;
  const auto changed = call.context.tunnel.change([&](TunnelSettings& settings) -> Result<void> {
    const auto peer = find_peer(settings, call.names[0]);
    if (!peer) return std::unexpected(peer.error());
    auto& paths = (*peer)->paths;
    const auto own = std::ranges::find(paths, uplink, &control::PathSettings::uplink);
    if (own == paths.end() && entry_for(settings.uplinks, settings.excluded_uplinks, uplink) == nullptr) {
      return fail("the tunnel has no uplink " + in_quotes(uplink) + ": add it first", ENOENT);
    }
    json merged = path_settings_json(own == paths.end() ? control::PathSettings{.uplink = uplink} : *own);
    merged.merge_patch(*body);
    auto read = path_from_json(merged);
    if (!read) return std::unexpected(read.error());
    after = *read;
    std::erase_if(paths, [&](const control::PathSettings& path) { return path.uplink == uplink; });
    // What says nothing is not kept.
    if (after != control::PathSettings{.uplink = uplink}) paths.push_back(after);
    return {};
  });
  if (!changed) return std::unexpected(changed.error());
  return json_answer(path_settings_json(after));
}

Result<ApiAnswer> ping_peer(const Call& call) {
  uint64_t time_ms = default_ping_ms;
  if (!call.request.body.empty()) {
    const auto body = parse_json(call.request.body);
    if (!body) return std::unexpected(body.error());
    JsonFields fields(*body, "", {"timeout_ms"});
    fields.read("timeout_ms", time_ms, longest_ping_ms);
    if (fields.failure()) return std::unexpected(*fields.failure());
  }
  const auto pings = call.context.tunnel.ping(call.names[0], std::chrono::milliseconds(time_ms));
  if (!pings) return std::unexpected(pings.error());
  return text_answer(with_list(json::object(), "paths", *pings, [](const PathPing& ping) {
    return json{{"path", ping.path},
                {"uplink", ping.uplink},
                {"local", ping.local.text()},
                {"remote", ping.remote.text()},
                {"sending", ping.sending},
                {"rtt_us", or_null(ping.rtt.transform(
                               [](Duration rtt) { return std::chrono::duration_cast<microseconds>(rtt).count(); }))}};
  }));
}

}  // namespace centipede::api
