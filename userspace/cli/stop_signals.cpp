#include "cli/stop_signals.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <utility>

#include "dataplane/capabilities.h"

namespace centipede::cli {

Result<std::unique_ptr<StopSignals>> StopSignals::install() {
  sigset_t wanted;
  sigset_t before;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGINT);
  sigaddset(&wanted, SIGTERM);
  sigaddset(&wanted, SIGHUP);
  sigaddset(&wanted, SIGUSR2);
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

void StopSignals::watch(RunningTunnel* tunnel, std::function<void()> hangup) {
  const std::scoped_lock lock(mutex_);
  tunnel_ = tunnel;
  hangup_ = std::move(hangup);
  if (hangup_ && std::exchange(hangup_waits_, false)) hangup_();
  if (requested_) end_tunnel();
}

bool StopSignals::handing_over() {
  const std::scoped_lock lock(mutex_);
  return handing_over_;
}

void StopSignals::end_tunnel() {
  if (tunnel_ == nullptr) return;
  if (handing_over_)
    tunnel_->hand_over();
  else
    tunnel_->stop();
}

void StopSignals::serve() {
  (void)keep_capabilities({});  // it is there before the tunnel drops its own, and needs none
  while (true) {
    std::array<pollfd, 2> waiting{{{signals_.get(), POLLIN, 0}, {end_.get(), POLLIN, 0}}};
    if (poll(waiting.data(), waiting.size(), -1) < 0) continue;  // EINTR
    if (waiting[1].revents != 0) return;
    signalfd_siginfo arrived{};
    if (read(signals_.get(), &arrived, sizeof arrived) != sizeof arrived) continue;
    const std::scoped_lock lock(mutex_);
    if (arrived.ssi_signo == SIGHUP) {
      hangup_waits_ = !hangup_;
      if (hangup_) hangup_();
      continue;
    }
    if (requested_) _exit(128 + static_cast<int>(arrived.ssi_signo));
    requested_ = true;
    handing_over_ = arrived.ssi_signo == SIGUSR2;
    end_tunnel();
  }
}

}  // namespace centipede::cli
