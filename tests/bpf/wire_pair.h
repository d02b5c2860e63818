// Two hosts on a wire: veth pairs between this process's network namespace (near, n<i>, 10.77.<i>.1) and another (far,
// f<i>, 10.77.<i>.2).
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <string>
#include <thread>

#include "base/file_descriptor.h"

namespace centipede::test {

class FarNamespace {
 public:
  FarNamespace();
  // Runs in the far namespace, on this thread. Sockets made there stay there.
  void in(const std::function<void()>& action) const;
  // "ip addr ..." there.
  void command(const std::string& line) const;
  [[nodiscard]] std::string path() const;

 private:
  FileDescriptor near_;
  FileDescriptor far_;
};

class WirePair {
 public:
  WirePair(const FarNamespace& far, int number);
  ~WirePair();
  WirePair(const WirePair&) = delete;
  WirePair& operator=(const WirePair&) = delete;

  [[nodiscard]] std::string near_device() const { return "n" + std::to_string(number_); }
  [[nodiscard]] unsigned ifindex() const;
  [[nodiscard]] std::string near_address() const { return "10.77." + std::to_string(number_) + ".1"; }
  void unplug();

 private:
  int number_;
};

enum class Transport { udp, tcp };

// Bound to the port in this namespace, non-blocking for UDP, listening for TCP.
FileDescriptor bound_socket(Transport transport, uint16_t port);
// In the far namespace, connected to the near host.
FileDescriptor far_socket(const FarNamespace& far, Transport transport, const std::string& address, uint16_t port);

// Polls until it holds or ten seconds have passed.
template <class Condition>
bool eventually(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

}  // namespace centipede::test
