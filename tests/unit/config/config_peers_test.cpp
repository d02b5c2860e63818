// [[peer]] and [[peer.path]] of the configuration file.
#include "config_fixture.h"

namespace centipede {
namespace {

TEST_F(ConfigTest, bad_networks_addresses_and_endpoints_are_refused) {
  for (const char* address : {"", "10.0.0.1/33", "10.0.0.300/8", "fe80::1%eth0/64", "name", "224.0.0.1/4", "0.0.0.0/0",
                              "10.0.0.1/", "::1/129", "10.0.0.1/24 "}) {
    refused(interface_text("address = [\"" + std::string(address) + "\"]\n"), 3, {"address"});
  }
  refused(interface_text("address = [\"10.0.0.1/24\", \"10.0.0.1/16\"]\n"), 3, {"twice"});
  refused(interface_text() + peer_text(2, "allowed_ips = [\"10.0.0.0/40\"]\n"), 5, {"10.0.0.0/40", "no network"});
  for (const char* endpoint :
       {"", "203.0.113.5", "203.0.113.5:0", "203.0.113.5:65536", "203.0.113.5:http", "2001:db8::1:5820",
        "[2001:db8::1]", "[203.0.113.5]:1", ":5820", "a b:5820", "300.0.113.5:5820", "-x.org:1", "a..b:1", "0.0.0.0:1",
        "255.255.255.255:1", "[ff02::1]:1", "[fe80::1]:1", "a\\u0000b.org:5"}) {
    refused(interface_text() + peer_text(2, "endpoints = [\"" + std::string(endpoint) + "\"]\n"), 5, {});
  }
}

TEST_F(ConfigTest, one_network_belongs_to_one_peer_and_longer_prefixes_may_nest) {
  refused(interface_text() + peer_text(2, "allowed_ips = [\"10.0.0.0/8\"]\n") +
              peer_text(3, "allowed_ips = [\"10.1.0.0/16\", \"10.0.0.0/8\"]\n"),
          8, {"10.0.0.0/8", "cp0.toml:5:"});
  refused(interface_text() + peer_text(2, "allowed_ips = [\"10.0.0.0/8\"]\n") +
              peer_text(3, "allowed_ips = [\"10.1.2.3/8\"]\n"),
          8, {"10.0.0.0/8"});
  const auto nested = parse(interface_text() + peer_text(2, "allowed_ips = [\"10.0.0.0/8\", \"0.0.0.0/0\"]\n") +
                            peer_text(3, "allowed_ips = [\"10.1.0.0/16\", \"::/0\"]\n"));
  EXPECT_TRUE(nested) << nested.error().text;
}

TEST_F(ConfigTest, host_bits_in_allowed_ips_are_masked_with_a_warning) {
  const auto loaded = parse(interface_text() + peer_text(2, "allowed_ips = [\"10.1.2.3/8\", \"10.0.0.0/8\"]\n"));
  ASSERT_TRUE(loaded) << loaded.error().text;
  ASSERT_EQ(loaded->tunnel.live.peers[0].allowed_ips.size(), 1U);
  EXPECT_EQ(loaded->tunnel.live.peers[0].allowed_ips[0].text(), "10.0.0.0/8");
  ASSERT_EQ(loaded->warnings.size(), 2U);
  EXPECT_THAT(loaded->warnings[0], HasSubstr("cp0.toml:5:"));
  EXPECT_THAT(loaded->warnings[0], HasSubstr("10.0.0.0/8"));
  EXPECT_THAT(loaded->warnings[1], HasSubstr("twice"));
}

TEST_F(ConfigTest, an_endpoint_that_is_given_twice_counts_once) {
  const auto loaded = parse(interface_text() + peer_text(2,
                                                         "endpoints = [\"gone.example:5820\", \"192.0.2.1:1\", "
                                                         "\"192.0.2.1:1\", \"gone.example:5820\"]\n"));
  ASSERT_TRUE(loaded) << loaded.error().text;
  EXPECT_EQ(loaded->tunnel.live.peers[0].endpoints.size(), 1U);
  EXPECT_EQ(loaded->tunnel.live.peers[0].host_endpoints.size(), 1U);
}

TEST_F(ConfigTest, paths_of_a_peer_are_refused_with_the_reason) {
  const auto path = [](const std::string& lines) { return interface_text() + peer_text(2, "[[peer.path]]\n" + lines); };
  refused(path(""), 5, {"no uplink"});
  refused(path("uplink = \"wl*\"\n"), 6, {"no name of a device"});
  refused(path("uplink = \"sixteen-letters!\"\n"), 6, {"no name of a device"});
  refused(path("uplink = \"a\"\n[[peer.path]]\nuplink = \"a\"\n"), 8, {"\"a\"", "twice"});
  refused(path("uplink = \"a\"\nenabled = 0\n"), 7, {"enabled"});
  refused(path("uplink = \"a\"\npriority = \"1\"\n"), 7, {"priority"});
  refused(path("uplnk = \"a\"\n"), 6, {"did you mean \"uplink\""});
  refused(interface_text() + peer_text(2, "path = 1\n"), 5, {"[[peer.path]]"});
  std::string many;
  for (int i = 0; i < 65; ++i)
    many += "[[peer.path]]\nuplink = \"eth" + std::to_string(i) + "\"\n";
  refused(interface_text() + peer_text(2, many), 134, {"more than 64 paths"});
}

TEST_F(ConfigTest, the_file_of_a_preshared_key_is_known_for_reading_it_again) {
  write("office.psk", key_text(9) + "\n");
  const std::string named = "preshared_key_file = \"" + folder_.file("office.psk") + "\"\n";
  const std::string path = write("cp0.toml", interface_text() + peer_text(2, "preshared_key_file = \"office.psk\"\n"));
  const std::string absolute = write("cp1.toml", interface_text() + peer_text(2, named));
  for (const auto& config : {path, absolute}) {
    const auto loaded = load_config(config);
    ASSERT_TRUE(loaded) << loaded.error().text;
    EXPECT_EQ(loaded->tunnel.live.peers[0].preshared_key_file, folder_.file("office.psk"));
    EXPECT_TRUE(loaded->tunnel.live.peers[0].preshared_key->equals(*crypto::secret_from_base64(key_text(9))));
  }
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(folder_.path());
  const auto relative = load_config("cp0.toml");
  std::filesystem::current_path(before);
  ASSERT_TRUE(relative) << relative.error().text;
  const std::string file = relative->tunnel.live.peers[0].preshared_key_file;
  EXPECT_EQ(file.front(), '/') << "the daemon may work in another folder";
  EXPECT_TRUE(std::filesystem::equivalent(file, folder_.file("office.psk"))) << file;
  write("office.psk", "spoilt\n");
  EXPECT_THAT(load_config(path).error().text, HasSubstr("preshared_key_file holds no valid key"));
}

}  // namespace
}  // namespace centipede
