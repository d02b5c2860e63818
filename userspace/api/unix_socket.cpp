#include "api/unix_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

namespace centipede::api {
namespace {

constexpr int backlog = 128;

Result<sockaddr_un> make_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return fail("socket path " + path + ": longer than " + std::to_string(sizeof address.sun_path - 1) + " characters",
                ENAMETOOLONG);
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

// Leaves the path free, or says why it cannot be.
Result<void> clear_path(const std::string& path) {
  struct stat there{};
  if (lstat(path.c_str(), &there) != 0) {
    if (errno == ENOENT) return {};
    return fail_system("looking at " + path);
  }
  if (!S_ISSOCK(there.st_mode)) return fail(path + " is there and no socket: remove it", EEXIST);
  if (connect_unix(path)) return fail(path + ": another daemon answers there", EADDRINUSE);
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return fail_system("removing the stale socket " + path);
  return {};
}

}  // namespace

Result<UnixListener> UnixListener::bind(const std::string& path) {
  const auto address = make_address(path);
  if (!address) return std::unexpected(address.error());
  if (auto cleared = clear_path(path); !cleared) return std::unexpected(cleared.error());
  FileDescriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return fail_system("opening a UNIX socket");
  // bind() gives the file the socket's own mode: set before, there is no moment in which others could connect.
  if (fchmod(socket.get(), 0600) != 0) return fail_system("setting the mode of " + path);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0) {
    return fail_system("binding " + path);
  }
  struct stat made{};
  if (lstat(path.c_str(), &made) != 0) return fail_system("looking at " + path);
  UnixListener listener(std::move(socket), path, made.st_ino);
  if (listen(listener.fd(), backlog) != 0) return fail_system("listening on " + path);
  return listener;
}

Result<void> UnixListener::open_to_group(gid_t group) const {
  // The group first: there is no moment in which another one may connect.
  if (lchown(path_.c_str(), static_cast<uid_t>(-1), group) != 0) {
    return fail_system("giving " + path_ + " to its group (needs CAP_CHOWN)");
  }
  if (chmod(path_.c_str(), 0660) != 0) return fail_system("setting the mode of " + path_);
  return {};
}

UnixListener::~UnixListener() {
  struct stat there{};
  if (socket_ && lstat(path_.c_str(), &there) == 0 && there.st_ino == inode_) unlink(path_.c_str());
}

Result<FileDescriptor> connect_unix(const std::string& path) {
  const auto address = make_address(path);
  if (!address) return std::unexpected(address.error());
  FileDescriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) return fail_system("opening a UNIX socket");
  if (connect(socket.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0) {
    return fail_system("connecting to " + path);
  }
  return socket;
}

}  // namespace centipede::api
