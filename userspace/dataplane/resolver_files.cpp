#include "dataplane/resolver_files.h"

#include <algorithm>
#include <array>

#include "base/small_file.h"

namespace centipede {
namespace {

constexpr size_t file_limit = 64 << 10;
constexpr std::string_view blanks = " \t\r";

std::vector<IpAddress> read(const std::string& path) {
  const auto file = read_small_file(path, file_limit);
  return file ? parse_name_servers(file->content.text()) : std::vector<IpAddress>{};
}

bool is_resolved_stub(const IpAddress& address) {
  return address == *IpAddress::parse("127.0.0.53") || address == *IpAddress::parse("127.0.0.54");
}

}  // namespace

std::vector<IpAddress> parse_name_servers(std::string_view resolv_conf) {
  constexpr std::string_view keyword = "nameserver";
  std::vector<IpAddress> servers;
  while (!resolv_conf.empty()) {
    const size_t end = std::min(resolv_conf.find('\n'), resolv_conf.size());
    std::string_view line = resolv_conf.substr(0, end);
    resolv_conf.remove_prefix(std::min(end + 1, resolv_conf.size()));
    if (!line.starts_with(keyword)) continue;
    line.remove_prefix(keyword.size());
    const size_t first = line.find_first_not_of(blanks);
    if (first == 0 || first == std::string_view::npos) continue;
    line = line.substr(first, line.find_first_of(blanks, first) - first);
    const auto address = IpAddress::parse(line.substr(0, line.find('%')));
    if (address && std::ranges::find(servers, *address) == servers.end()) servers.push_back(*address);
  }
  return servers;
}

std::vector<IpAddress> outside_name_servers(const ResolverFiles& files, std::span<const IpAddress> inside) {
  std::vector<IpAddress> servers = read(files.resolv_conf);
  if (std::ranges::any_of(servers, is_resolved_stub)) {
    std::erase_if(servers, is_resolved_stub);
    for (const IpAddress& server : read(files.resolved)) {
      if (std::ranges::find(servers, server) == servers.end()) servers.push_back(server);
    }
  }
  std::erase_if(servers, [&](const IpAddress& one) { return std::ranges::find(inside, one) != inside.end(); });
  return servers;
}

}  // namespace centipede
