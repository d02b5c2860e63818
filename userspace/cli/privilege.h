// Capabilities of this process, and keeping its memory to itself. Threading: any.
#pragma once

#include <string>

namespace centipede::cli {

// By number, from <linux/capability.h>; false when it cannot be told.
[[nodiscard]] bool has_capability(unsigned number);
// Those that a tunnel needs and that are missing, as text, or nothing.
[[nodiscard]] std::string missing_tunnel_privilege();
// No core dumps, no ptrace by others, no swapping: each as far as the system allows, which is no error.
void protect_process_memory();

}  // namespace centipede::cli
