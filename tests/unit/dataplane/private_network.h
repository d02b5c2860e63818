// Runs a test body in a thread with a network namespace of its own, which goes with the thread, and sets interfaces up.
#pragma once

#include <gtest/gtest.h>
#include <linux/ipv6.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <thread>

#include "base/address.h"
#include "base/file_descriptor.h"

namespace centipede::test {

template <class Body>
void in_private_network(Body body) {
  std::thread([&] {
    ASSERT_EQ(::unshare(CLONE_NEWNET), 0) << "needs root: " << std::strerror(errno);
    body();
  }).join();
}

// A shell's command, without a word of what it prints.
[[nodiscard]] inline bool run(const std::string& command) {
  return std::system(("( " + command + " ) >/dev/null 2>&1").c_str()) == 0;
}

inline void set_up(std::string_view interface, unsigned mtu = 0) {
  const FileDescriptor control(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  interface.copy(request.ifr_name, IFNAMSIZ - 1);
  if (mtu != 0) {
    request.ifr_mtu = static_cast<int>(mtu);
    ASSERT_EQ(::ioctl(control.get(), SIOCSIFMTU, &request), 0);
  }
  ASSERT_EQ(::ioctl(control.get(), SIOCGIFFLAGS, &request), 0) << std::strerror(errno);
  request.ifr_flags |= IFF_UP;
  ASSERT_EQ(::ioctl(control.get(), SIOCSIFFLAGS, &request), 0) << std::strerror(errno);
}

[[nodiscard]] inline bool readable_within(int fd, int milliseconds) {
  pollfd entry{fd, POLLIN, 0};
  return ::poll(&entry, 1, milliseconds) == 1;
}

// The kernel finishes a new IPv6 address in the background: it is in use once a datagram to ourselves arrives, which
// takes the loopback interface.
[[nodiscard]] inline bool reaches_itself(const IpAddress& local) {
  const FileDescriptor socket(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_storage address{};
  auto length = static_cast<socklen_t>(Endpoint{local, 0}.to_sockaddr(address, false));
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(socket.get(), generic, length) != 0 || ::getsockname(socket.get(), generic, &length) != 0) return false;
  return ::sendto(socket.get(), "x", 1, 0, generic, length) == 1 && readable_within(socket.get(), 20);
}

inline void add_address(std::string_view interface, const Prefix& prefix) {
  ifreq request{};
  interface.copy(request.ifr_name, IFNAMSIZ - 1);
  sockaddr_storage address{};
  Endpoint{prefix.address, 0}.to_sockaddr(address, false);
  if (prefix.address.is_v4()) {
    const FileDescriptor control(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    std::memcpy(&request.ifr_addr, &address, sizeof(sockaddr_in));
    ASSERT_EQ(::ioctl(control.get(), SIOCSIFADDR, &request), 0) << std::strerror(errno);
    sockaddr_in mask{};
    mask.sin_family = AF_INET;
    mask.sin_addr.s_addr = htonl(~0U << (32 - prefix.length));
    std::memcpy(&request.ifr_netmask, &mask, sizeof mask);
    ASSERT_EQ(::ioctl(control.get(), SIOCSIFNETMASK, &request), 0) << std::strerror(errno);
    return;
  }
  const FileDescriptor control(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  in6_ifreq six{};
  std::memcpy(&six.ifr6_addr, prefix.address.bytes().data(), 16);
  six.ifr6_prefixlen = prefix.length;
  six.ifr6_ifindex = static_cast<int>(::if_nametoindex(request.ifr_name));
  ASSERT_EQ(::ioctl(control.get(), SIOCSIFADDR, &six), 0) << std::strerror(errno);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  while (!reaches_itself(prefix.address)) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline) << prefix.text() << " does not become usable";
    std::this_thread::yield();
  }
}

}  // namespace centipede::test
