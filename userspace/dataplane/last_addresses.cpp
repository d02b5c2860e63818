#include "dataplane/last_addresses.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <sstream>

#include "base/small_file.h"

namespace centipede {
namespace {

constexpr time_t longest_age_s = 60;
constexpr size_t addresses_limit = size_t{16} << 20;

}  // namespace

std::string last_addresses_path(std::string_view directory, std::string_view tunnel) {
  return std::string(directory) + "/" + std::string(tunnel) + ".addresses";
}

Result<void> write_last_addresses(const std::string& path, const std::vector<control::PeerStatus>& peers) {
  std::string text;
  for (const control::PeerStatus& peer : peers) {
    for (const control::PathStatus& one : peer.paths) {
      if (one.state != control::PathState::active && one.state != control::PathState::degraded) continue;
      text += peer.public_key.base64() + " " + one.remote.text() + "\n";
    }
  }
  (void)unlink(path.c_str());
  return write_new_secret_file(path, text);
}

LastAddresses take_last_addresses(const std::string& path) {
  struct stat state{};
  if (stat(path.c_str(), &state) != 0) return {};
  const auto file = read_small_file(path, addresses_limit);
  (void)unlink(path.c_str());
  if (!file || std::abs(time(nullptr) - state.st_mtime) > longest_age_s) return {};
  LastAddresses all;
  std::istringstream lines(file->content.text());
  for (std::string line; std::getline(lines, line);) {
    const size_t space = line.find(' ');
    if (space == std::string::npos) continue;
    const auto key = crypto::PublicKey::from_base64(line.substr(0, space));
    const auto endpoint = Endpoint::parse(line.substr(space + 1));
    if (!key || !endpoint) continue;
    if (all.empty() || all.back().first != *key) all.emplace_back(*key, std::vector<Endpoint>{});
    auto& endpoints = all.back().second;
    if (std::ranges::find(endpoints, *endpoint) == endpoints.end()) endpoints.push_back(*endpoint);
  }
  return all;
}

}  // namespace centipede
