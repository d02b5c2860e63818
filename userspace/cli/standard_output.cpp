#include "cli/standard_output.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <ostream>
#include <string>

namespace centipede::cli {

StandardOutput::StandardOutput(int fd) : fd_(fd) {
  setp(buffer_.begin(), buffer_.end());
}

StandardOutput::int_type StandardOutput::overflow(int_type c) {
  if (sync() != 0) return traits_type::eof();
  if (!traits_type::eq_int_type(c, traits_type::eof())) sputc(traits_type::to_char_type(c));
  return traits_type::not_eof(c);
}

int StandardOutput::sync() {
  const char* next = pbase();
  while (next < pptr() && failure_ == 0) {
    const ssize_t written = write(fd_, next, static_cast<size_t>(pptr() - next));
    if (written >= 0) {
      next += written;
    } else if (errno == EAGAIN) {  // whoever gave it to us has made it so
      pollfd writable{fd_, POLLOUT, 0};
      poll(&writable, 1, -1);
    } else if (errno != EINTR) {
      failure_ = errno;
    }
  }
  explicit_bzero(buffer_.data(), static_cast<size_t>(pptr() - pbase()));
  setp(buffer_.begin(), buffer_.end());
  return failure_ == 0 ? 0 : -1;
}

int finished(Host& host, const StandardOutput& output, void (*inherited)(int), int code) {
  host.out << std::flush;
  if (output.failure() == 0) return code;
  if (output.failure() == EPIPE) {
    (void)std::signal(SIGPIPE, inherited);
    (void)std::raise(SIGPIPE);
  }
  return complain(host, code == done ? failed : code,
                  std::string("writing to standard output failed: ") + std::strerror(output.failure()));
}

}  // namespace centipede::cli
