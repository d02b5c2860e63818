// Each test runs on a thread of its own inside a new network namespace, which goes away with the thread; devices are
// made with `ip`, which the thread's children run in the same namespace.
#include "dataplane/netlink.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include "private_network.h"

namespace centipede {
namespace {

using test::run;

class NetlinkTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root: makes network namespaces";
  }

  void in_namespace(const std::function<void(Netlink&)>& body) {
    std::thread([&] {
      ASSERT_EQ(unshare(CLONE_NEWNET), 0);
      auto netlink = Netlink::open();
      ASSERT_TRUE(netlink) << netlink.error().text;
      body(*netlink);
    }).join();
  }
};

LinkState state_of(Netlink& netlink, std::string_view name) {
  auto link = netlink.link(name);
  EXPECT_TRUE(link) << link.error().text;
  if (!link || !*link) return {};
  return **link;
}

bool has(const LinkState& state, std::string_view address) {
  return std::ranges::find(state.addresses, *IpAddress::parse(address)) != state.addresses.end();
}

// Waits for events until the condition holds; false after ten seconds.
bool wait_for(Netlink& netlink, const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    pollfd ready{netlink.event_fd(), POLLIN, 0};
    if (poll(&ready, 1, 1000) > 0) netlink.drain_events();
  }
  return true;
}

TEST_F(NetlinkTest, a_device_that_is_not_there_is_nothing_and_no_error) {
  in_namespace([](Netlink& netlink) {
    for (const char* name : {"nodevice", "", "a-name-longer-than-fifteen", "a/b", "%d"}) {
      auto link = netlink.link(name);
      ASSERT_TRUE(link) << name << ": " << link.error().text;
      EXPECT_FALSE(*link) << name;
    }
  });
}

TEST_F(NetlinkTest, reports_index_flags_mtu_and_addresses_of_both_families) {
  in_namespace([](Netlink& netlink) {
    ASSERT_TRUE(run("ip link add left type veth peer name right"));
    EXPECT_FALSE(state_of(netlink, "left").up);
    EXPECT_FALSE(state_of(netlink, "left").carrier);
    ASSERT_TRUE(run("ip link set left up mtu 1380 && ip link set right up"));
    ASSERT_TRUE(run("ip addr add 192.0.2.1/24 dev left && ip addr add 2001:db8::1/64 dev left nodad"));
    ASSERT_TRUE(run("ip addr add 192.0.2.77/24 dev right"));
    ASSERT_TRUE(run("ip addr add fe80::77/64 dev left nodad"));
    const LinkState state = state_of(netlink, "left");
    EXPECT_GT(state.ifindex, 0);
    EXPECT_EQ(state.name, "left");
    EXPECT_TRUE(state.up);
    EXPECT_TRUE(state.carrier);
    EXPECT_EQ(state.mtu, 1380U);
    EXPECT_TRUE(has(state, "192.0.2.1"));
    EXPECT_TRUE(has(state, "2001:db8::1"));
    EXPECT_EQ(state.addresses.size(), 2U) << "neither the link-local address nor the other device's";
  });
}

TEST_F(NetlinkTest, devices_of_software_alone_have_no_hardware_behind_them) {
  in_namespace([](Netlink& netlink) {
    ASSERT_TRUE(run("ip link add left type veth peer name right"));
    ASSERT_TRUE(run("ip link add link left name upper type macvlan && ip tuntap add tap0 mode tap"));
    for (const char* name : {"lo", "left", "upper", "tap0"}) {
      const LinkState state = state_of(netlink, name);
      EXPECT_GT(state.ifindex, 0) << name;
      EXPECT_FALSE(state.hardware) << name;
    }
  });
}

// Looks at the machine's own devices, and changes none. sysfs shows those of the namespace that it was mounted in.
TEST_F(NetlinkTest, what_has_a_device_in_sysfs_has_hardware_behind_it) {
  auto netlink = Netlink::open();
  ASSERT_TRUE(netlink) << netlink.error().text;
  size_t with_hardware = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/sys/class/net")) {
    int ifindex = 0;
    std::ifstream(entry.path() / "ifindex") >> ifindex;
    const LinkState state = state_of(*netlink, entry.path().filename().string());
    if (ifindex == 0 || state.ifindex != ifindex) continue;
    EXPECT_EQ(state.hardware, std::filesystem::exists(entry.path() / "device")) << entry.path();
    with_hardware += state.hardware ? 1 : 0;
  }
  if (with_hardware == 0) GTEST_SKIP() << "no hardware here";
}

