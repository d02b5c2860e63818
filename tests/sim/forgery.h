// Initiations that somebody without the peers' private keys can make: all is right but the signature, since everything
// else needs public keys only. Pure functions.
#pragma once

#include "crypto/handshake.h"

namespace centipede::sim {

// A flawless call to `responder` by somebody whom nobody knows.
[[nodiscard]] crypto::InitiationBytes stranger_call(const crypto::PublicKey& responder, wire::SessionId sid,
                                                    uint64_t timestamp_ns, const crypto::SecretKey& ephemeral);
// The same, but the box claims to be from `victim`.
[[nodiscard]] crypto::InitiationBytes impostor_call(const crypto::PublicKey& victim, const crypto::PublicKey& responder,
                                                    wire::SessionId sid, uint64_t timestamp_ns,
                                                    const crypto::SecretKey& ephemeral);

}  // namespace centipede::sim
