#include "wire_pair.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>

namespace centipede::test {
namespace {

void shell(const std::string& line) {
  EXPECT_EQ(std::system(line.c_str()), 0) << line;
}

FileDescriptor own_namespace() {
  return FileDescriptor(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
}

int make(Transport transport) {
  return transport == Transport::udp ? socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)
                                     : socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

sockaddr_in to(const std::string& address, uint16_t port) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(port);
  inet_pton(AF_INET, address.c_str(), &out.sin_addr);
  return out;
}

}  // namespace

FarNamespace::FarNamespace() : near_(own_namespace()) {
  EXPECT_EQ(unshare(CLONE_NEWNET), 0);
  far_ = own_namespace();
  EXPECT_EQ(setns(near_.get(), CLONE_NEWNET), 0);
  command("ip link set lo up");
}

void FarNamespace::in(const std::function<void()>& action) const {
  EXPECT_EQ(setns(far_.get(), CLONE_NEWNET), 0);
  action();
  EXPECT_EQ(setns(near_.get(), CLONE_NEWNET), 0);
}

std::string FarNamespace::path() const {
  return "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(far_.get());
}

void FarNamespace::command(const std::string& line) const {
  shell("nsenter --net=" + path() + " " + line);
}

WirePair::WirePair(const FarNamespace& far, int number) : number_(number) {
  const std::string n = std::to_string(number);
  shell("ip link add n" + n + " type veth peer name f" + n + " netns " + far.path());
  shell("ip addr add 10.77." + n + ".1/24 dev n" + n + " && ip link set n" + n + " up");
  far.command("ip addr add 10.77." + n + ".2/24 dev f" + n);
  far.command("ip link set f" + n + " up");
}

WirePair::~WirePair() {
  if (ifindex() != 0) unplug();
}

unsigned WirePair::ifindex() const {
  return if_nametoindex(near_device().c_str());
}

void WirePair::unplug() {
  shell("ip link del " + near_device());
}

FileDescriptor bound_socket(Transport transport, uint16_t port) {
  FileDescriptor fd(make(transport));
  const int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const sockaddr_in address = to("0.0.0.0", port);
  EXPECT_EQ(bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  if (transport == Transport::udp) return fd;
  EXPECT_EQ(listen(fd.get(), 1), 0);
  return fd;
}

FileDescriptor far_socket(const FarNamespace& far, Transport transport, const std::string& address, uint16_t port) {
  FileDescriptor fd;
  far.in([&] { fd.reset(make(transport)); });
  const sockaddr_in remote = to(address, port);
  EXPECT_EQ(connect(fd.get(), reinterpret_cast<const sockaddr*>(&remote), sizeof remote), 0);
  return fd;
}

}  // namespace centipede::test
