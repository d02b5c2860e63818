// Routes of peers that come and go, in a network namespace of our own.
#include "dataplane/peer_routes.h"

#include "private_network.h"

namespace centipede {
namespace {

using test::in_private_network;
using test::run;

std::set<Prefix> prefixes(std::initializer_list<const char*> texts) {
  std::set<Prefix> all;
  for (const char* text : texts)
    all.insert(*Prefix::parse(text));
  return all;
}

template <class Body>
void with_device(Body body) {
  in_private_network([&] {
    ASSERT_TRUE(run("ip link add d0 type veth peer name d1 && ip link set d1 up && ip link set d0 up"));
    auto netlink = Netlink::open();
    ASSERT_TRUE(netlink);
    PeerRoutes routes(*netlink, (**netlink->link("d0")).ifindex);
    body(routes);
  });
}

TEST(PeerRoutes, follow_what_is_wanted) {
  with_device([](PeerRoutes& routes) {
    ASSERT_TRUE(routes.extend(prefixes({"10.1.0.0/16", "10.2.0.0/16"})));
    ASSERT_TRUE(routes.extend(prefixes({"10.2.0.0/16", "10.3.0.0/16"})));
    EXPECT_TRUE(run("ip route show 10.1.0.0/16 | grep -q d0")) << "stays until the others are there";
    ASSERT_TRUE(routes.shrink(prefixes({"10.2.0.0/16", "10.3.0.0/16"})));
    EXPECT_FALSE(run("ip route show 10.1.0.0/16 | grep -q d0"));
    EXPECT_TRUE(run("ip route show 10.2.0.0/16 | grep -q d0"));
    EXPECT_TRUE(run("ip route show 10.3.0.0/16 | grep -q d0"));
  });
}

TEST(PeerRoutes, when_one_cannot_be_added_none_is) {
  with_device([](PeerRoutes& routes) {
    ASSERT_TRUE(routes.extend(prefixes({"10.1.0.0/16"})));
    ASSERT_TRUE(
        run("ip link add e0 type veth peer name e1 && ip link set e1 up && ip link set e0 up && "
            "ip route add 10.9.0.0/16 dev e0"));
    const auto refused = routes.extend(prefixes({"10.1.0.0/16", "10.2.0.0/16", "10.9.0.0/16"}));
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().text.find("e0"), std::string::npos) << refused.error().text;
    EXPECT_TRUE(run("ip route show 10.1.0.0/16 | grep -q d0")) << "was there before";
    EXPECT_FALSE(run("ip route show 10.2.0.0/16 | grep -q d0"));
    EXPECT_TRUE(routes.extend(prefixes({"10.2.0.0/16"}))) << "and may come later";
    EXPECT_TRUE(run("ip route show 10.2.0.0/16 | grep -q d0"));
  });
}

TEST(PeerRoutes, a_half_that_another_peer_wants_as_well_stays_when_the_default_route_goes) {
  with_device([](PeerRoutes& routes) {
    control::PeerSettings whole{.name = "whole", .allowed_ips = {*Prefix::parse("0.0.0.0/0")}};
    control::PeerSettings half{.name = "half", .allowed_ips = {*Prefix::parse("128.0.0.0/1")}};
    ASSERT_TRUE(routes.extend(routes_of({whole, half})));
    EXPECT_TRUE(run("ip route show 0.0.0.0/1 | grep -q d0"));
    ASSERT_TRUE(routes.shrink(routes_of({half})));
    EXPECT_FALSE(run("ip route show 0.0.0.0/1 | grep -q d0"));
    EXPECT_TRUE(run("ip route show 128.0.0.0/1 | grep -q d0"));
  });
}

}  // namespace
}  // namespace centipede
