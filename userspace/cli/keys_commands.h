// `centipede genkey`, `pubkey` and `genpsk`, as `wg` has them. Keys go to standard output or into a new file of mode
// 0600.
#pragma once

#include <string>

#include "cli/host.h"

namespace centipede::cli {

// An empty path: standard output, or standard input for pubkey.
int generate_private_key(Host& host, const std::string& output_path);
int generate_preshared_key(Host& host, const std::string& output_path);
int print_public_key(Host& host, const std::string& input_path);

}  // namespace centipede::cli
