// `centipede import wg0.conf`: a WireGuard configuration turned into one of ours.
#pragma once

#include <string>

#include "cli/host.h"

namespace centipede::cli {

struct ImportOptions {
  std::string input;
  std::string output;  // a new file of mode 0600; empty: standard output
};
// What did not carry over is told on err. wrong_usage for a file that is no WireGuard configuration.
int import_config(Host& host, const ImportOptions& options);

}  // namespace centipede::cli
