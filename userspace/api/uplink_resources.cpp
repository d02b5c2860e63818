#include <algorithm>

#include "api/config_json.h"
#include "api/json_fields.h"
#include "api/json_text.h"
#include "api/resources.h"
#include "api/status_json.h"
#include "dataplane/setting_texts.h"
#include "dataplane/uplink_selection.h"

namespace centipede::api {
namespace {

using nlohmann::json;

auto named(TunnelSettings& settings, const std::string& name) {
  return std::ranges::find(settings.uplinks, name, &UplinkSettings::name);
}

Error none_named(const std::string& name) {
  return {"no uplink is called " + in_quotes(name) + ": see the list of uplinks", ENOENT};
}

// What applies to the uplink of this name: its own settings, or those of the pattern that takes the device.
Result<UplinkSettings> settings_of(const TunnelSettings& settings, const std::string& name) {
  if (const auto own = std::ranges::find(settings.uplinks, name, &UplinkSettings::name); own != settings.uplinks.end())
    return *own;
  const UplinkSettings* entry = entry_for(settings.uplinks, settings.excluded_uplinks, name);
  if (entry == nullptr || is_pattern(name)) return std::unexpected(none_named(name));
  UplinkSettings taken = *entry;
  taken.name = name;
  return taken;
}

}  // namespace

Result<ApiAnswer> list_uplinks(const Call& call) {
  const auto settings = call.context.tunnel.settings();
  if (!settings) return std::unexpected(settings.error());
  const auto status = call.context.tunnel.status();
  if (!status) return std::unexpected(status.error());
  json uplinks = json::array();
  for (const UplinkSettings& uplink : settings->uplinks)
    uplinks.push_back(uplink_settings_json(uplink));
  json devices = json::array();
  for (const UplinkStatus& device : status->uplinks)
    devices.push_back(uplink_json(device));
  return json_answer(json{{"uplinks", std::move(uplinks)},
                          {"exclude_uplinks", settings->excluded_uplinks},
                          {"devices", std::move(devices)}});
}

Result<ApiAnswer> add_uplink(const Call& call) {
  const auto body = parse_json(call.request.body);
  if (!body) return std::unexpected(body.error());
  const auto uplink = uplink_from_json(*body);
  if (!uplink) return std::unexpected(uplink.error());
  // A pattern waits for its devices.
  const auto added = !is_pattern(uplink->name) ? call.context.tunnel.attach_uplink(*uplink)
                                               : call.context.tunnel.change([&](TunnelSettings& settings) {
                                                   return centipede::add_uplink(settings, *uplink);
                                                 });
  if (!added) return std::unexpected(added.error());
  return json_answer(uplink_settings_json(*uplink));
}

Result<ApiAnswer> show_uplink(const Call& call) {
  const auto settings = call.context.tunnel.settings();
  if (!settings) return std::unexpected(settings.error());
  const auto uplink = settings_of(*settings, call.names[0]);
  if (!uplink) return std::unexpected(uplink.error());
  return json_answer(uplink_settings_json(*uplink));
}

Result<ApiAnswer> patch_uplink(const Call& call) {
  const auto body = parse_json(call.request.body);
  if (!body) return std::unexpected(body.error());
  const JsonFields fields(*body, "", {"priority", "metered", "rate_bps"});
  if (fields.failure()) return std::unexpected(*fields.failure());
  UplinkSettings after;
  const auto changed = call.context.tunnel.change([&](TunnelSettings& settings) -> Result<void> {
    const auto before = settings_of(settings, call.names[0]);
    if (!before) return std::unexpected(before.error());
    json merged = uplink_settings_json(*before);
    merged.merge_patch(*body);
    auto read = uplink_from_json(merged);
    if (!read) return std::unexpected(read.error());
    after = std::move(*read);
    if (const auto own = named(settings, after.name); own != settings.uplinks.end()) {
      *own = after;
    } else {
      // What applied through a pattern applies to this device by name now. Whoever has no priority has its place in the
      // list for one: this device keeps the pattern's, and behind all others it moves nobody.
      const auto* pattern = entry_for(settings.uplinks, settings.excluded_uplinks, after.name);
      if (!after.priority) after.priority = static_cast<uint32_t>(pattern - settings.uplinks.data());
      settings.uplinks.push_back(after);
    }
    return {};
  });
  if (!changed) return std::unexpected(changed.error());
  return json_answer(uplink_settings_json(after));
}

Result<ApiAnswer> remove_uplink(const Call& call) {
  const std::string& name = call.names[0];
  const auto removed = !is_pattern(name) ? call.context.tunnel.detach_uplink(name)
                                         : call.context.tunnel.change([&](TunnelSettings& settings) {
                                             return centipede::remove_uplink(settings, name, false);
                                           });
  if (!removed) return std::unexpected(removed.error());
  return done();
}

}  // namespace centipede::api
