// Recoverable failure. A Result carries either a value or an Error that names what was attempted and why it failed, so
// that the text can be shown to a user as it is. Threading: plain values.
#pragma once

#include <cerrno>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace centipede {

struct Error {
  std::string text;  // "opening /dev/net/tun: No such file or directory"
  int code = 0;      // errno where there was one, else 0
};

template <class T>
using Result = std::expected<T, Error>;

// An Error made of the attempt and an errno value (default: the current one).
[[nodiscard]] Error system_error(std::string_view attempt, int code = errno);

[[nodiscard]] inline std::unexpected<Error> fail(std::string text, int code = 0) {
  return std::unexpected(Error{std::move(text), code});
}
[[nodiscard]] inline std::unexpected<Error> fail_system(std::string_view attempt, int code = errno) {
  return std::unexpected(system_error(attempt, code));
}

}  // namespace centipede
