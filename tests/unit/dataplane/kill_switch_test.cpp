// The kill switch in the kernel of a private network, seen from sockets.
#include "dataplane/kill_switch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "dataplane/udp_socket.h"
#include "private_network.h"

namespace centipede {
namespace {

using testing::HasSubstr;
using testing::Not;

std::vector<Prefix> networks(std::initializer_list<const char*> texts) {
  std::vector<Prefix> all;
  for (const char* text : texts)
    all.push_back(*Prefix::parse(text));
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
    EXPECT_TRUE(leaves("198.51.100.9:9"));
    EXPECT_FALSE(leaves("203.0.113.9:9"));
    ASSERT_TRUE(set_kill_switch("cp0", {})) << "a tunnel that leads nowhere yet";
    EXPECT_TRUE(leaves("203.0.113.9:9"));
    ASSERT_TRUE(remove_kill_switch("cp0"));
    EXPECT_FALSE(kill_switch_is_set("cp0"));
  });
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
