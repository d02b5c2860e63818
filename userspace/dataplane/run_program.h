// Runs a program of the system to its end, with text for its standard input. Threading: any; the caller waits.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace centipede {

// Looked for in PATH. Fails with ENOENT when there is no such program, with ETIMEDOUT when it has not ended in time (it
// is killed then), and otherwise when its exit code is not 0: the text has the first line that it said.
Result<void> run_program(const std::vector<std::string>& command, std::string_view input = {},
                         std::chrono::milliseconds time = std::chrono::seconds(5));

}  // namespace centipede
