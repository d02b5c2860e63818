#include "cli/stop_signals.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>

namespace centipede::cli {

Result<std::unique_ptr<StopSignals>> StopSignals::install() {
  sigset_t wanted;
  sigset_t before;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGINT);
  sigaddset(&wanted, SIGTERM);
  sigaddset(&wanted, SIGHUP);
  FileDescriptor end(eventfd(0, EFD_CLOEXEC));
  FileDescriptor signals(signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!end || !signals) return fail_system("preparing for signals");
  pthread_sigmask(SIG_BLOCK, &wanted, &before);
  return std::unique_ptr<StopSignals>(new StopSignals(std::move(signals), std::move(end), before));
}

StopSignals::StopSignals(FileDescriptor signals, FileDescriptor end, const sigset_t& before)
    : signals_(std::move(signals)), end_(std::move(end)), before_(before), thread_([this] { serve(); }) {}

StopSignals::~StopSignals() {
  const uint64_t one = 1;
  // Eight bytes into an eventfd that nobody else writes: it cannot be full.
  [[maybe_unused]] const ssize_t written = write(end_.get(), &one, sizeof one);
  thread_.join();
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

void StopSignals::watch(TunnelControl* tunnel, std::function<void()> hangup) {
  const std::scoped_lock lock(mutex_);
  tunnel_ = tunnel;
  hangup_ = std::move(hangup);
  if (tunnel_ != nullptr && requested_) tunnel_->stop();
}

void StopSignals::serve() {
  while (true) {
    std::array<pollfd, 2> waiting{{{signals_.get(), POLLIN, 0}, {end_.get(), POLLIN, 0}}};
    if (poll(waiting.data(), waiting.size(), -1) < 0) continue;  // EINTR
    if (waiting[1].revents != 0) return;
    signalfd_siginfo arrived{};
    if (read(signals_.get(), &arrived, sizeof arrived) != sizeof arrived) continue;
    const std::scoped_lock lock(mutex_);
    if (arrived.ssi_signo == SIGHUP) {
      if (hangup_) hangup_();
      continue;
    }
    if (requested_) _exit(128 + static_cast<int>(arrived.ssi_signo));
    requested_ = true;
    if (tunnel_ != nullptr) tunnel_->stop();
  }
}

}  // namespace centipede::cli
