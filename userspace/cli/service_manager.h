// What systemd is told of the tunnel that it runs: that it is ready, that it ends, that it lives; and the interface
// that it keeps over a restart (its store of file descriptors). The protocol is that of sd_notify(3), a datagram to the
// socket in NOTIFY_SOCKET, spoken without libsystemd. Without that variable nothing is sent. Threading:
// from_environment() before there are other threads, since it changes the environment; the rest from any.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/file_descriptor.h"
#include "dataplane/tunnel_control.h"

namespace centipede::cli {

class ServiceManager {
 public:
  // Takes the variables out of the environment: what we execute does not speak for us.
  static ServiceManager from_environment();

  [[nodiscard]] bool present() const { return !socket_.empty(); }
  void ready(std::string_view status) const;
  void stopping() const;
  void alive() const;

  // The queues of the interface that an earlier process of this service had, once.
  std::vector<FileDescriptor> take_kept_queues() { return std::exchange(kept_queues_, {}); }
  void keep_queues(const std::vector<int>& queues) const;
  void forget_queues() const;  // so that the interface goes with us
  // Not told for so long that we are alive, it takes us for hung; 0: it does not ask.
  [[nodiscard]] std::chrono::microseconds patience() const { return patience_; }

 private:
  void take_descriptors();
  void send(const std::string& text, const std::vector<int>& descriptors = {}) const;

  std::string socket_;
  std::vector<FileDescriptor> kept_queues_;
  std::chrono::microseconds patience_{0};
};

// Says that the tunnel is alive as long as its control thread answers. Ownership: both must outlive it.
class Watchdog {
 public:
  Watchdog(const ServiceManager& manager, TunnelControl& tunnel);

 private:
  void serve(const std::stop_token& end);

  const ServiceManager& manager_;
  TunnelControl& tunnel_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::jthread thread_;  // the last member: it ends before what it uses
};

}  // namespace centipede::cli
