#include "api/paths.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "dataplane/uplink_selection.h"

namespace centipede::api {

bool valid_interface_name(std::string_view name) {
  return valid_device_name(name);
}

std::string socket_path(std::string_view directory, std::string_view tunnel) {
  return std::string(directory) + "/" + std::string(tunnel) + ".sock";
}

std::string reading_socket_path(std::string_view socket_path) {
  return std::string(socket_path.substr(0, socket_path.rfind('.'))) + ".read";
}

std::string lock_path(std::string_view directory, std::string_view tunnel) {
  return std::string(directory) + "/" + std::string(tunnel) + ".lock";
}

std::vector<std::string> running_tunnels(const std::string& directory) {
  std::vector<std::string> found;
  std::error_code error;
  std::filesystem::directory_iterator entries(directory, error);
  for (; !error && entries != std::filesystem::directory_iterator{}; entries.increment(error)) {
    const auto& path = entries->path();
    const std::string name = path.stem().string();
    if (path.extension() == ".sock" && valid_interface_name(name)) found.push_back(name);
  }
  std::ranges::sort(found);
  return found;
}

}  // namespace centipede::api
