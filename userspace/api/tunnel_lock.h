// One tunnel, one daemon: an exclusive flock(2) on a file beside the tunnel's socket. The kernel drops it with the
// process, however that ends. Ownership: the lock is held as long as the object lives; the file goes with it.
// Threading: plain move-only value.
#pragma once

#include <optional>
#include <string>

#include "base/file_descriptor.h"
#include "base/result.h"

namespace centipede::api {

// The folder itself (mode 0755) when it is missing, not its parents.
Result<void> make_runtime_directory(const std::string& directory);

class TunnelLock {
 public:
  // Nothing when another process holds it. Does not wait.
  static Result<std::optional<TunnelLock>> try_acquire(const std::string& directory, const std::string& tunnel);
  TunnelLock(TunnelLock&&) noexcept = default;
  TunnelLock& operator=(TunnelLock&&) = delete;
  ~TunnelLock();

 private:
  TunnelLock(FileDescriptor file, std::string path) : file_(std::move(file)), path_(std::move(path)) {}
  FileDescriptor file_;
  std::string path_;
};

}  // namespace centipede::api
