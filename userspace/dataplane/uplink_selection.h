// Which devices the settings want for uplinks, and the edits that attach and detach one. Pure functions of settings and
// names; what exists is the kernel's to say (uplinks.h). Threading: any.
//
// A device is taken by the entry with its very name, or else by the first pattern that it matches, unless a name or
// pattern in excluded_uplinks matches it too.
#pragma once

#include <algorithm>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "dataplane/tunnel_config.h"

namespace centipede {

// Patterns and names in each of the two lists; exact names are as many as there are rows for (CP_MAX_UPLINKS).
inline constexpr size_t max_uplink_entries = 256;

// What the kernel takes as a device name, and what is safe as a file name: 1 to 15 visible ASCII characters without
// '/', ':' and '%' (the kernel's own pattern character), neither "." nor "..".
[[nodiscard]] inline bool valid_device_name(std::string_view name) {
  if (name.empty() || name.size() > 15 || name == "." || name == "..") return false;
  return std::ranges::all_of(name, [](char c) { return c > ' ' && c < '\x7f' && c != '/' && c != ':' && c != '%'; });
}
// "*" stands for any characters, "?" for one.
[[nodiscard]] bool matches_uplink(std::string_view pattern, std::string_view device);

// The entry that takes the device; none: null.
[[nodiscard]] const UplinkSettings* entry_for(std::span<const UplinkSettings> wanted,
                                              std::span<const std::string> excluded, std::string_view device);

// EINVAL with what is wrong and what to do: bad names, one that is given twice, the tunnel itself, too many.
Result<void> check_uplinks(const TunnelSettings& settings, std::string_view tunnel);

// EEXIST when that name is there. An exclusion of this very name goes.
Result<void> add_uplink(TunnelSettings& settings, const UplinkSettings& uplink);
// The entry of this name goes, be it a device or a pattern; a device that a pattern would take is excluded from then
// on. ENOENT when there is no such entry and the device is not attached.
Result<void> remove_uplink(TunnelSettings& settings, std::string_view name, bool attached);

}  // namespace centipede
