// Standard output as a buffer for a stream that remembers why it could not be written. What it held is wiped, because
// keys are printed through it. Ownership: the descriptor stays its owner's. Threading: one thread.
#pragma once

#include <array>
#include <streambuf>

#include "cli/host.h"

namespace centipede::cli {

class StandardOutput : public std::streambuf {
 public:
  explicit StandardOutput(int fd);

  // The errno of the first write that failed; 0: none has.
  [[nodiscard]] int failure() const { return failure_; }

 protected:
  int_type overflow(int_type c) override;
  int sync() override;

 private:
  int fd_;
  int failure_ = 0;
  std::array<char, 4096> buffer_;
};

// The exit code of a command that ended with `code`, now that all it has printed is out. What could not be written is
// an error; but a reader that has left, as `head` does, ends us with SIGPIPE unless that was ignored before
// (`inherited`).
int finished(Host& host, const StandardOutput& output, void (*inherited)(int), int code);

}  // namespace centipede::cli
