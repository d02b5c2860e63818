// [interface] of the configuration file, and the file as a whole.
#include "config_fixture.h"

namespace centipede {
namespace {

TEST_F(ConfigTest, every_key_reaches_the_tunnel) {
  const auto loaded = parse(interface_text(R"(
address = ["10.10.0.1/24", "fd10::1/64"]
listen_port = 5821
uplinks = ["eth0", "wl*"]
exclude_uplinks = ["wlan9", "docker*"]
kill_switch = true
dns = ["10.10.0.53", "fd10::53"]
dns_search = ["corp.example", "lab"]
workers = 3
mode = "udp"
aead = "sodium"
busy_poll_us = 200
mtu = 1400
window = 65536
heartbeat_ms = 500
rekey_seconds = 60
routes = false
[[uplink]]
name = "wwan0"
priority = 4294967295
metered = true
rate = "20M"
[[uplink]]
name = "wl*"
rate = 300
)") +
                            peer_text(2, R"(
name = "office"
preshared_key = ")" + key_text(9) + R"("
allowed_ips = ["10.10.0.2/32", "192.168.7.0/24"]
endpoints = ["203.0.113.5:5820", "[2001:db8::1]:5820", "vpn.example.org:5999"]
policy = "backup"
[[peer.path]]
uplink = "wwan0"
enabled = false
priority = 3
[[peer.path]]
uplink = "eth0"
)"));
  ASSERT_TRUE(loaded) << loaded.error().text;
  const TunnelConfig& tunnel = loaded->tunnel;
  EXPECT_TRUE(loaded->warnings.empty()) << loaded->warnings.front();
  EXPECT_EQ(tunnel.name, "cp0");
  EXPECT_EQ(tunnel.identity.public_key().base64(), public_text(1));
  ASSERT_EQ(tunnel.addresses.size(), 2U);
  EXPECT_EQ(tunnel.addresses[0].text(), "10.10.0.1/24");
  EXPECT_EQ(tunnel.listen_port, 5821);
  const std::vector<UplinkSettings> uplinks{
      {.name = "eth0"}, {.name = "wl*", .rate_bps = 300}, {"wwan0", 4294967295, true, 20'000'000}};
  EXPECT_EQ(tunnel.live.uplinks, uplinks);
  EXPECT_EQ(tunnel.live.excluded_uplinks, (std::vector<std::string>{"wlan9", "docker*"}));
  EXPECT_TRUE(tunnel.kill_switch);
  EXPECT_EQ(tunnel.dns, (std::vector{*IpAddress::parse("10.10.0.53"), *IpAddress::parse("fd10::53")}));
  EXPECT_EQ(tunnel.dns_search, (std::vector<std::string>{"corp.example", "lab"}));
  EXPECT_EQ(tunnel.workers, 3U);
  EXPECT_EQ(tunnel.mode, ReceiveMode::udp);
  EXPECT_EQ(tunnel.aead, crypto::AeadChoice::sodium);
  EXPECT_EQ(tunnel.busy_poll_us, 200U);
  EXPECT_EQ(tunnel.mtu, 1400U);
  EXPECT_EQ(tunnel.window_bits, 16U);
  EXPECT_EQ(tunnel.heartbeat_ms, 500U);
  EXPECT_EQ(tunnel.rekey_seconds, 60U);
  EXPECT_FALSE(tunnel.routes);
  ASSERT_EQ(tunnel.live.peers.size(), 1U);
  const auto& peer = tunnel.live.peers[0];
  EXPECT_EQ(peer.name, "office");
  EXPECT_EQ(peer.public_key.base64(), public_text(2));
  EXPECT_TRUE(peer.preshared_key->equals(*crypto::secret_from_base64(key_text(9))));
  EXPECT_EQ(peer.preshared_key_file, "");
  EXPECT_EQ(peer.allowed_ips.size(), 2U);
  EXPECT_EQ(peer.endpoints.size(), 2U);
  EXPECT_EQ(peer.host_endpoints, (std::vector<control::HostEndpoint>{{"vpn.example.org", 5999}}));
  EXPECT_EQ(peer.paths, (std::vector<control::PathSettings>{{"wwan0", false, 3}, {.uplink = "eth0"}}));
  EXPECT_EQ(peer.policy, control::Policy::backup);
}

TEST_F(ConfigTest, what_is_not_given_has_its_default) {
  const auto loaded = parse(interface_text() + peer_text(2));
  ASSERT_TRUE(loaded) << loaded.error().text;
  EXPECT_EQ(loaded->tunnel.listen_port, 5820);
  EXPECT_EQ(loaded->tunnel.window_bits, 15U);
  EXPECT_EQ(loaded->tunnel.heartbeat_ms, 250U);
  EXPECT_EQ(loaded->tunnel.rekey_seconds, 120U);
  EXPECT_EQ(loaded->tunnel.workers, 0U);
  EXPECT_EQ(loaded->tunnel.mode, ReceiveMode::automatic);
  EXPECT_EQ(loaded->tunnel.aead, crypto::AeadChoice::automatic);
  EXPECT_EQ(loaded->tunnel.busy_poll_us, 0U);
  EXPECT_TRUE(loaded->tunnel.routes);
  EXPECT_EQ(loaded->tunnel.live.peers[0].policy, control::Policy::redundant);
  EXPECT_EQ(loaded->tunnel.live.peers[0].name, public_text(2).substr(0, 8));
  EXPECT_FALSE(loaded->tunnel.live.peers[0].preshared_key);
  EXPECT_EQ(loaded->tunnel.live.peers[0].preshared_key_file, "");
}

TEST_F(ConfigTest, unknown_keys_are_refused_with_the_nearest_known_one) {
  refused(interface_text("listenport = 1\n"), 3, {"listenport", "did you mean \"listen_port\""});
  refused(interface_text("adress = []\n"), 3, {"did you mean \"address\""});
  refused(interface_text("zzzzzzzzzzz = 1\n"), 3, {"known here:", "heartbeat_ms"});
  refused(interface_text() + peer_text(2, "allowed_ip = []\n"), 5, {"did you mean \"allowed_ips\""});
  refused(interface_text() + "[[peers]]\n", 3, {"did you mean \"peer\""});
  refused(interface_text() + "[[peer]]\nlisten_port = 1\n", 4, {"listen_port"});
}

TEST_F(ConfigTest, wrong_types_are_named_with_the_right_one) {
  refused(interface_text("listen_port = \"5820\"\n"), 3, {"listen_port", "whole number without quotes"});
  refused(interface_text("listen_port = 5820.0\n"), 3, {"listen_port"});
  refused(interface_text("address = \"10.0.0.1/24\"\n"), 3, {"address", "list"});
  refused(interface_text("uplinks = [1]\n"), 3, {"uplinks", "list"});
  refused(interface_text("routes = 1\n"), 3, {"routes", "true or false"});
  refused(interface_text("mode = true\n"), 3, {"mode", "quotes"});
  refused("[interface]\nprivate_key = 5\n", 2, {"private_key"});
  refused(interface_text() + "[peer]\n", 3, {"[[peer]]"});
  refused("interface = 5\n", 1, {"[interface]"});
  refused("peer = [5]\n" + interface_text(), 1, {"[[peer]]"});
  refused("[[interface]]\nprivate_key = \"\"\n", 1, {"[interface]"});
}

TEST_F(ConfigTest, keys_that_are_missing_bad_or_double_are_refused) {
  refused("", 1, {"[interface]"});
  refused("[interface]\n", 1, {"private_key", "centipede genkey"});
  refused(interface_text("private_key_file = \"x\"\n"), 3, {"both private_key and private_key_file"});
  refused("[interface]\nprivate_key = \"AAAA\"\n", 2, {"private_key", "44 characters"});
  refused("[interface]\nprivate_key = \"" + std::string(44, '!') + "\"\n", 2, {"private_key"});
  refused("[interface]\nprivate_key_file = \"\"\n", 2, {"private_key_file"});
  for (const char* name : {"a\\u0000b", "a\\nb", "\\u001b[2J", "\\u007f"})
    refused("[interface]\nprivate_key_file = \"" + std::string(name) + "\"\n", 2, {"private_key_file is no file name"});
  refused("[interface]\nprivate_key_file = \"no/such\"\n", 2, {"/etc/centipede/no/such", "No such file"});
  refused(interface_text() + "[[peer]]\nname = \"a\"\n", 3, {"no public_key"});
  const std::array<uint8_t, 32> zero{};
  refused(interface_text() + "[[peer]]\npublic_key = \"" + crypto::to_base64(zero) + "\"\n", 4, {"no valid key"});
  std::array<uint8_t, 32> low_order{};
  low_order[0] = 1;
  refused(interface_text() + "[[peer]]\npublic_key = \"" + crypto::to_base64(low_order) + "\"\n", 4, {"no valid key"});
  refused(interface_text() + peer_text(2, "preshared_key = \"short\"\n"), 5, {"preshared_key", "genpsk"});
  refused(interface_text() + peer_text(1), 4, {"own key"});
  refused(interface_text() + peer_text(2) + peer_text(2), 6, {"public_key", "cp0.toml:4:"});
  refused(interface_text() + peer_text(2, "name = \"a\"\n") + peer_text(3, "name = \"a\"\n"), 8,
          {"\"a\"", "cp0.toml:5:"});
  refused(interface_text() + peer_text(2, "name = \"\"\n"), 5, {"name"});
  refused(interface_text() + peer_text(2, "name = \"a\\u001b[2J\"\n"), 5, {"name"});
}

TEST_F(ConfigTest, numbers_out_of_range_are_refused_with_the_range) {
  refused(interface_text("listen_port = 0\n"), 3, {"1 to 65535"});
  refused(interface_text("listen_port = 65536\n"), 3, {"1 to 65535"});
  refused(interface_text("workers = 127\n"), 3, {"0 to 126"});
  refused(interface_text("workers = -1\n"), 3, {"0 to 126"});
  refused(interface_text("mtu = 1279\n"), 3, {"1280 to 65435"});
  refused(interface_text("mtu = 65436\n"), 3, {"65435"});
  refused(interface_text("window = 1000\n"), 3, {"1024"});
  refused(interface_text("window = 40000\n"), 3, {"power of two", "65536"});
  refused(interface_text("window = 2097152\n"), 3, {"1048576"});
  refused(interface_text("heartbeat_ms = 99\n"), 3, {"100 to 60000"});
  refused(interface_text("rekey_seconds = 4\n"), 3, {"5 to 120"});
  refused(interface_text("rekey_seconds = 121\n"), 3, {"5 to 120"});
  refused(interface_text("workers = 9223372036854775807\n"), 3, {"0 to 126"});
  for (const char* fine :
       {"mtu = 0\n", "mtu = 1280\n", "mtu = 65435\n", "workers = 126\n", "window = 1024\n", "window = 1048576\n",
        "listen_port = 65535\n", "rekey_seconds = 5\n", "rekey_seconds = 120\n"}) {
    EXPECT_TRUE(parse(interface_text(fine))) << fine;
  }
}

TEST_F(ConfigTest, policies_and_modes_that_are_not_there_are_refused_with_those_that_are) {
  refused(interface_text() + peer_text(2, "policy = \"aggregate\"\n"), 5, {"not available yet", "redundant", "backup"});
  refused(interface_text() + peer_text(2, "policy = \"adaptive\"\n"), 5, {"not available yet"});
  refused(interface_text() + peer_text(2, "policy = \"fastest\"\n"), 5, {"unknown policy"});
  refused(interface_text("mode = \"fast\"\n"), 3, {"unknown mode", "\"xdp\""});
  refused(interface_text("aead = \"aes\"\n"), 3, {"unknown aead", "\"ipsec-mb\""});
}

TEST_F(ConfigTest, what_is_no_toml_is_refused_with_the_place) {
  refused(interface_text("mtu 1400\n"), 3, {});
  refused(interface_text("mtu = 1400\nmtu = 1401\n"), 4, {});
  refused("[interface\n", 1, {});
  refused(interface_text("routes = tr\x1b[2J\n"), 3, {"tr\\x1b"});
  refused(std::string("\x7f\x45\x4c\x46\x02\x01\x00\x00", 8), 1, {});
  refused("[interface]\nmode = \"\xff\xfe\"\n", 2, {});
  refused(std::string(1000, '\0'), 1, {});
  refused("x = " + std::string(5000, '['), 1, {});
  refused(std::string(500000, 'a'), 1, {});
}

TEST_F(ConfigTest, the_files_name_is_the_interfaces) {
  for (const char* path :
       {"/etc/centipede/sixteen-letters!.toml", "/etc/centipede/a b.toml", "/etc/centipede/%d.toml"}) {
    EXPECT_FALSE(parse_config(interface_text(), path)) << path;
  }
  EXPECT_EQ(parse_config(interface_text(), "home.toml")->tunnel.name, "home");
}

TEST_F(ConfigTest, key_files_are_found_beside_the_configuration) {
  write("own.key", key_text(1) + "\n");
  write("office.psk", key_text(9) + "\n", 0644);
  const std::string path = write("cp0.toml",
                                 "[interface]\nprivate_key_file = \"own.key\"\n" +
                                     peer_text(2, "preshared_key_file = \"" + folder_.file("office.psk") + "\"\n"),
                                 0644);
  const auto loaded = load_config(path);
  ASSERT_TRUE(loaded) << loaded.error().text;
  EXPECT_EQ(loaded->tunnel.identity.public_key().base64(), public_text(1));
  EXPECT_TRUE(loaded->tunnel.live.peers[0].preshared_key);
  ASSERT_EQ(loaded->warnings.size(), 1U) << "of the key file, not of the configuration, which holds no key";
  EXPECT_THAT(loaded->warnings[0], HasSubstr("chmod 600 " + folder_.file("office.psk")));
  write("own.key", key_text(1) + key_text(1));
  EXPECT_THAT(load_config(path).error().text, HasSubstr("private_key_file holds no valid key"));
}

TEST_F(ConfigTest, a_file_that_holds_a_key_and_is_open_to_others_brings_a_warning) {
  const std::string path = write("cp0.toml", interface_text() + peer_text(2), 0644);
  const auto open = load_config(path);
  ASSERT_TRUE(open) << open.error().text;
  ASSERT_EQ(open->warnings.size(), 1U);
  EXPECT_THAT(open->warnings[0], HasSubstr("chmod 600 " + path));
  chmod(path.c_str(), 0640);
  EXPECT_TRUE(load_config(path)->warnings.empty());
}

TEST_F(ConfigTest, files_that_cannot_be_a_configuration_are_clear_errors) {
  EXPECT_THAT(load_config(folder_.file("none.toml")).error().text, HasSubstr("No such file"));
  EXPECT_THAT(load_config(folder_.path()).error().text, HasSubstr("is a folder"));
  EXPECT_THAT(load_config("/dev/null").error().text, HasSubstr("no regular file"));
  EXPECT_THAT(load_config(write("cp1.toml", std::string((16 << 20) + 1, '#'))).error().text, HasSubstr("longer than"));
  EXPECT_THAT(load_config(write("cp2.toml", "")).error().text, HasSubstr("[interface]"));
  ASSERT_EQ(mkfifo(folder_.file("cp3.toml").c_str(), 0600), 0);
  EXPECT_THAT(load_config(folder_.file("cp3.toml")).error().text, HasSubstr("no regular file"));
  EXPECT_TRUE(load_config(write("cp4.toml", interface_text() + std::string(1 << 19, '#'))));
}

}  // namespace
}  // namespace centipede
