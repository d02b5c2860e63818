// A request while it arrives: tells when it is whole, or cannot become one. It looks only for the ends of head and
// body; what they say is the HTTP library's to read. Bounds: a head of 32 KiB, and the body that it is given.
// Threading: one thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/small_file.h"

namespace centipede::api {

struct RequestProblem {
  int status = 0;
  std::string_view why;
};

class RequestReader {
 public:
  static constexpr size_t longest_head = size_t{32} * 1024;

  explicit RequestReader(size_t longest_body) : longest_body_(longest_body) {}

  // False: there is a problem(). Bytes beyond the request are left out.
  bool add(std::string_view bytes);
  [[nodiscard]] bool whole() const { return head_size_ != 0 && size() == head_size_ + body_size_; }
  [[nodiscard]] const std::optional<RequestProblem>& problem() const { return problem_; }
  // Once true: the sender waits for a sign before it sends the body.
  [[nodiscard]] bool wants_continue();
  [[nodiscard]] bool empty() const { return size() == 0; }
  [[nodiscard]] size_t size() const { return bytes_.text().size(); }
  [[nodiscard]] size_t head_size() const { return head_size_; }
  [[nodiscard]] SecretText take() { return std::move(bytes_); }

 private:
  bool fail(int status, std::string_view why);
  bool read_head();
  bool read_header(std::string_view name, std::string_view value);

  size_t longest_body_;
  SecretText bytes_;      // a preshared key may be in it
  size_t head_size_ = 0;  // with the empty line; 0: not there yet
  std::optional<size_t> length_;
  size_t body_size_ = 0;
  bool wants_continue_ = false;
  std::optional<RequestProblem> problem_;
};

}  // namespace centipede::api
