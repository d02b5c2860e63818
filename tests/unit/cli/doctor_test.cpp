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
#include <filesystem>
#include <fstream>
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

TEST(Doctor, strict_reverse_path_filtering_and_offloads_that_are_off_are_told) {
  in_own_network([](Netlink& netlink) {
    ASSERT_TRUE(run("ip link add left type veth peer name right"));
    const auto found = [&](const char* what, ReceiveMode mode = ReceiveMode::udp) {
      const auto findings = examine_uplink(netlink, "left", mode);
      const Finding* finding = find(findings, what);
      return finding == nullptr ? Finding{} : *finding;
    };
    const auto set = [](const std::string& device, int value) {
      std::ofstream("/proc/sys/net/ipv4/conf/" + device + "/rp_filter") << value;
    };
    set("all", 0);
    set("left", 0);
    EXPECT_EQ(found("left reverse path filter").finding, "off");
    set("all", 1);
    EXPECT_EQ(found("left reverse path filter").level, Level::warn);
    EXPECT_EQ(found("left reverse path filter").advice, "sysctl -w net/ipv4/conf/left/rp_filter=2");
    set("left", 2);
    EXPECT_EQ(found("left reverse path filter").finding, "loose");
    ASSERT_TRUE(run("ethtool -K left gro on"));
    EXPECT_EQ(found("left offloads").level, Level::ok);
    EXPECT_THAT(found("left offloads").finding, HasSubstr("GRO on"));
    EXPECT_THAT(found("left offloads").finding, HasSubstr("UDP segmentation on"));
    ASSERT_TRUE(run("ethtool -K left gro off tx-udp-segmentation off"));
    EXPECT_EQ(found("left offloads").level, Level::warn);
    EXPECT_THAT(found("left offloads").advice, HasSubstr("ethtool -K left gro on"));
    ASSERT_TRUE(run("ethtool -K left gro on"));
    const std::string advice = examine_offloads("left", false, false).advice;
    EXPECT_THAT(advice, HasSubstr("rx-udp-gro-forwarding on"));
    ASSERT_TRUE(run(advice.substr(0, advice.find(','))));
    EXPECT_EQ(examine_offloads("left", false, false).level, Level::ok);
    EXPECT_THAT(found("left offloads", ReceiveMode::xdp).finding, HasSubstr("UDP segmentation off"));
  });
}

control::PeerSettings called_peer(const std::string& name, const std::vector<const char*>& endpoints) {
  control::PeerSettings peer;
  peer.name = name;
  for (const char* endpoint : endpoints)
    peer.endpoints.push_back(*Endpoint::parse(endpoint));
  return peer;
}

TEST(Doctor, says_over_which_uplink_there_is_a_route_to_which_peer) {
  in_own_network([](Netlink&) {
    ASSERT_TRUE(
        run("ip link add left type veth peer name left2 && ip link add right type veth peer name right2 &&"
            "for device in left left2 right right2; do ip link set $device up; done &&"
            "ip addr add 192.0.2.1/24 dev left && ip route add 203.0.113.0/24 via 192.0.2.2"));
    const Resolve no_names = [](const std::string&) -> Result<std::vector<IpAddress>> { return fail("not asked"); };
    const std::vector<control::PeerSettings> peers{called_peer("office", {"[2001:db8::1]:5820", "203.0.113.5:5820"}),
                                                   called_peer("phone", {})};
    const auto findings = examine_peers(peers, {"left", "right"}, no_names);
    ASSERT_EQ(findings.size(), 2U) << "none for the peer that calls us";
    EXPECT_EQ(find(findings, "office over left")->level, Level::ok);
    EXPECT_THAT(find(findings, "office over left")->finding,
                HasSubstr("203.0.113.5:5820 from 192.0.2.1, MTU of the route 1500"));
    EXPECT_EQ(find(findings, "office over right")->level, Level::warn);
    EXPECT_THAT(find(findings, "office over right")->finding, HasSubstr("unreachable"));
    EXPECT_THAT(find(findings, "office over right")->advice, HasSubstr("dev right"));
  });
}

TEST(Doctor, names_of_servers_are_resolved_and_the_addresses_looked_at) {
  control::PeerSettings peer;
  peer.name = "office";
  peer.host_endpoints = {{"good.example", 5820}, {"bad.example", 5820}};
  const Resolve resolve = [](const std::string& host) -> Result<std::vector<IpAddress>> {
    if (host == "bad.example") return fail("resolving bad.example: Name or service not known");
    return std::vector{*IpAddress::parse("127.0.0.1"), *IpAddress::parse("::1")};
  };
  const auto findings = examine_peers({peer}, {"lo"}, resolve);
  EXPECT_EQ(find(findings, "office name good.example")->finding, "127.0.0.1, ::1");
  EXPECT_EQ(find(findings, "office name bad.example")->level, Level::warn);
  EXPECT_THAT(find(findings, "office name bad.example")->advice, HasSubstr("getent ahosts bad.example"));
  EXPECT_THAT(find(findings, "office over lo")->finding, HasSubstr("127.0.0.1:5820 from 127.0.0.1"));
  EXPECT_EQ(resolve_host("127.0.0.1").value(), std::vector{*IpAddress::parse("127.0.0.1")});
  EXPECT_FALSE(resolve_host("no such name"));
}

TEST(Doctor, a_state_directory_that_cannot_outlive_a_restart_is_told) {
  EXPECT_THAT(examine_state_directory(std::filesystem::current_path()).finding, HasSubstr("is writable"));
  EXPECT_THAT(examine_state_directory(std::filesystem::current_path() / "not/there/yet").finding,
              HasSubstr("will be made"));
  EXPECT_EQ(examine_state_directory("/dev/shm").level, Level::warn);
  EXPECT_THAT(examine_state_directory("/dev/shm/centipede").finding, HasSubstr("in memory"));
  EXPECT_EQ(examine_state_directory("/proc/no/such").level, Level::warn);
}

TEST(Doctor, settings_that_need_programs_are_looked_at_only_when_they_are_used) {
  ASSERT_TRUE(crypto::initialise());
  TunnelConfig config{.identity = crypto::Identity::generate()};
  config.state_directory = "/";
  EXPECT_EQ(examine_settings(config).size(), 1U);
  config.kill_switch = true;
  config.dns = {*IpAddress::parse("10.10.0.53")};
  const auto findings = examine_settings(config);
  EXPECT_THAT(find(findings, "dns")->finding, HasSubstr("10.10.0.53"));
  EXPECT_NE(find(findings, "kill switch"), nullptr);
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
  for (const char* what : {"kernel", "BTF", "bpffs", "BPF JIT", "io_uring", "TUN", "clock"})
    EXPECT_NE(find(findings, what), nullptr);
}

}  // namespace
}  // namespace centipede::cli
