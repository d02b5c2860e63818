// The map of our own addresses: what is put in, and that it follows the uplinks.
#include <bpf/bpf.h>

#include <algorithm>

#include "dataplane/uplinks.h"
#include "live_fixture.h"

namespace centipede::test {
namespace {

IpAddress ip(const std::string& text) {
  return *IpAddress::parse(text);
}

void command(const std::string& line) {
  ASSERT_EQ(std::system(line.c_str()), 0) << line;
}

class AddressesTest : public LiveTest {
 protected:
  // Read as anybody would, through the pinned map. IPv4 as IPv4-mapped IPv6.
  [[nodiscard]] std::set<IpAddress> in_map() const {
    const FileDescriptor map(bpf_obj_get((program->pin_directory() + "/addresses").c_str()));
    EXPECT_TRUE(map);
    std::set<IpAddress> found;
    cp_address key{};
    for (const cp_address* last = nullptr; bpf_map_get_next_key(map.get(), last, &key) == 0; last = &key)
      found.insert(IpAddress::v6(key.bytes));
    return found;
  }
};

TEST_F(AddressesTest, those_that_have_gone_are_taken_out_and_the_others_stay) {
  ASSERT_TRUE(program->set_addresses({ip("192.0.2.2"), ip("2001:db8::1")}));
  EXPECT_EQ(in_map(), (std::set{ip("::ffff:192.0.2.2"), ip("2001:db8::1")}));
  ASSERT_TRUE(program->set_addresses({ip("2001:db8::1"), ip("192.0.2.3")}));
  EXPECT_EQ(in_map(), (std::set{ip("::ffff:192.0.2.3"), ip("2001:db8::1")}));
  ASSERT_TRUE(program->set_addresses({}));
  EXPECT_TRUE(in_map().empty());
}

TEST_F(AddressesTest, a_full_map_is_an_error_that_names_who_has_no_room_and_gets_room_again) {
  std::set<IpAddress> many;
  for (int i = 0; i < CP_MAX_ADDRESSES; ++i)
    many.insert(ip("10.0." + std::to_string(i / 256) + "." + std::to_string(i % 256)));
  ASSERT_TRUE(program->set_addresses(many));
  const IpAddress late = ip("192.0.2.77");
  many.insert(late);
  const auto refused = program->set_addresses(many);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, E2BIG);
  EXPECT_NE(refused.error().text.find(late.text()), std::string::npos) << refused.error().text;
  EXPECT_EQ(in_map().size(), size_t{CP_MAX_ADDRESSES});
  many.erase(ip("10.0.0.7"));
  EXPECT_TRUE(program->set_addresses(many));
  EXPECT_TRUE(in_map().contains(ip("::ffff:192.0.2.77")));
}

TEST_F(AddressesTest, the_map_follows_the_uplinks) {
  const WirePair second(*far, 1);
  auto netlink = Netlink::open();
  ASSERT_TRUE(netlink);
  Uplinks uplinks({.port = tunnel_port, .workers = 1, .program = program.get()});
  const Instant now{};
  const IpAddress first_address = ip("::ffff:10.77.0.1");
  uplinks.set_wanted({{.name = "n0"}}, {}, *netlink, now);
  EXPECT_EQ(in_map(), std::set{first_address});
  uplinks.set_wanted({{.name = "n0"}, {.name = "n1"}}, {}, *netlink, now);
  EXPECT_EQ(in_map(), (std::set{first_address, ip("::ffff:10.77.1.1")}));

  command("ip address add 10.88.0.1/24 dev n0; ip address add 2001:db8::77/64 nodad dev n1");
  uplinks.refresh(*netlink, now);
  EXPECT_EQ(in_map(), (std::set{first_address, ip("::ffff:10.77.1.1"), ip("::ffff:10.88.0.1"), ip("2001:db8::77")}));
  command("ip address del 10.77.1.1/24 dev n1; ip address add 10.77.0.1/32 dev n1");
  uplinks.refresh(*netlink, now);
  EXPECT_EQ(in_map(), (std::set{first_address, ip("::ffff:10.88.0.1"), ip("2001:db8::77")}));
  uplinks.set_wanted({{.name = "n1"}}, {}, *netlink, now);
  EXPECT_EQ(in_map(), (std::set{first_address, ip("2001:db8::77")})) << "n1 has it too";
  command("ip link set n1 down");
  uplinks.refresh(*netlink, now);
  EXPECT_TRUE(in_map().empty());
}

TEST_F(AddressesTest, that_there_is_no_room_is_said_once_until_there_is) {
  auto netlink = Netlink::open();
  ASSERT_TRUE(netlink);
  std::string batch;
  for (int i = 0; i < CP_MAX_ADDRESSES; ++i)
    batch += "address add 10.99." + std::to_string(i / 200) + "." + std::to_string(1 + i % 200) + "/32 dev n0\n";
  command("printf '" + batch + "' | ip -batch -");
  Uplinks uplinks({.port = tunnel_port, .workers = 1, .program = program.get()});
  const auto complaints = [&] {
    return std::ranges::count_if(uplinks.take_changes().log, [](const auto& line) {
      return line.text.find("map of addresses") != std::string::npos;
    });
  };
  uplinks.set_wanted({{.name = "n0"}}, {}, *netlink, {});
  EXPECT_EQ(complaints(), 1);
  uplinks.refresh(*netlink, {});
  EXPECT_EQ(complaints(), 0);
  command("ip address del 10.99.0.1/32 dev n0");
  uplinks.refresh(*netlink, {});
  EXPECT_EQ(in_map().size(), size_t{CP_MAX_ADDRESSES});
  command("ip address add 10.99.0.1/32 dev n0");
  uplinks.refresh(*netlink, {});
  EXPECT_EQ(complaints(), 1);
}

}  // namespace
}  // namespace centipede::test
