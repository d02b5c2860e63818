// Preshared keys that stand in files, for reading them anew at each handshake: a key is replaced by replacing the file.
// Threading: any. Call crypto::initialise() first.
#pragma once

#include <optional>
#include <string>

#include "crypto/secret.h"

namespace centipede {

// The key in the file: 44 characters of base64, with white space around them or none. Nothing when there is no such
// file, it cannot be read or holds anything else.
[[nodiscard]] std::optional<crypto::SecretKey> read_preshared_key(const std::string& path);

}  // namespace centipede
