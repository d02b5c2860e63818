#include "dataplane/uplink_selection.h"

#include <centipede/abi.h>

#include <algorithm>
#include <set>

#include "dataplane/setting_texts.h"

namespace centipede {
namespace {

constexpr std::string_view name_rule =
    "use 1 to 15 visible characters without '/', ':' and '%', as `ip link` shows them; * and ? make it a pattern";

// A name that came from anywhere, as it may stand in a message.
std::string in_quotation_marks(std::string_view name) {
  std::string text = "\"";
  for (const char c : name.substr(0, 32))
    text += c >= ' ' && c < '\x7f' ? c : '?';
  return text + (name.size() > 32 ? "...\"" : "\"");
}

Result<void> check_name(std::string_view name, std::set<std::string_view>& seen) {
  if (!valid_device_name(name)) {
    return fail(in_quotation_marks(name) + " is no name of a device; " + std::string(name_rule), EINVAL);
  }
  if (!seen.insert(name).second)
    return fail("uplink " + in_quotation_marks(name) + " is given twice; keep one of them", EINVAL);
  return {};
}

}  // namespace

// Goes back to the last star only, so that the time is at most the product of the lengths.
bool matches_uplink(std::string_view pattern, std::string_view device) {
  size_t p = 0;
  size_t d = 0;
  size_t star = std::string_view::npos;
  size_t star_took_to = 0;
  while (d < device.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_took_to = d;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == device[d])) {
      ++p;
      ++d;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      d = ++star_took_to;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

const UplinkSettings* entry_for(std::span<const UplinkSettings> wanted, std::span<const std::string> excluded,
                                std::string_view device) {
  const auto exact = std::ranges::find(wanted, device, &UplinkSettings::name);
  if (exact != wanted.end()) return &*exact;
  const auto matching = [&](const std::string& pattern) { return matches_uplink(pattern, device); };
  if (std::ranges::any_of(excluded, matching)) return nullptr;
  const auto found = std::ranges::find_if(
      wanted, [&](const UplinkSettings& entry) { return is_pattern(entry.name) && matching(entry.name); });
  return found != wanted.end() ? &*found : nullptr;
}

Result<void> check_uplinks(const TunnelSettings& settings, std::string_view tunnel) {
  if (std::max(settings.uplinks.size(), settings.excluded_uplinks.size()) > max_uplink_entries) {
    return fail("more than " + std::to_string(max_uplink_entries) + " uplinks or exclusions; use patterns (\"eth*\")",
                EINVAL);
  }
  std::set<std::string_view> seen;
  size_t exact = 0;
  for (const UplinkSettings& uplink : settings.uplinks) {
    if (auto good = check_name(uplink.name, seen); !good) return good;
    if (uplink.name == tunnel) {
      return fail(in_quotation_marks(uplink.name) + " is the tunnel itself; name the devices that it shall use",
                  EINVAL);
    }
    if (!is_pattern(uplink.name)) ++exact;
  }
  if (exact > CP_MAX_UPLINKS) {
    return fail("a tunnel has at most " + std::to_string(CP_MAX_UPLINKS) + " uplinks; leave some out", EINVAL);
  }
  seen.clear();
  for (const std::string& name : settings.excluded_uplinks) {
    if (auto good = check_name(name, seen); !good) return good;
  }
  return {};
}

Result<void> add_uplink(TunnelSettings& settings, const UplinkSettings& uplink) {
  if (std::ranges::find(settings.uplinks, uplink.name, &UplinkSettings::name) != settings.uplinks.end()) {
    return fail("uplink " + in_quotation_marks(uplink.name) + " is attached already", EEXIST);
  }
  std::erase(settings.excluded_uplinks, uplink.name);
  settings.uplinks.push_back(uplink);
  return {};
}

Result<void> remove_uplink(TunnelSettings& settings, std::string_view name, bool attached) {
  const bool listed = std::erase_if(settings.uplinks, [&](const auto& entry) { return entry.name == name; }) != 0;
  if (!listed && !attached) {
    return fail("uplink " + in_quotation_marks(name) + " is not attached; `centipede status` shows which are", ENOENT);
  }
  if (!is_pattern(name) && entry_for(settings.uplinks, settings.excluded_uplinks, name) != nullptr) {
    settings.excluded_uplinks.emplace_back(name);
  }
  return {};
}

}  // namespace centipede
