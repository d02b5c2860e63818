// SIGINT and SIGTERM while a tunnel runs: the first asks it to stop, the second ends the process at once (exit code 128
// + signal). SIGUSR2 is as the first, but another process takes over (RunningTunnel::hand_over()). SIGHUP has the
// configuration read again. The signals are blocked in the thread that makes the object, hence in all that it starts,
// and read on a thread of their own, so nothing here runs inside a signal handler. Ownership: the watched tunnel must
// be let go with watch(nullptr) before it ends.
#pragma once

#include <signal.h>

#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "api/server.h"
#include "base/file_descriptor.h"
#include "base/result.h"

namespace centipede::cli {

class StopSignals {
 public:
  static Result<std::unique_ptr<StopSignals>> install();
  ~StopSignals();

  // Stops it at once when a signal has come already. `hangup` must return at once.
  void watch(RunningTunnel* tunnel, std::function<void()> hangup = {});
  // SIGUSR2 was the first to come.
  [[nodiscard]] bool handing_over();

 private:
  StopSignals(FileDescriptor signals, FileDescriptor end, const sigset_t& before);
  void serve();
  void end_tunnel();

  FileDescriptor signals_;
  FileDescriptor end_;
  sigset_t before_;
  std::mutex mutex_;
  RunningTunnel* tunnel_ = nullptr;
  std::function<void()> hangup_;
  bool hangup_waits_ = false;  // SIGHUP came before there was anybody to tell
  bool requested_ = false;
  bool handing_over_ = false;
  std::thread thread_;
};

}  // namespace centipede::cli
