// The log of `attach`: spdlog to standard error, one line an event, with its time and level. The journal of systemd has
// its own time, and gets the level in its form. Nobody waits for who reads it (cli/log_writer.h).
#pragma once

#include <string>

namespace centipede::cli {

void start_log(bool verbose);
// Before something else goes to standard error: waits until the log is there, for a second at most. False: nobody
// reads.
[[nodiscard]] bool drain_log();
// What goes before a line on standard error that is an error and no line of the log: what the journal knows it by.
[[nodiscard]] std::string error_prefix();

}  // namespace centipede::cli
