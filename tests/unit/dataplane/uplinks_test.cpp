// Uplinks against the kernel's own devices, in a private network.
#include "dataplane/uplinks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "dataplane/tun.h"
#include "private_network.h"

namespace centipede {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::UnorderedElementsAre;

class UplinksTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root: makes network namespaces";
  }

  template <class Body>
  void in_network(Body body) {
    test::in_private_network([&] {
      auto netlink = Netlink::open();
      ASSERT_TRUE(netlink);
      Uplinks uplinks({.port = 5820, .workers = 1, .mode = ReceiveMode::udp});
      body(*netlink, uplinks);
    });
  }
};

void ip(const std::string& command) {
  ASSERT_EQ(std::system(("ip " + command).c_str()), 0) << command;
}

void add_device(const std::string& name) {
  ip("link add " + name + " type veth peer name _" + name);
  ip("link set " + name + " up");
}

std::vector<std::string> names(const Uplinks& uplinks) {
  std::vector<std::string> all;
  for (const UplinkStatus& uplink : uplinks.status())
    all.push_back(uplink.name);
  return all;
}

TEST_F(UplinksTest, devices_join_when_they_appear_leave_when_they_go_and_follow_their_names) {
  in_network([](Netlink& netlink, Uplinks& uplinks) {
    Instant now{};
    add_device("wlan0");
    add_device("eth0");
    uplinks.set_wanted({{.name = "wl*"}}, {}, netlink, now);
    EXPECT_THAT(names(uplinks), ElementsAre("wlan0"));
    EXPECT_EQ(uplinks.status()[0].pattern, "wl*");
    EXPECT_EQ(uplinks.problem("wlan0"), "");
    add_device("wlan1");
    ip("link add wlan2 type veth peer name _wlan2");  // is not up yet
    uplinks.refresh(netlink, now);
    EXPECT_THAT(names(uplinks), UnorderedElementsAre("wlan0", "wlan1"));
    ip("link set wlan2 up");
    ip("link set eth0 down");
    ip("link set eth0 name wl-eth");
    ip("link set wl-eth up");
    ip("link del wlan0");
    uplinks.refresh(netlink, now);
    EXPECT_THAT(names(uplinks), UnorderedElementsAre("wlan1", "wlan2", "wl-eth"));
    ip("link set wlan1 down");
    uplinks.refresh(netlink, now);
    EXPECT_THAT(names(uplinks), Contains("wlan1")) << "it is there still";
    EXPECT_THAT(uplinks.problem("wlan1"), HasSubstr("is down"));
  });
}

TEST_F(UplinksTest, loopback_and_tunnels_match_no_pattern) {
  in_network([](Netlink& netlink, Uplinks& uplinks) {
    test::set_up("lo");
    auto tunnel = Tun::create("cp1", 1);
    ASSERT_TRUE(tunnel) << tunnel.error().text;
    test::set_up("cp1");
    ip("tuntap add tap0 mode tap");
    test::set_up("tap0");
    add_device("eth0");
    uplinks.set_wanted({{.name = "*"}}, {}, netlink, Instant{});
    EXPECT_THAT(names(uplinks), UnorderedElementsAre("tap0", "eth0"));
  });
}

TEST_F(UplinksTest, what_stays_wanted_keeps_its_sockets_and_takes_its_new_settings) {
  in_network([](Netlink& netlink, Uplinks& uplinks) {
    add_device("eth0");
    add_device("eth1");
    uplinks.set_wanted({{.name = "eth*"}}, {}, netlink, Instant{});
    const auto before = uplinks.sockets();
    const auto status = uplinks.status();
    (void)uplinks.take_changes();
    uplinks.set_wanted({{.name = "x"}, {.name = "eth0", .priority = 7, .metered = true, .rate_bps = 5}}, {}, netlink,
                       Instant{});
    const auto changes = uplinks.take_changes();
    EXPECT_THAT(changes.removed, ElementsAre(status[1].id));
    EXPECT_EQ(uplinks.sockets()[status[0].id], before[status[0].id]);
    const auto after = uplinks.status();
    ASSERT_THAT(names(uplinks), UnorderedElementsAre("eth0", "x"));
    EXPECT_EQ(after[0].pattern, "");
    EXPECT_EQ(after[0].priority, 7U);
    EXPECT_TRUE(after[0].metered);
    EXPECT_EQ(after[0].rate_bps, 5U);
    EXPECT_EQ(uplinks.problem("x"), "there is no such device");
    const auto told = std::ranges::find(changes.updated, "eth0", &control::Uplink::name);
    ASSERT_NE(told, changes.updated.end());
    EXPECT_EQ(told->priority, 7U);
    uplinks.set_wanted({{.name = "eth*"}}, {"eth1"}, netlink, Instant{});
    EXPECT_THAT(names(uplinks), ElementsAre("eth0"));
  });
}

TEST_F(UplinksTest, the_seventeenth_device_is_told_of_once_and_joins_when_there_is_room) {
  in_network([](Netlink& netlink, Uplinks& uplinks) {
    for (int i = 0; i < CP_MAX_UPLINKS + 1; ++i)
      add_device("v" + std::to_string(i));
    uplinks.set_wanted({{.name = "v*"}}, {}, netlink, Instant{});
    EXPECT_EQ(names(uplinks).size(), size_t{CP_MAX_UPLINKS});
    EXPECT_FALSE(uplinks.attached("v16"));
    EXPECT_THAT(uplinks.take_changes().log,
                Contains(Field(&Uplinks::Line::text, HasSubstr("v16: a tunnel has at most 16"))));
    uplinks.refresh(netlink, Instant{});
    EXPECT_THAT(uplinks.take_changes().log, Not(Contains(Field(&Uplinks::Line::text, HasSubstr("v16")))));
    ip("link del v3");
    uplinks.refresh(netlink, Instant{});
    EXPECT_TRUE(uplinks.attached("v16"));
    // One that is named takes the place of one that a pattern took.
    uplinks.set_wanted({{.name = "v*"}, {.name = "named"}}, {}, netlink, Instant{});
    EXPECT_TRUE(uplinks.attached("named"));
    EXPECT_EQ(names(uplinks).size(), size_t{CP_MAX_UPLINKS});
    EXPECT_THAT(uplinks.take_changes().log, Contains(Field(&Uplinks::Line::text, HasSubstr("makes room"))));
  });
}

}  // namespace
}  // namespace centipede
