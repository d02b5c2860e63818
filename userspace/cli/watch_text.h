// `centipede status --watch`: one screen of a running tunnel, with what moved since the last one. Pure functions.
#pragma once

#include <string>
#include <vector>

#include "dataplane/tunnel_status.h"

namespace centipede::cli {

struct ScreenSize {
  unsigned columns = 80;
  unsigned rows = 24;
};

// A status and the one before it, for rates; `elapsed` between the two.
struct Watched {
  TunnelStatus now;
  TunnelStatus before;
  Duration elapsed{};  // 0: there is none before
};

// Lines without their ends, none wider than the screen, as many as there is to say.
[[nodiscard]] std::vector<std::string> watch_lines(const Watched& watched, unsigned columns, bool colours);

// As much of them as fits, with a last line that says how many do not.
[[nodiscard]] std::string fitted(const std::vector<std::string>& lines, unsigned rows);

}  // namespace centipede::cli