TEST_F(NetlinkTest, deprecated_addresses_are_left_out) {
  in_namespace([](Netlink& netlink) {
    ASSERT_TRUE(run("ip link add d0 type veth peer name d0p && ip link set d0p up && ip link set d0 up"));
    ASSERT_TRUE(run("ip addr add 2001:db8::2/64 dev d0 nodad preferred_lft 0"));
    ASSERT_TRUE(run("ip addr add 2001:db8::3/64 dev d0 nodad"));
    const LinkState state = state_of(netlink, "d0");
    EXPECT_FALSE(has(state, "2001:db8::2"));
    EXPECT_TRUE(has(state, "2001:db8::3"));
  });
}

TEST_F(NetlinkTest, a_tentative_address_is_left_out_until_an_event_brings_it) {
  in_namespace([](Netlink& netlink) {
    ASSERT_TRUE(run("ip link add left type veth peer name right && ip link set left up && ip link set right up"));
    netlink.drain_events();
    ASSERT_TRUE(run("ip addr add 2001:db8::1/64 dev left"));
    EXPECT_FALSE(has(state_of(netlink, "left"), "2001:db8::1"));
    EXPECT_TRUE(wait_for(netlink, [&] { return has(state_of(netlink, "left"), "2001:db8::1"); }));
  });
}

TEST_F(NetlinkTest, changes_of_links_and_addresses_are_events_and_silence_is_none) {
  in_namespace([](Netlink& netlink) {
    netlink.drain_events();
    EXPECT_FALSE(netlink.drain_events());
    for (const char* change : {"ip link add d0 type veth peer name d0p && ip link set d0p up", "ip link set d0 up",
                               "ip addr add 192.0.2.1/24 dev d0", "ip addr del 192.0.2.1/24 dev d0",
                               "ip link set d0 mtu 1400", "ip link del d0"}) {
      ASSERT_TRUE(run(change));
      pollfd ready{netlink.event_fd(), POLLIN, 0};
      EXPECT_EQ(poll(&ready, 1, 5000), 1) << change;
      EXPECT_TRUE(netlink.drain_events()) << change;
    }
  });
}

TEST_F(NetlinkTest, lost_events_count_as_a_change) {
  in_namespace([](Netlink& netlink) {
    ASSERT_TRUE(run("ip link add d0 type veth peer name d0p && ip link set d0p up"));
    netlink.drain_events();
    // Thousands of events that nobody reads overrun the socket's buffer.
    ASSERT_TRUE(run("seq 2001 5000 | sed 's/.*/link set d0 mtu &/' | ip -batch -"));
    EXPECT_TRUE(netlink.drain_events());
    EXPECT_FALSE(netlink.drain_events()) << "drained to the end";
  });
}

TEST_F(NetlinkTest, a_device_deleted_and_created_again_is_seen_with_its_new_index) {
  in_namespace([](Netlink& netlink) {
    ASSERT_TRUE(
        run("ip link add d0 type veth peer name d0p && ip link set d0p up && ip link set d0 up && ip addr add "
            "192.0.2.1/24 dev d0"));
    const int before = state_of(netlink, "d0").ifindex;
    ASSERT_TRUE(run("ip link del d0"));
    EXPECT_TRUE(wait_for(netlink, [&] { return !netlink.link("d0")->has_value(); }));
    ASSERT_TRUE(
        run("ip link add d0 type veth peer name d0p && ip link set d0p up && ip link set d0 up && ip addr add "
            "198.51.100.1/24 dev d0"));
    EXPECT_TRUE(wait_for(netlink, [&] { return has(state_of(netlink, "d0"), "198.51.100.1"); }));
    EXPECT_NE(state_of(netlink, "d0").ifindex, before);
    EXPECT_FALSE(has(state_of(netlink, "d0"), "192.0.2.1"));
  });
}

TEST_F(NetlinkTest, sets_a_link_up_with_and_without_an_mtu) {
  in_namespace([](Netlink& netlink) {
    ASSERT_TRUE(
        run("ip link add d0 type veth peer name d0p && ip link set d0p up && ip link add d1 type veth peer name d1p && "
            "ip link set d1p up"));
    const unsigned unchanged = state_of(netlink, "d1").mtu;
    ASSERT_TRUE(netlink.set_link_up(state_of(netlink, "d0").ifindex, 1380));
    ASSERT_TRUE(netlink.set_link_up(state_of(netlink, "d1").ifindex, 0));
    EXPECT_TRUE(state_of(netlink, "d0").up);
    EXPECT_EQ(state_of(netlink, "d0").mtu, 1380U);
    EXPECT_TRUE(state_of(netlink, "d1").up);
    EXPECT_EQ(state_of(netlink, "d1").mtu, unchanged);
    const auto missing = netlink.set_link_up(4711, 0);
    ASSERT_FALSE(missing);
    EXPECT_NE(missing.error().text.find("4711"), std::string::npos) << missing.error().text;
  });
}

