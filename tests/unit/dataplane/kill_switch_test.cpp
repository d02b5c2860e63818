// The kill switch in the kernel of a private network, seen from sockets.
#include "dataplane/kill_switch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <random>
#include <thread>

#include "dataplane/udp_socket.h"
#include "private_network.h"

namespace centipede {
namespace {

using testing::HasSubstr;
using testing::Not;

Networks networks(std::initializer_list<const char*> texts) {
  Networks all;
  for (const char* text : texts)
    all.insert(*Prefix::parse(text));
  return all;
}

class KillSwitchTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root: makes network namespaces";
  }
  // A host with one device, up0, with a default route of each family over it; cp0 is another.
  template <class Body>
  void on_a_host(Body body) {
    test::in_private_network([&] {
      for (const char* command :
           {"link set lo up", "link add up0 type veth peer name peer0", "link add cp0 type veth peer name peer1",
            "link set peer0 up", "link set peer1 up", "link set up0 up", "link set cp0 up",
            "address add 192.0.2.1/24 dev up0", "address add 2001:db8::1/64 dev up0 nodad",
            "route add default via 192.0.2.2 dev up0", "-6 route add default via 2001:db8::2 dev up0"}) {
        ASSERT_EQ(std::system((std::string("ip ") + command).c_str()), 0) << command;
      }
      body();
    });
  }
};

// Whether a datagram from a socket with this mark and port may leave.
bool leaves(const char* to, uint32_t mark = 0, uint16_t from_port = 0) {
  auto socket = UdpSocket::open({.port = from_port, .mark = mark});
  EXPECT_TRUE(socket) << socket.error().text;
  const std::array<uint8_t, 4> data{};
  const auto sent = socket->send(*Endpoint::parse(to), {}, data);
  EXPECT_TRUE(sent.status == SendStatus::sent || sent.status == SendStatus::refused) << text(sent.status) << " " << to;
  return sent.status == SendStatus::sent;
}

TEST_F(KillSwitchTest, stops_everything_that_belongs_into_the_tunnel_and_nothing_else) {
  on_a_host([] {
    EXPECT_TRUE(leaves("198.51.100.9:9"));
    ASSERT_TRUE(set_kill_switch("cp0", networks({"198.51.100.0/24", "2001:db8:1::/48"})));
    EXPECT_FALSE(leaves("198.51.100.9:9"));
    EXPECT_FALSE(leaves("[2001:db8:1::9]:9"));
    EXPECT_TRUE(leaves("203.0.113.9:9"));
    EXPECT_TRUE(leaves("[2001:db8:2::9]:9"));
    EXPECT_TRUE(leaves("198.51.100.9:9", kill_switch_mark));
    EXPECT_TRUE(leaves("[2001:db8:1::9]:9", kill_switch_mark));
    ASSERT_EQ(std::system("ip route add 198.51.100.0/24 dev cp0"), 0);
    EXPECT_TRUE(leaves("198.51.100.9:9")) << "into the tunnel";
  });
}

TEST_F(KillSwitchTest, of_a_tunnel_for_everything_leaves_loopback_dhcp_and_neighbour_discovery) {
  on_a_host([] {
    // Networks inside of others too, as several peers may have them.
    ASSERT_TRUE(set_kill_switch("cp0", networks({"0.0.0.0/0", "10.0.0.0/8", "::/0", "fd00::/8"})));
    EXPECT_FALSE(leaves("198.51.100.9:9"));
    EXPECT_FALSE(leaves("192.0.2.9:9")) << "the local network";
    EXPECT_FALSE(leaves("[2001:db8::9]:9"));
    EXPECT_FALSE(leaves("[2001:db8:5::9]:9"));
    EXPECT_TRUE(leaves("127.0.0.1:9"));
    EXPECT_TRUE(leaves("192.0.2.1:9")) << "our own address";
    EXPECT_TRUE(leaves("192.0.2.2:67", 0, 68));
    EXPECT_FALSE(leaves("192.0.2.2:67"));
    EXPECT_TRUE(leaves("[2001:db8::9]:547", 0, 546));
    EXPECT_TRUE(leaves("[2001:db8:5::9]:9", kill_switch_mark));
  });
}

TEST_F(KillSwitchTest, is_replaced_whole_and_removed_and_says_whether_it_is_there) {
  on_a_host([] {
    EXPECT_FALSE(kill_switch_is_set("cp0"));
    ASSERT_TRUE(remove_kill_switch("cp0")) << "none there is no error";
    ASSERT_TRUE(set_kill_switch("cp0", networks({"198.51.100.0/24"})));
    ASSERT_TRUE(set_kill_switch("cp0", networks({"203.0.113.0/24"})));
    EXPECT_TRUE(kill_switch_is_set("cp0"));
    EXPECT_FALSE(kill_switch_is_set("cp1"));
    EXPECT_FALSE(kill_switch_is_set("cp"));
    ASSERT_EQ(std::system("nft delete chain inet centipede-cp0 output"), 0);
    EXPECT_FALSE(kill_switch_is_set("cp0")) << "what stops anything is gone";
    ASSERT_TRUE(set_kill_switch("cp0", networks({"203.0.113.0/24"})));
    EXPECT_TRUE(leaves("198.51.100.9:9"));
    EXPECT_FALSE(leaves("203.0.113.9:9"));
    ASSERT_TRUE(set_kill_switch("cp0", {})) << "a tunnel that leads nowhere yet";
    EXPECT_TRUE(leaves("203.0.113.9:9"));
    ASSERT_TRUE(remove_kill_switch("cp0"));
    EXPECT_FALSE(kill_switch_is_set("cp0"));
  });
}

