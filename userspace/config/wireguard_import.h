// A WireGuard configuration (wg(8), wg-quick(8)) turned into one of ours, as far as it goes. Pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace centipede {

struct Imported {
  std::string config;              // centipede.toml(5); may hold preshared keys
  std::vector<std::string> notes;  // "wg0.conf:7: PostUp: ...": each line that did not carry over, and why
};

// `path` names the file in messages; `tunnel` is the name of our interface. EINVAL: it is no WireGuard configuration,
// or a value in it makes no sense ("wg0.conf:3: what; what to do"). Input may be anything.
Result<Imported> import_wireguard(std::string_view text, const std::string& path, const std::string& tunnel);

}  // namespace centipede
