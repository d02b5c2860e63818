// What a tunnel must remember over a restart, as a file of JSON text: /var/lib/centipede/<tunnel>.state.
//
//   {"format": 1, "own_key": "...", "peers": {"<public key>": <accepted_ns>, ...}, "sent_limit_ns": ...}
//
// It keeps handshake timestamps growing when the clock was set back, and those of recorded initiations refused. A file
// of another identity, or one that is not exactly this, is damaged. It is written by dataplane/state_writer.h.
// Threading: any. Call crypto::initialise() first.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "crypto/keys.h"

namespace centipede {

inline constexpr std::string_view default_state_directory = "/var/lib/centipede";

struct AcceptedTimestamp {
  crypto::PublicKey peer;
  uint64_t accepted_ns = 0;  // the newest timestamp accepted from this peer, since 1970-01-01 UTC

  bool operator==(const AcceptedTimestamp&) const = default;
};

struct SavedState {
  uint64_t sent_limit_ns = 0;            // no timestamp above this was ever sent under our identity
  std::vector<AcceptedTimestamp> peers;  // each once; parse_state() returns them ordered by key

  bool operator==(const SavedState&) const = default;
};

[[nodiscard]] std::string state_path(std::string_view directory, std::string_view tunnel);

[[nodiscard]] std::string format_state(const SavedState& state, const crypto::PublicKey& own_key);
// Any text gives a state or an error with the reason. Timestamps end in the year 2262 (2^63), so that what is added to
// one does not overflow.
[[nodiscard]] Result<SavedState> parse_state(std::string_view text, const crypto::PublicKey& own_key);

// The state in the file; empty when there is no file.
[[nodiscard]] Result<SavedState> read_state(const std::string& path, const crypto::PublicKey& own_key);

struct OpenedState {
  SavedState state;
  std::string warning;  // one line; empty when all is well
};

// As read_state(), but never in the way of a start: what cannot be used is set aside as <path>.damaged, with a warning,
// and the state is empty.
[[nodiscard]] OpenedState open_state(const std::string& path, const crypto::PublicKey& own_key);

}  // namespace centipede
