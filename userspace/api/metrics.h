// The state of a tunnel as metrics for Prometheus. Names are centipede_..., units seconds, bytes, packets and ratios;
// what counts up ends in _total. Every sample has the label interface; further labels: uplink, peer (its name), local
// and remote of a path, and reason, verdict, stage, direction, state where a family has several kinds.
// Threading: pure function.
#pragma once

#include <cstdint>
#include <string>

#include "api/counters.h"
#include "dataplane/tunnel_status.h"

namespace centipede::api {

[[nodiscard]] std::string metrics_text(const TunnelStatus& status, uint64_t events, const ApiCounters& counters);

}  // namespace centipede::api
