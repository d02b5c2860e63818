// `centipede dashboard`: a page on loopback that shows a running tunnel, until SIGINT or SIGTERM.
#pragma once

#include <cstdint>
#include <string>

#include "cli/host.h"

namespace centipede::cli {

struct DashboardOptions {
  std::string interface = "cp0";
  uint16_t port = 8420;  // 0: any that is free
};
// Prints the page's address as the only line on the output. Runs whether or not the tunnel does: the page says so.
int dashboard(Host& host, const DashboardOptions& options);

}  // namespace centipede::cli
