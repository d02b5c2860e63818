// What a user types: parses the arguments and carries out the command. Returns the exit code: 0 done, 1 failed at run
// time, 2 wrong usage or configuration.
#pragma once

#include "cli/host.h"

namespace centipede::cli {

int run_command_line(Host& host, int argc, const char* const* argv);

}  // namespace centipede::cli