TEST_F(NetlinkTest, adds_addresses_that_are_usable_at_once_and_may_be_added_again) {
  in_namespace([](Netlink& netlink) {
    ASSERT_TRUE(run("ip link add d0 type veth peer name d0p && ip link set d0p up && ip link set d0 up"));
    const int ifindex = state_of(netlink, "d0").ifindex;
    for (const char* text : {"10.10.0.1/24", "fd10::1/64"}) {
      for (int twice = 0; twice < 2; ++twice) {
        const auto added = netlink.add_address(ifindex, *Prefix::parse(text));
        EXPECT_TRUE(added) << added.error().text;
      }
    }
    const LinkState state = state_of(netlink, "d0");
    EXPECT_TRUE(has(state, "10.10.0.1"));
    EXPECT_TRUE(has(state, "fd10::1"));
    EXPECT_TRUE(run("ip route get 10.10.0.7 | grep -q d0")) << "the prefix length went with the address";
    EXPECT_FALSE(netlink.add_address(4711, *Prefix::parse("10.0.0.1/8")));
  });
}

TEST_F(NetlinkTest, adds_and_removes_routes_of_both_families) {
  in_namespace([](Netlink& netlink) {
    ASSERT_TRUE(run("ip link add d0 type veth peer name d0p && ip link set d0p up && ip link set d0 up"));
    const int ifindex = state_of(netlink, "d0").ifindex;
    for (const char* text : {"10.20.0.0/16", "fd20::/32", "10.30.0.9/32", "fd30::9/128"}) {
      const Prefix network = *Prefix::parse(text);
      const std::string look = std::string("ip ") + (network.address.is_v6() ? "-6" : "-4") + " route get " +
                               network.address.text() + " | grep -q 'dev d0'";
      auto added = netlink.add_route(ifindex, network);
      ASSERT_TRUE(added) << added.error().text;
      EXPECT_TRUE(netlink.add_route(ifindex, network)) << "an equal route on the same device is replaced";
      EXPECT_TRUE(run(look)) << text;
      auto removed = netlink.remove_route(ifindex, network);
      EXPECT_TRUE(removed) << removed.error().text;
      EXPECT_FALSE(run(look)) << text;
      EXPECT_TRUE(netlink.remove_route(ifindex, network)) << "removing what is not there is no error";
    }
  });
}

TEST_F(NetlinkTest, a_route_on_another_device_is_an_error_that_names_it_and_stays) {
  in_namespace([](Netlink& netlink) {
    ASSERT_TRUE(
        run("ip link add d0 type veth peer name d0p && ip link set d0p up && ip link set d0 up && ip link add other0 "
            "type veth peer name other0p && ip link set other0p up"));
    ASSERT_TRUE(
        run("ip link set other0 up && ip route add 10.20.0.0/16 dev other0 && ip route add fd20::/32 dev other0"));
    const int ifindex = state_of(netlink, "d0").ifindex;
    for (const char* text : {"10.20.0.0/16", "fd20::/32"}) {
      const auto added = netlink.add_route(ifindex, *Prefix::parse(text));
      ASSERT_FALSE(added) << text;
      EXPECT_EQ(added.error().code, EEXIST);
      EXPECT_NE(added.error().text.find("other0"), std::string::npos) << added.error().text;
      EXPECT_NE(added.error().text.find(text), std::string::npos) << added.error().text;
    }
    EXPECT_TRUE(run("ip route show 10.20.0.0/16 | grep -q other0"));
    EXPECT_TRUE(run("ip -6 route show fd20::/32 | grep -q other0"));
  });
}

TEST_F(NetlinkTest, the_route_that_the_kernel_made_with_the_address_is_left_alone) {
  in_namespace([](Netlink& netlink) {
    ASSERT_TRUE(
        run("ip link add d0 type veth peer name d0p && ip link set d0p up && ip link set d0 up && ip addr add "
            "10.10.0.1/24 dev d0"));
    const int ifindex = state_of(netlink, "d0").ifindex;
    EXPECT_TRUE(netlink.add_route(ifindex, *Prefix::parse("10.10.0.0/24")));
    EXPECT_TRUE(netlink.remove_route(ifindex, *Prefix::parse("10.10.0.0/24")));
    EXPECT_TRUE(run("ip route show 10.10.0.0/24 | grep -q 'proto kernel'"));
  });
}

