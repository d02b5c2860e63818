// Keeps libbpf and libxdp quiet and their last words at hand: both print to stderr unless told otherwise, and only
// their log (the verifier's included) says why a load failed. A BpfLog collects the warnings of its own thread while it
// lives; warnings of threads without one are dropped. Nested ones: the innermost collects.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace centipede {

class BpfLog {
 public:
  BpfLog();
  ~BpfLog();
  BpfLog(const BpfLog&) = delete;
  BpfLog& operator=(const BpfLog&) = delete;

  [[nodiscard]] const std::string& text() const { return text_; }
  // "attempt: errno text (last line of the log)"; negative and positive errno values are both understood.
  [[nodiscard]] Error error(std::string_view attempt, int code) const;
  void append(std::string_view message);

 private:
  std::string text_;
  BpfLog* outer_;
};

}  // namespace centipede
