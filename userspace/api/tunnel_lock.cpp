#include "api/tunnel_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/paths.h"

namespace centipede::api {
namespace {

// The holder removes the file when it leaves, so a lock may be won on a file that is no longer at its path.
bool still_at(const FileDescriptor& file, const std::string& path) {
  struct stat held{};
  struct stat there{};
  return fstat(file.get(), &held) == 0 && stat(path.c_str(), &there) == 0 && held.st_dev == there.st_dev &&
         held.st_ino == there.st_ino;
}

}  // namespace

Result<void> make_runtime_directory(const std::string& directory) {
  if (mkdir(directory.c_str(), 0755) != 0)
    return errno == EEXIST ? Result<void>{} : fail_system("making the folder " + directory);
  if (chmod(directory.c_str(), 0755) == 0) return {};  // whatever the umask: others may ask the reading sockets
  return fail_system("opening the folder " + directory + " to others");
}

Result<std::optional<TunnelLock>> TunnelLock::try_acquire(const std::string& directory, const std::string& tunnel) {
  if (auto made = make_runtime_directory(directory); !made) return std::unexpected(made.error());
  const std::string path = lock_path(directory, tunnel);
  while (true) {
    FileDescriptor file(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file) return fail_system("opening the lock file " + path);
    if (flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK) return std::nullopt;
      return fail_system("locking " + path);
    }
    if (still_at(file, path)) return TunnelLock(std::move(file), path);
  }
}

TunnelLock::~TunnelLock() {
  if (file_) unlink(path_.c_str());
}

}  // namespace centipede::api
