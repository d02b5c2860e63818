// The target of a request, "/v1/peers/a%2Fb?after=7", taken apart. Input may be anything. Threading: pure functions.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace centipede::api {

struct Target {
  std::vector<std::string> segments;  // decoded: {"v1", "peers", "a/b"}
  std::map<std::string, std::string> query;
};

// EINVAL: no path, bad percent-encoding, a parameter twice.
[[nodiscard]] Result<Target> parse_target(std::string_view text);

// The segments that stand at {..} in the pattern "/v1/peers/{peer}"; nothing when it is another path.
[[nodiscard]] std::optional<std::vector<std::string>> match(std::string_view pattern, const Target& target);

}  // namespace centipede::api