TEST_F(NetlinkTest, a_default_route_becomes_two_halves_and_the_uplinks_own_stays) {
  in_namespace([](Netlink& netlink) {
    ASSERT_TRUE(
        run("ip link add up0 type veth peer name up0p && ip link set up0p up && ip link set up0 up && ip addr add "
            "192.0.2.2/24 dev up0"));
    ASSERT_TRUE(run("ip addr add 2001:db8::2/64 dev up0 nodad && ip route add default via 192.0.2.1"));
    ASSERT_TRUE(run("ip -6 route add default via 2001:db8::1 dev up0"));
    ASSERT_TRUE(run("ip link add d0 type veth peer name d0p && ip link set d0p up && ip link set d0 up"));
    const int ifindex = state_of(netlink, "d0").ifindex;
    for (const char* text : {"0.0.0.0/0", "::/0"}) {
      const auto added = netlink.add_route(ifindex, *Prefix::parse(text));
      ASSERT_TRUE(added) << added.error().text;
    }
    EXPECT_TRUE(run("ip route get 8.8.8.8 | grep -q 'dev d0'"));
    EXPECT_TRUE(run("ip route get 203.0.113.1 | grep -q 'dev d0'"));
    EXPECT_TRUE(run("ip -6 route get 2a00::1 | grep -q 'dev d0'"));
    EXPECT_TRUE(run("ip -6 route get fd00::1 | grep -q 'dev d0'"));
    EXPECT_TRUE(run("ip route get 203.0.113.1 oif up0 | grep -q 'via 192.0.2.1'")) << "a bound socket still gets out";
    EXPECT_TRUE(run("ip -6 route get 2a00::1 oif up0 | grep -q 'via 2001:db8::1'"));
    for (const char* text : {"0.0.0.0/0", "::/0"})
      EXPECT_TRUE(netlink.remove_route(ifindex, *Prefix::parse(text)));
    EXPECT_TRUE(run("ip route get 203.0.113.1 | grep -q 'dev up0'"));
    EXPECT_TRUE(run("ip -6 route get 2a00::1 | grep -q 'dev up0'"));
  });
}

TEST_F(NetlinkTest, when_one_half_of_a_default_route_is_taken_the_other_is_not_left_behind) {
  in_namespace([](Netlink& netlink) {
    ASSERT_TRUE(
        run("ip link add d0 type veth peer name d0p && ip link set d0p up && ip link set d0 up && ip link add other0 "
            "type veth peer name other0p && ip link set other0p up"));
    ASSERT_TRUE(run("ip link set other0 up && ip route add 128.0.0.0/1 dev other0"));
    EXPECT_FALSE(netlink.add_route(state_of(netlink, "d0").ifindex, *Prefix::parse("0.0.0.0/0")));
    EXPECT_FALSE(run("ip route show 0.0.0.0/1 | grep -q d0"));
  });
}

// The kernel removes further addresses of a network together with the first one.
TEST_F(NetlinkTest, an_interface_that_is_taken_over_keeps_what_is_wanted_alone) {
  in_namespace([](Netlink& netlink) {
    ASSERT_TRUE(run("ip link add d0 type veth peer name d0p && ip link set d0p up && ip link set d0 up"));
    ASSERT_TRUE(run("ip addr add 10.10.0.1/24 dev d0 && ip addr add 10.10.0.2/24 dev d0"));
    ASSERT_TRUE(run("ip addr add 10.20.0.1/24 dev d0 && ip addr add fd10::1/64 dev d0 nodad"));
    ASSERT_TRUE(run("ip route add 10.30.0.0/16 dev d0 proto static && ip route add 10.40.0.0/16 dev d0 proto static"));
    const auto left = netlink.remove_others(state_of(netlink, "d0").ifindex, {*Prefix::parse("10.20.0.1/24")},
                                            {*Prefix::parse("10.40.0.0/16")});
    ASSERT_TRUE(left) << left.error().text;
    const LinkState state = state_of(netlink, "d0");
    EXPECT_TRUE(has(state, "10.20.0.1"));
    for (const char* gone : {"10.10.0.1", "10.10.0.2", "fd10::1"})
      EXPECT_FALSE(has(state, gone)) << gone;
    EXPECT_FALSE(run("ip route show 10.30.0.0/16 | grep -q d0"));
    EXPECT_TRUE(run("ip route show 10.40.0.0/16 | grep -q d0"));
  });
}

}  // namespace
}  // namespace centipede
