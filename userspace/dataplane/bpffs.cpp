#include "dataplane/bpffs.h"

#include <bpf/bpf.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <xdp/libxdp.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <span>
#include <system_error>
#include <utility>

#include "base/file_descriptor.h"
#include "dataplane/bpf_log.h"

namespace centipede {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view record_prefix = "attached-";

std::string parent_directory() {
  return std::string(bpffs_mount_point) + "/centipede";
}

Result<std::string> tunnel_directory(const std::string& tunnel) {
  if (tunnel.empty() || tunnel == "." || tunnel == ".." || tunnel.find('/') != std::string::npos)
    return fail("'" + tunnel + "' is not a name for a tunnel");
  return parent_directory() + "/" + tunnel;
}

bool is_bpffs() {
  struct statfs status{};
  return statfs(bpffs_mount_point, &status) == 0 && static_cast<unsigned long>(status.f_type) == BPF_FS_MAGIC;
}

// 0 when there is no such pin or it is no map.
uint32_t pinned_map_id(const std::string& path) {
  const FileDescriptor fd(bpf_obj_get(path.c_str()));
  bpf_map_info info{};
  uint32_t size = sizeof info;
  if (!fd || bpf_obj_get_info_by_fd(fd.get(), &info, &size) != 0) return 0;
  return info.id;
}

bool uses_map(int program_fd, uint32_t map_id) {
  std::array<uint32_t, 64> maps{};
  bpf_prog_info info{};
  info.nr_map_ids = maps.size();
  info.map_ids = reinterpret_cast<uintptr_t>(maps.data());
  uint32_t size = sizeof info;
  if (bpf_obj_get_info_by_fd(program_fd, &info, &size) != 0) return false;
  const auto known = std::span(maps).first(std::min<size_t>(info.nr_map_ids, maps.size()));
  return std::ranges::find(known, map_id) != known.end();
}

// False when the device's dispatcher, if there is one, holds no (further) program over this map.
bool detach_one(int ifindex, uint32_t map_id) {
  xdp_multiprog* dispatcher = xdp_multiprog__get_from_ifindex(ifindex);
  if (libxdp_get_error(dispatcher) != 0) return false;
  bool detached = false;
  for (xdp_program* program = nullptr;
       !detached && (program = xdp_multiprog__next_prog(program, dispatcher)) != nullptr;)
    detached = uses_map(xdp_program__fd(program), map_id) &&
               xdp_program__detach(program, ifindex, xdp_multiprog__attach_mode(dispatcher), 0) == 0;
  xdp_multiprog__close(dispatcher);
  return detached;
}

// What a dead daemon attached through the dispatcher: out of there, if it still is in there.
void detach_recorded(const std::string& pin, std::string_view file_name) {
  int ifindex = 0;
  const std::string_view number = file_name.substr(record_prefix.size());
  if (std::from_chars(number.data(), number.data() + number.size(), ifindex).ec != std::errc{} || ifindex <= 0) return;
  const uint32_t map_id = pinned_map_id(pin);
  if (map_id == 0) return;
  while (detach_one(ifindex, map_id)) {
  }
  (void)libxdp_clean_references(ifindex);
}

}  // namespace

Result<void> mount_bpffs() {
  if (is_bpffs()) return {};
  if (mount("bpf", bpffs_mount_point, "bpf", 0, "mode=0700") != 0)
    return fail_system("mounting bpffs at " + std::string(bpffs_mount_point));
  return {};
}

Result<void> remove_leftovers(const std::string& tunnel) {
  const auto directory = tunnel_directory(tunnel);
  if (!directory) return std::unexpected(directory.error());
  if (!is_bpffs()) return {};
  const BpfLog log;
  std::error_code error;
  std::vector<fs::path> files;
  for (fs::directory_iterator it(*directory, error), end; !error && it != end; it.increment(error))
    files.push_back(it->path());
  for (const fs::path& file : files) {
    const std::string name = file.filename().string();
    if (name.starts_with(record_prefix)) detach_recorded(file.string(), name);
    if (unlink(file.c_str()) != 0 && errno != ENOENT) return fail_system("removing the stale pin " + file.string());
  }
  if (rmdir(directory->c_str()) != 0 && errno != ENOENT) return fail_system("removing " + *directory);
  return {};
}

Result<TunnelPins> TunnelPins::create(const std::string& tunnel) {
  auto directory = tunnel_directory(tunnel);
  if (!directory) return std::unexpected(directory.error());
  if (auto mounted = mount_bpffs(); !mounted) return std::unexpected(mounted.error());
  if (auto removed = remove_leftovers(tunnel); !removed) return std::unexpected(removed.error());
  if (mkdir(parent_directory().c_str(), 0700) != 0 && errno != EEXIST)
    return fail_system("making " + parent_directory());
  if (mkdir(directory->c_str(), 0700) != 0) return fail_system("making " + *directory);
  return TunnelPins(std::move(*directory));
}

TunnelPins::TunnelPins(TunnelPins&& other) noexcept
    : path_(std::exchange(other.path_, {})), pins_(std::exchange(other.pins_, {})) {}

Result<void> TunnelPins::pin_map(const char* name, int fd) {
  std::string path = path_ + "/" + name;
  if (const int code = bpf_obj_pin(fd, path.c_str()); code != 0) return fail_system("pinning " + path, -code);
  const uint32_t id = pinned_map_id(path);
  pins_.push_back({std::move(path), id});
  return {};
}

TunnelPins::~TunnelPins() {
  if (path_.empty()) return;
  // Only what is still ours: a tunnel of the same name in another network namespace may have taken the directory over.
  for (const Pin& pin : pins_)
    if (pinned_map_id(pin.path) == pin.map_id) (void)unlink(pin.path.c_str());
  (void)rmdir(path_.c_str());
  (void)rmdir(parent_directory().c_str());
}

Result<AttachmentRecord> AttachmentRecord::create(const std::string& directory, unsigned ifindex, int map_fd) {
  AttachmentRecord record;
  const std::string path = directory + "/" + std::string(record_prefix) + std::to_string(ifindex);
  (void)unlink(path.c_str());
  if (const int code = bpf_obj_pin(map_fd, path.c_str()); code != 0) return fail_system("pinning " + path, -code);
  record.path_ = path;
  return record;
}

AttachmentRecord& AttachmentRecord::operator=(AttachmentRecord&& other) noexcept {
  std::swap(path_, other.path_);
  return *this;
}

AttachmentRecord::~AttachmentRecord() {
  if (path_.empty()) return;
  (void)unlink(path_.c_str());
  // Fails while the tunnel still has pins there, succeeds for the last to leave.
  (void)rmdir(fs::path(path_).parent_path().c_str());
}

}  // namespace centipede
