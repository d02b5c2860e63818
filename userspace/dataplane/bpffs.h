// Pins of one tunnel under bpffs: /sys/fs/bpf/centipede/<tunnel>/. A directory of maps for people and bpftool, and of
// records of the attachments that would outlive a killed daemon (those through libxdp's dispatcher), so that the next
// one can find and undo them. The caller holds the lock of the tunnel's name. Threading: one thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace centipede {

inline constexpr char bpffs_mount_point[] = "/sys/fs/bpf";

// Mounts bpffs where it is missing.
[[nodiscard]] Result<void> mount_bpffs();

// Removes the pins a dead daemon of this tunnel left and detaches the programs recorded there. Nothing left is success.
[[nodiscard]] Result<void> remove_leftovers(const std::string& tunnel);

class TunnelPins {
 public:
  // Mounts bpffs if need be, removes leftovers and makes the directory.
  [[nodiscard]] static Result<TunnelPins> create(const std::string& tunnel);

  TunnelPins(TunnelPins&& other) noexcept;
  TunnelPins& operator=(TunnelPins&&) = delete;
  ~TunnelPins();

  [[nodiscard]] Result<void> pin_map(const char* name, int fd);
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  struct Pin {
    std::string path;
    uint32_t map_id;
  };

  explicit TunnelPins(std::string path) : path_(std::move(path)) {}

  std::string path_;  // empty once moved from
  std::vector<Pin> pins_;
};

// The pin that says which device the program is, or is about to be, attached to through the dispatcher; unpinned at
// destruction. It pins a map: that is there before the program, and tells which of the dispatcher's programs is ours.
class AttachmentRecord {
 public:
  AttachmentRecord() = default;
  [[nodiscard]] static Result<AttachmentRecord> create(const std::string& directory, unsigned ifindex, int map_fd);
  AttachmentRecord(AttachmentRecord&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  AttachmentRecord& operator=(AttachmentRecord&& other) noexcept;
  ~AttachmentRecord();

 private:
  std::string path_;
};

}  // namespace centipede
