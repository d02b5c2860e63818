// The key log: one line for each direction of each session, which tools/wireshark reads (docs/wireshark.md).
//   SID KEY IV DIRECTION PEER
// SID, KEY and IV are hexadecimal (16, 64 and 24 digits), DIRECTION is "to" or "from" the peer, whose name is the rest
// of the line. Lines that begin with # are comments. Threading: pure functions.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "dataplane/session_keys.h"

namespace centipede::api {

// A comment that says what the columns are, then the keys.
[[nodiscard]] std::string keylog_text(std::span<const SessionKey> keys);

// The session id of a line, or nothing for a comment.
[[nodiscard]] std::string_view keylog_session(std::string_view line);

}  // namespace centipede::api
