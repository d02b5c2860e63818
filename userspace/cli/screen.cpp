#include "cli/screen.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <ostream>

namespace centipede::cli {

ScreenSize terminal_size() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) return {};
  return {size.ws_col, size.ws_row};
}

Result<std::unique_ptr<Screen>> Screen::open(std::ostream& out) {
  sigset_t wanted;
  sigset_t before;
  sigemptyset(&wanted);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGTSTP, SIGWINCH})
    sigaddset(&wanted, number);
  FileDescriptor signals(signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals) return fail_system("preparing for signals");
  pthread_sigmask(SIG_BLOCK, &wanted, &before);
  return std::unique_ptr<Screen>(new Screen(out, std::move(signals), before));
}

Screen::Screen(std::ostream& out, FileDescriptor signals, const sigset_t& before)
    : out_(out), signals_(std::move(signals)), before_(before) {
  enter();
}

Screen::~Screen() {
  leave();
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

// The alternate screen, without a cursor and without wrapping lines.
void Screen::enter() {
  out_ << "\x1b[?1049h\x1b[?25l\x1b[?7l" << std::flush;
}

void Screen::leave() {
  out_ << "\x1b[?7h\x1b[?25h\x1b[?1049l" << std::flush;
}

void Screen::draw(const std::string& text) {
  // Each line over the old one and the rest of it cleared: nothing flickers.
  std::string frame = "\x1b[H";
  for (const char c : text) {
    if (c == '\n') frame += "\x1b[K\r";
    frame += c;
  }
  out_ << frame << "\x1b[K\x1b[J" << std::flush;
}

bool Screen::wait(std::chrono::milliseconds time) {
  pollfd waiting{signals_.get(), POLLIN, 0};
  if (poll(&waiting, 1, static_cast<int>(time.count())) <= 0) return true;
  signalfd_siginfo arrived{};
  while (read(signals_.get(), &arrived, sizeof arrived) == sizeof arrived) {
    if (arrived.ssi_signo == SIGTSTP) {
      leave();
      kill(getpid(), SIGSTOP);
      enter();
    } else if (arrived.ssi_signo != SIGWINCH) {
      return false;
    }
  }
  return true;
}

}  // namespace centipede::cli
