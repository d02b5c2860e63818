// UNIX stream sockets at a path: the listening one, which owns its file, and connecting to it. Errors: code is errno
// (ENOENT or ECONNREFUSED from connect_unix: nobody listens there). Threading: any.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/file_descriptor.h"
#include "base/result.h"

namespace centipede::api {

class UnixListener {
 public:
  // Mode 0600 from its first moment. A socket that nobody answers on is removed first; one that answers, or a file of
  // another kind, is an error.
  static Result<UnixListener> bind(const std::string& path);
  UnixListener(UnixListener&&) noexcept = default;
  UnixListener& operator=(UnixListener&&) = delete;
  ~UnixListener();

  // Mode 0660 and this group.
  Result<void> open_to_group(gid_t group) const;

  [[nodiscard]] int fd() const { return socket_.get(); }  // non-blocking

 private:
  UnixListener(FileDescriptor socket, std::string path, ino_t inode)
      : socket_(std::move(socket)), path_(std::move(path)), inode_(inode) {}
  FileDescriptor socket_;
  std::string path_;
  ino_t inode_;
};

// A connected, blocking socket.
Result<FileDescriptor> connect_unix(const std::string& path);

}  // namespace centipede::api
