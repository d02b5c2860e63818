// Uplinks are examined on a thread in a network namespace of its own.
#include "cli/doctor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <thread>

#include "base/file_descriptor.h"

namespace centipede::cli {
namespace {

using testing::HasSubstr;

const Finding* find(const std::vector<Finding>& findings, const std::string& what) {
  const auto found = std::ranges::find(findings, what, &Finding::what);
  return found == findings.end() ? nullptr : &*found;
}

bool run(const std::string& command) {
  return std::system(("(" + command + ") 2>/dev/null").c_str()) == 0;
}

// A whole test: in a thread with a network namespace of its own, which goes with it.
template <class Body>
void in_own_network(Body body) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root: makes network namespaces";
  std::thread([&] {
    ASSERT_EQ(unshare(CLONE_NEWNET), 0);
    auto netlink = Netlink::open();
    ASSERT_TRUE(netlink) << netlink.error().text;
    body(*netlink);
  }).join();
}

TEST(Doctor, tells_the_states_of_an_uplink_apart) {
  in_own_network([](Netlink& netlink) {
    EXPECT_EQ(examine_uplink(netlink, "left", ReceiveMode::automatic).at(0).level, Level::fail);
    ASSERT_TRUE(run("ip link add left type veth peer name right"));
    EXPECT_THAT(find(examine_uplink(netlink, "left", ReceiveMode::automatic), "left")->finding, HasSubstr("down"));
    ASSERT_TRUE(run("ip link set left up"));
    EXPECT_THAT(find(examine_uplink(netlink, "left", ReceiveMode::automatic), "left")->finding,
                HasSubstr("no carrier"));
    ASSERT_TRUE(run("ip link set right up"));
    auto findings = examine_uplink(netlink, "left", ReceiveMode::automatic);
    EXPECT_EQ(find(findings, "left")->level, Level::ok);
    EXPECT_EQ(find(findings, "left addresses")->level, Level::fail);
    EXPECT_EQ(find(findings, "left default route")->level, Level::warn);
    EXPECT_THAT(find(findings, "left XDP program")->finding, HasSubstr("none attached"));
    ASSERT_TRUE(
        run("ip addr add 192.0.2.1/24 dev left && ip route add default via 192.0.2.2 && ip link set left mtu 1300"));
    findings = examine_uplink(netlink, "left", ReceiveMode::automatic);
    EXPECT_EQ(find(findings, "left addresses")->finding, "192.0.2.1");
    EXPECT_EQ(find(findings, "left default route")->finding, "IPv4");
    EXPECT_EQ(find(findings, "left MTU")->level, Level::warn);
    ASSERT_TRUE(run("ip addr add 2001:db8::1/64 dev left nodad && ip -6 route add default via 2001:db8::2 dev left"));
    EXPECT_EQ(find(examine_uplink(netlink, "left", ReceiveMode::automatic), "left default route")->finding,
              "IPv4 and IPv6");
  });
}

TEST(Doctor, predicts_the_receive_mode_that_attach_will_choose) {
  in_own_network([](Netlink& netlink) {
    ASSERT_TRUE(run("ip link add left type veth peer name right && ip link add link left name upper type macvlan"));
    const auto predicted = [&](const std::string& device, ReceiveMode mode) {
      const auto findings = examine_uplink(netlink, device, mode);
      return *find(findings, device + " receive mode");
    };
    const std::string reason(choose_receive(ReceiveMode::automatic, false).reason);
    for (const char* device : {"left", "upper"}) {
      EXPECT_EQ(predicted(device, ReceiveMode::automatic).finding, "udp: " + reason) << device;
      EXPECT_EQ(predicted(device, ReceiveMode::automatic).level, Level::ok) << device;
      EXPECT_EQ(predicted(device, ReceiveMode::udp).finding, "udp: the file says so") << device;
    }
    EXPECT_THAT(predicted("left", ReceiveMode::xdp).finding, HasSubstr("veth: native is likely"));
    EXPECT_THAT(predicted("upper", ReceiveMode::xdp).finding, HasSubstr("macvlan is not known for native XDP"));
    EXPECT_THAT(predicted("upper", ReceiveMode::xdp).advice, HasSubstr("mode = \"auto\""));
  });
}

TEST(Doctor, a_port_in_use_is_a_failure_unless_the_tunnel_has_it) {
  const FileDescriptor holder(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  socklen_t length = sizeof address;
  ASSERT_EQ(bind(holder.get(), reinterpret_cast<sockaddr*>(&address), length), 0);
  ASSERT_EQ(getsockname(holder.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
  const uint16_t port = ntohs(address.sin_port);
  EXPECT_EQ(examine_port(port, false).level, Level::fail);
  EXPECT_THAT(examine_port(port, false).finding, HasSubstr("in use"));
  EXPECT_EQ(examine_port(port, true).level, Level::ok);
}

TEST(Doctor, a_line_has_level_subject_finding_and_remedy) {
  EXPECT_EQ(finding_line({Level::ok, "TUN", "usable", ""}), "ok    TUN: usable");
  EXPECT_EQ(finding_line({Level::fail, "TUN", "missing", "modprobe tun"}), "fail  TUN: missing — modprobe tun");
}

TEST(Doctor, kernel_releases_are_compared_as_numbers) {
  EXPECT_EQ(parse_kernel_release("6.1.0-18-amd64"), (KernelVersion{6, 1}));
  EXPECT_GT(parse_kernel_release("6.12.3"), parse_kernel_release("6.2"));
  EXPECT_LT(parse_kernel_release("5.15.0-generic"), parse_kernel_release("6.1"));
  EXPECT_EQ(parse_kernel_release("strange"), KernelVersion{});
}

TEST(Doctor, missing_privileges_are_a_failure_and_every_check_has_a_line) {
  const auto findings = examine_system("CAP_NET_ADMIN");
  EXPECT_EQ(find(findings, "privileges")->level, Level::fail);
  for (const char* what : {"kernel", "BTF", "bpffs", "BPF JIT", "io_uring", "TUN"})
    EXPECT_NE(find(findings, what), nullptr);
}

}  // namespace
}  // namespace centipede::cli