TEST_F(KillSwitchTest, is_what_was_asked_for_last_after_any_changes) {
  on_a_host([] {
    const std::vector<const char*> texts{
        "0.0.0.0/0",       "10.0.0.0/8", "10.1.0.0/16",    "198.51.100.0/24",   "10.1.2.3/32", "::/0",
        "2001:db8:1::/48", "fd00::/8",   "203.0.113.0/24", "2001:db8:1::9/128", "10.128.0.0/9"};
    const std::vector<const char*> targets{"10.1.2.3:9",        "10.1.3.4:9",  "10.200.0.1:9",      "198.51.100.9:9",
                                           "203.0.113.9:9",     "192.0.2.9:9", "[2001:db8:1::9]:9", "[2001:db8:1::8]:9",
                                           "[2001:db8:2::9]:9", "[fd00::9]:9", "10.1.2.4:9"};
    std::mt19937 random(1);
    Networks now;
    ASSERT_TRUE(set_kill_switch("cp0", now));
    for (int step = 0; step < 30; ++step) {
      Networks next;
      for (const char* text : texts)
        if (random() % 4 == 0) next.insert(*Prefix::parse(text));
      if (step == 10) {
        ASSERT_EQ(std::system("nft flush ruleset"), 0);  // a reload of the firewall
        ASSERT_FALSE(kill_switch_is_set("cp0"));
      }
      ASSERT_TRUE(change_kill_switch("cp0", now, next));
      now = next;
      for (const char* target : targets) {
        const auto inside = [&](const Prefix& one) { return one.contains(Endpoint::parse(target)->address); };
        ASSERT_EQ(leaves(target), std::ranges::none_of(now, inside)) << target << " in step " << step;
      }
    }
  });
}

TEST_F(KillSwitchTest, has_no_gap_while_it_changes) {
  on_a_host([] {
    Networks now = networks({"198.51.100.0/24"});
    ASSERT_TRUE(set_kill_switch("cp0", now));
    std::atomic<bool> done = false;
    int tries = 0;
    int left = 0;
    std::thread sender([&] {
      for (; !done; ++tries)
        left += leaves("198.51.100.9:9") ? 1 : 0;
    });
    for (const char* texts : {"203.0.113.0/24", "203.0.113.0/25", "10.0.0.0/8", "198.51.100.9/32", "::/0"}) {
      Networks next = networks({"198.51.100.0/24", texts});
      EXPECT_TRUE(change_kill_switch("cp0", now, next));
      EXPECT_TRUE(set_kill_switch("cp0", next));
      now = std::move(next);
    }
    done = true;
    sender.join();
    EXPECT_GT(tries, 100);
    EXPECT_EQ(left, 0);
  });
}

// A change costs what it changes: the commands of one network are no longer for 10,000 others.
TEST_F(KillSwitchTest, a_change_of_one_network_among_many_names_nothing_else) {
  Networks many;
  for (unsigned i = 0; i < 10'000; ++i)
    many.insert(*Prefix::parse("10." + std::to_string(i / 250) + "." + std::to_string(i % 250) + ".1/32"));
  Networks more = many;
  more.insert(*Prefix::parse("192.0.2.7/32"));
  EXPECT_EQ(kill_switch_changes("cp0", many, more), "add element inet centipede-cp0 inside4_32 { 192.0.2.7 }\n");
  EXPECT_EQ(kill_switch_changes("cp0", more, many), "delete element inet centipede-cp0 inside4_32 { 192.0.2.7 }\n");
}

TEST_F(KillSwitchTest, a_tunnels_name_is_never_read_as_commands) {
  on_a_host([] {
    for (const char* name : {"a;b", "a\"b", "a{b", "cp*", "#", "a\\b", "$x", ""}) {
      const auto set = set_kill_switch(name, networks({"198.51.100.0/24"}));
      ASSERT_FALSE(set) << name;
      EXPECT_EQ(set.error().code, EINVAL);
      EXPECT_THAT(set.error().text, HasSubstr("letters, digits"));
      EXPECT_TRUE(remove_kill_switch(name));
    }
    for (const char* name : {"wg-office", "cp_0", "cp0.5", "0", "filter", "drop"}) {
      EXPECT_TRUE(set_kill_switch(name, networks({"198.51.100.0/24"}))) << name;
      EXPECT_TRUE(kill_switch_is_set(name)) << name;
      EXPECT_TRUE(remove_kill_switch(name)) << name;
    }
  });
}

}  // namespace
}  // namespace centipede
