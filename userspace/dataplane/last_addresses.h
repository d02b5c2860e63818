// Where peers were reached when a process of the tunnel handed over to the next (RunningTunnel::hand_over()), so that
// this one can call those who have no endpoint in its configuration. A file with a line for each address, the peer's
// key and the address. It is taken once, and worth nothing after a minute: others may have the addresses then.
// Threading: any.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "control/status.h"
#include "crypto/keys.h"

namespace centipede {

using LastAddresses = std::vector<std::pair<crypto::PublicKey, std::vector<Endpoint>>>;  // one entry a peer

[[nodiscard]] std::string last_addresses_path(std::string_view directory, std::string_view tunnel);
// Those of paths that are up.
Result<void> write_last_addresses(const std::string& path, const std::vector<control::PeerStatus>& peers);
// Nothing where there is no such file, or an old one. Lines that make no sense are left out.
[[nodiscard]] LastAddresses take_last_addresses(const std::string& path);

}  // namespace centipede
