// Hashes and key derivation of the handshake: BLAKE2b (RFC 7693) and HKDF-SHA-512 (RFC 5869), on libsodium.
// Pure functions; secrets come out in types that wipe themselves.
#pragma once

#include <array>
#include <initializer_list>
#include <string_view>

#include "base/bytes.h"
#include "crypto/secret.h"

namespace centipede::crypto {

using Hash = std::array<uint8_t, 64>;

// BLAKE2b-512 of the parts one after the other.
[[nodiscard]] Hash blake2b(std::initializer_list<ConstBytes> parts);

[[nodiscard]] Secret<64> hkdf_extract(ConstBytes salt, ConstBytes input);
// HKDF-Expand into out (at most 255 * 64 bytes).
void hkdf_expand(const Secret<64>& pseudo_random_key, std::string_view info, Bytes out);

}  // namespace centipede::crypto
