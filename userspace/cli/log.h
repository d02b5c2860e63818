// The log of `attach`: spdlog to standard error, one line an event, with its time and level. The journal of systemd has
// its own time, and gets the level in its form.
#pragma once

#include <string>

namespace centipede::cli {

void start_log(bool verbose);
// What goes before a line on standard error that is an error and no line of the log: what the journal knows it by.
[[nodiscard]] std::string error_prefix();

}  // namespace centipede::cli
