// A status as people read it: at most 80 columns, unless a name or an address alone is longer. Pure functions.
#pragma once

#include <string>

#include "dataplane/tunnel_status.h"

namespace centipede::cli {

// Colours are those of a terminal: a path's state, what is not usable.
[[nodiscard]] std::string status_text(const TunnelStatus& status, bool colours);
// The part about one peer of it.
[[nodiscard]] std::string peer_text(const TunnelStatus& status, const control::PeerStatus& peer, bool colours);

// A path's state in its colour.
[[nodiscard]] std::string painted(control::PathState state, const std::string& text, bool colours);

// "17", "12.3 k", "4.56 M", "7.89 G": three digits and a decimal prefix.
[[nodiscard]] std::string short_number(uint64_t value);
// "42 s", "3 min 5 s", "2 h 7 min", "5 d 3 h".
[[nodiscard]] std::string short_duration(Duration value);
// "9.87", "12.3".
[[nodiscard]] std::string milliseconds_text(Duration value);

}  // namespace centipede::cli
