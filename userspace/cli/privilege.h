// What a process needs to run a tunnel, and keeping its memory to itself. Threading: any.
#pragma once

#include <string>

#include "dataplane/capabilities.h"

namespace centipede::cli {

// Those capabilities that every tunnel needs and that are missing, as text, or nothing. What a receive mode needs
// beyond that is said where it fails: mode auto does without.
[[nodiscard]] std::string missing_tunnel_privilege();
// No core dumps, no ptrace by others, no swapping: each as far as the system allows, which is no error.
void protect_process_memory();
// Becomes a member of the group too, where there is one of that name, so that a file can be given to it when the
// capabilities for that have gone. Without CAP_SETGID nothing happens. All threads must have the same capabilities:
// glibc ends a process whose threads do not all succeed.
void join_group(const std::string& name);

}  // namespace centipede::cli
