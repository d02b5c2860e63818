// The terminal's alternate screen, drawn over and over until a signal ends it: what was on the terminal before comes
// back, whether it ends by Ctrl-C, by SIGTERM or is stopped by Ctrl-Z for a while.
// Ownership: while it lives, SIGINT, SIGTERM, SIGHUP, SIGTSTP and SIGWINCH are its own. Threading: one thread, which
// made it.
#pragma once

#include <signal.h>

#include <chrono>
#include <iosfwd>
#include <memory>
#include <string>

#include "base/file_descriptor.h"
#include "base/result.h"
#include "cli/watch_text.h"

namespace centipede::cli {

// Of the terminal on standard output; 80 by 24 when it does not say.
[[nodiscard]] ScreenSize terminal_size();

class Screen {
 public:
  static Result<std::unique_ptr<Screen>> open(std::ostream& out);
  ~Screen();

  void draw(const std::string& text);
  // False when it is to end. Returns early to be drawn anew: the window has another size, or we were continued.
  [[nodiscard]] bool wait(std::chrono::milliseconds time);

 private:
  Screen(std::ostream& out, FileDescriptor signals, const sigset_t& before);
  void enter();
  void leave();

  std::ostream& out_;
  FileDescriptor signals_;
  sigset_t before_;
};

}  // namespace centipede::cli
