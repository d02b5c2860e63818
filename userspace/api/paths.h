// Where a running tunnel is found: one socket and one lock file for each, named after its interface. Pure functions but
// for running_tunnels(), which reads the folder. Threading: any.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace centipede::api {

inline constexpr std::string_view default_runtime_directory = "/run/centipede";

// What the kernel takes as a device name, and what is safe as a file name: 1 to 15 visible ASCII characters without
// '/', ':' and '%' (the kernel's pattern character), neither "." nor "..".
[[nodiscard]] bool valid_interface_name(std::string_view name);
inline constexpr std::string_view interface_name_rule = "1 to 15 visible characters without '/', ':' and '%'";
// The socket that does everything, root's alone, and the one that only reads, for the group of this name too.
inline constexpr const char* reading_group = "centipede";
[[nodiscard]] std::string socket_path(std::string_view directory, std::string_view tunnel);
[[nodiscard]] std::string reading_socket_path(std::string_view socket_path);
[[nodiscard]] std::string lock_path(std::string_view directory, std::string_view tunnel);
// The tunnels whose sockets are in the folder, sorted. A killed daemon's socket is there too: connecting tells.
[[nodiscard]] std::vector<std::string> running_tunnels(const std::string& directory);

}  // namespace centipede::api
