#include "dataplane/resolver_files.h"

#include <algorithm>
#include <filesystem>

#include "base/small_file.h"

namespace centipede {
namespace {

constexpr size_t file_limit = 64 << 10;
constexpr std::string_view blanks = " \t\r";

std::vector<IpAddress> read(const std::string& path) {
  const auto file = read_small_file(path, file_limit);
  return file ? parse_name_servers(file->content.text()) : std::vector<IpAddress>{};
}

void append_new(std::vector<IpAddress>& servers, const std::vector<IpAddress>& others) {
  for (const IpAddress& one : others) {
    if (std::ranges::find(servers, one) == servers.end()) servers.push_back(one);
  }
}

// In the order of their names, so that it is the same each time.
std::vector<IpAddress> read_records(const std::string& folder) {
  std::vector<std::string> paths;
  std::error_code error;
  for (std::filesystem::directory_iterator record(folder, error), end; !error && record != end; record.increment(error))
    paths.push_back(record->path());
  std::ranges::sort(paths);
  std::vector<IpAddress> servers;
  for (const std::string& path : paths)
    append_new(servers, read(path));
  return servers;
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

bool is_loopback(const IpAddress& address) {
  return address.is_v4() ? address.bytes()[0] == 127 : address == *IpAddress::parse("::1");
}

std::vector<IpAddress> outside_name_servers(const ResolverFiles& files, std::span<const IpAddress> inside) {
  const auto outside = [&](std::vector<IpAddress> servers) {
    std::erase_if(servers, [&](const IpAddress& one) { return std::ranges::find(inside, one) != inside.end(); });
    return servers;
  };
  std::vector<IpAddress> servers = read(files.resolv_conf);
  if (std::ranges::any_of(servers, is_resolved_stub)) {
    std::erase_if(servers, is_resolved_stub);
    append_new(servers, read(files.resolved));
  }
  servers = outside(std::move(servers));
  for (const std::string& folder : files.records) {
    if (servers.empty()) servers = outside(read_records(folder));
  }
  if (servers.empty()) servers = outside(read(files.resolv_conf + ".bak"));
  return servers;
}

}  // namespace centipede
