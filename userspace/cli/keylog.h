// `centipede keylog`: writes the keys of a running tunnel's sessions, for Wireshark (docs/wireshark.md). Only a tunnel
// that was started with --allow-keylog gives them.
#pragma once

#include <string>

#include "cli/host.h"

namespace centipede::cli {

struct KeylogOptions {
  std::string interface = "cp0";
  std::string output;   // a file of mode 0600, to which lines are added; empty: host.out
  bool follow = false;  // go on with the keys of new sessions, until interrupted or the tunnel ends
};
int keylog(Host& host, const KeylogOptions& options);

}  // namespace centipede::cli
