// What the keys of the configuration ask of this system.
#include <linux/magic.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "base/file_descriptor.h"
#include "cli/doctor.h"

namespace centipede::cli {
namespace {

// As a shell would find it; the folders of system programs are not on everybody's PATH.
bool has_program(const std::string& name) {
  const char* path = std::getenv("PATH");
  const std::string folders = (path != nullptr ? std::string(path) : "/usr/bin:/bin") + ":/usr/sbin:/sbin";
  for (size_t begin = 0; begin < folders.size();) {
    const size_t end = std::min(folders.find(':', begin), folders.size());
    const std::string candidate = folders.substr(begin, end - begin) + "/" + name;
    if (access(candidate.c_str(), X_OK) == 0) return true;
    begin = end + 1;
  }
  return false;
}

// The nearest folder on the way to `path` that exists: where what is missing would be made.
std::filesystem::path existing_part(std::filesystem::path path) {
  std::error_code error;
  while (!std::filesystem::exists(path, error) && path.has_parent_path() && path != path.parent_path())
    path = path.parent_path();
  return path;
}

Finding name_servers(const TunnelConfig& config) {
  std::string list;
  for (const auto& address : config.dns)
    list += (list.empty() ? "" : ", ") + address.text();
  const bool resolved = access("/run/systemd/resolve", F_OK) == 0;
  if (resolved && has_program("resolvectl")) return {Level::ok, "dns", list + " through systemd-resolved", ""};
  if (has_program("resolvconf")) return {Level::ok, "dns", list + " through resolvconf", ""};
  return {Level::warn, "dns", list + " cannot be set: neither systemd-resolved runs nor resolvconf is there",
          "apt install systemd-resolved (or openresolv), or write /etc/resolv.conf yourself"};
}

Finding kill_switch() {
  const FileDescriptor netfilter(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
  if (netfilter) return {Level::ok, "kill switch", "the kernel has netfilter", ""};
  return {Level::fail, "kill switch", system_error("the kernel lets nobody set nftables").text,
          "modprobe nf_tables, or leave kill_switch out"};
}

}  // namespace

Finding examine_state_directory(const std::string& path) {
  const std::string what = "state directory";
  const std::string remedy =
      "the tunnel runs without, but a restart forgets handshake timestamps: make it writable, "
      "on a disk that outlives a restart";
  const std::filesystem::path there = existing_part(path);
  struct statfs kind{};
  struct statvfs space{};
  if (statfs(there.c_str(), &kind) != 0 || statvfs(there.c_str(), &space) != 0) {
    return {Level::warn, what, system_error(path).text, remedy};
  }
  if (access(there.c_str(), W_OK | X_OK) != 0) return {Level::warn, what, system_error(path).text, remedy};
  if (static_cast<uint64_t>(kind.f_type) == TMPFS_MAGIC || static_cast<uint64_t>(kind.f_type) == RAMFS_MAGIC) {
    return {Level::warn, what, path + " is in memory", remedy};
  }
  constexpr uint64_t least_bytes = uint64_t{4} * 1024 * 1024;
  if (uint64_t{space.f_bavail} * space.f_frsize < least_bytes) {
    return {Level::warn, what, "the disk of " + path + " is full", "make room: " + remedy};
  }
  const bool made = there == std::filesystem::path(path);
  return {Level::ok, what, path + (made ? " is writable" : " will be made"), ""};
}

std::vector<Finding> examine_settings(const TunnelConfig& config) {
  std::vector<Finding> findings{examine_state_directory(config.state_directory)};
  if (!config.dns.empty()) findings.push_back(name_servers(config));
  if (config.kill_switch) findings.push_back(kill_switch());
  return findings;
}

}  // namespace centipede::cli
