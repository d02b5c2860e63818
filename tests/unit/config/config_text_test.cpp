// What is exported is read back to the same settings.
#include "config/config_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "../../rounds.h"
#include "base/small_file.h"
#include "config/config.h"
#include "dataplane/setting_texts.h"
#include "temporary_folder.h"

namespace centipede {
namespace {

using testing::HasSubstr;

crypto::Identity identity_of(uint32_t seed) {
  std::array<uint8_t, 32> bytes{1};
  std::memcpy(bytes.data() + 1, &seed, sizeof seed);
  return crypto::Identity::from_seed(crypto::SecretKey(bytes));
}

// Settings with every kind of value, each present or not.
class RandomSettings {
 public:
  explicit RandomSettings(uint32_t seed) : random_(seed) {}

  TunnelSettings settings(const std::string& key_file) {
    TunnelSettings out;
    for (uint32_t i = below(6); i > 0; --i)
      out.uplinks.push_back(uplink(i));
    for (uint32_t i = below(3); i > 0; --i)
      out.excluded_uplinks.push_back("docker" + std::to_string(i) + (coin() ? "*" : ""));
    for (uint32_t i = below(5); i > 0; --i)
      out.peers.push_back(peer(i, key_file));
    return out;
  }

 private:
  uint32_t below(uint32_t limit) { return static_cast<uint32_t>(random_() % limit); }
  bool coin() { return below(2) == 0; }
  std::optional<uint32_t> priority() {
    if (coin()) return std::nullopt;
    return coin() ? static_cast<uint32_t>(random_()) : below(20);
  }

  UplinkSettings uplink(uint32_t number) {
    static const std::vector<std::string> odd{"\"", "\\", "'", "#", "=", "[", "]", "*", "?", "~", ","};
    std::string name = "u" + std::to_string(number);
    while (name.size() < 15 && coin())
      name += odd[below(static_cast<uint32_t>(odd.size()))];
    const std::array<uint64_t, 5> rates{0, 1, 20'000'000, 1'000'000'000'000, 12'345'678};
    return {name, priority(), coin(), rates[below(rates.size())]};
  }

  control::PeerSettings peer(uint32_t number, const std::string& key_file) {
    static const std::vector<std::string> odd{"\"", "\\", "ü", "日", " ", "#", "'", "]", "\\u0041", "é"};
    control::PeerSettings out;
    out.name = "peer" + std::to_string(number);
    while (out.name.size() < 58 && coin())
      out.name += odd[below(static_cast<uint32_t>(odd.size()))];
    out.public_key = identity_of(number + 2).public_key();
    if (coin()) out.preshared_key_file = key_file;
    const auto byte = [&] { return static_cast<uint8_t>(below(256)); };
    for (uint32_t i = below(4); i > 0; --i) {
      const std::array<uint8_t, 16> bytes{static_cast<uint8_t>(number), static_cast<uint8_t>(i), byte(), byte()};
      const bool v4 = coin();
      const unsigned length = 16 + below(v4 ? 17 : 113);
      out.allowed_ips.push_back(
          Prefix{v4 ? IpAddress::v4(bytes.data()) : IpAddress::v6(bytes.data()), length}.network());
    }
    for (uint32_t i = below(3); i > 0; --i) {
      const std::array<uint8_t, 16> bytes{32, static_cast<uint8_t>(i), byte(), byte()};
      const auto port = static_cast<uint16_t>(1 + below(65535));
      out.endpoints.push_back({coin() ? IpAddress::v4(bytes.data()) : IpAddress::v6(bytes.data()), port});
    }
    for (uint32_t i = below(3); i > 0; --i)
      out.host_endpoints.push_back({"h" + std::to_string(i) + ".example", static_cast<uint16_t>(1 + below(65535))});
    if (coin()) out.policy = control::Policy::backup;
    for (uint32_t i = below(3); i > 0; --i)
      out.paths.push_back({"u" + std::to_string(i), coin(), priority()});
    return out;
  }

  std::mt19937 random_;
};

class ConfigTextTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(crypto::initialise());
    const auto identity = identity_of(1);
    status_.name = "cp0";
    status_.version = "0.1.0";
    status_.public_key = identity.public_key();
    status_.mtu = 1420;
    status_.aead = "libsodium";
    interface_ = {.private_key_file = folder_.file("cp0.key"),
                  .addresses = {*Prefix::parse("10.10.0.1/24"), *Prefix::parse("fd10::1/64")},
                  .listen_port = 5821,
                  .window_bits = 15,
                  .heartbeat_ms = 250,
                  .rekey_seconds = 120};
    ASSERT_TRUE(write_new_secret_file(folder_.file("cp0.key"), identity.private_base64()));
    ASSERT_TRUE(write_new_secret_file(folder_.file("office.psk"), crypto::to_base64(std::array<uint8_t, 32>{9})));
  }

  TemporaryFolder folder_;
  TunnelStatus status_;
  api::InterfaceSettings interface_;
};

TEST_F(ConfigTextTest, settings_that_are_written_are_read_back_the_same) {
  for (uint32_t seed = 0; seed < test::rounds(3000); ++seed) {
    const TunnelSettings settings = RandomSettings(seed).settings(folder_.file("office.psk"));
    const std::string text = config_text(status_, interface_, {settings, {}});
    const auto loaded = parse_config(text, folder_.file("cp0.toml"));
    ASSERT_TRUE(loaded) << loaded.error().text << "\n" << text;
    const TunnelConfig& read = loaded->tunnel;
    ASSERT_EQ(read.identity.public_key(), status_.public_key);
    ASSERT_EQ(api::interface_settings(read), interface_);
    ASSERT_EQ(read.live.uplinks, settings.uplinks) << text;
    ASSERT_EQ(read.live.excluded_uplinks, settings.excluded_uplinks) << text;
    ASSERT_EQ(read.live.peers.size(), settings.peers.size()) << text;
    for (size_t i = 0; i < settings.peers.size(); ++i) {
      const auto& before = settings.peers[i];
      const auto& after = read.live.peers[i];
      ASSERT_EQ(after.name, before.name) << text;
      ASSERT_EQ(after.public_key, before.public_key);
      ASSERT_EQ(after.preshared_key_file, before.preshared_key_file);
      ASSERT_EQ(after.allowed_ips, before.allowed_ips) << text;
      ASSERT_EQ(after.endpoints, before.endpoints) << text;
      ASSERT_EQ(after.host_endpoints, before.host_endpoints) << text;
      ASSERT_EQ(after.policy, before.policy);
      ASSERT_EQ(after.paths, before.paths) << text;
    }
  }
}

// Whatever [interface] may say, the file that is exported says the same.
TEST_F(ConfigTextTest, every_key_of_the_interface_is_written_and_read_back_the_same) {
  const std::string every = R"(private_key_file = "cp0.key"
address = ["10.10.0.1/24", "fd10::1/64"]
listen_port = 5999
uplinks = ["eth0", "wl*"]
exclude_uplinks = ["docker*"]
workers = 3
mode = "udp"
aead = "sodium"
busy_poll_us = 50
mtu = 1400
window = 4096
heartbeat_ms = 500
rekey_seconds = 60
routes = false
kill_switch = true
dns = ["10.10.0.53", "fd10::53"]
dns_search = ["corp.example", "example.org"]
)";
  const std::string path = folder_.file("cp0.toml");
  const auto before = parse_config("[interface]\n" + every, path);
  ASSERT_TRUE(before) << before.error().text;
  const auto interface = api::interface_settings(before->tunnel);
  const auto known = api::interface_settings_from_json(api::interface_settings_json(interface));
  ASSERT_TRUE(known) << known.error().text;
  const std::string text = config_text(status_, *known, {.settings = before->tunnel.live});
  const auto after = parse_config(text, path);
  ASSERT_TRUE(after) << after.error().text << text;
  EXPECT_EQ(api::interface_settings(after->tunnel), interface) << text;
  EXPECT_EQ(after->tunnel.identity.public_key(), before->tunnel.identity.public_key());
  EXPECT_EQ(after->tunnel.live.uplinks, before->tunnel.live.uplinks);
  EXPECT_EQ(after->tunnel.live.excluded_uplinks, before->tunnel.live.excluded_uplinks);
  // No key is forgotten here or there: those that may be given are listed to whoever gives another.
  const auto unknown = parse_config("[interface]\nzzzzzzzzzzzzzzzzzzzz = 1\n", path);
  ASSERT_FALSE(unknown);
  std::istringstream keys(unknown.error().text.substr(unknown.error().text.find("known here:") + 11));
  for (std::string key; keys >> key;) {
    if (key == "private_key") continue;
    EXPECT_THAT(every, HasSubstr(key + " = "));
    EXPECT_THAT(text, HasSubstr("\n" + key + " = "));
  }
}

TEST_F(ConfigTextTest, what_is_secret_or_not_known_is_said_to_be_filled_in) {
  control::PeerSettings peer;
  peer.name = "office";
  peer.public_key = identity_of(2).public_key();
  interface_.private_key_file.clear();
  const std::string text =
      config_text(status_, interface_, {{.uplinks = {}, .excluded_uplinks = {}, .peers = {peer}}, {peer.public_key}});
  EXPECT_THAT(text, HasSubstr("# preshared_key_file = \"FILE\"    fill in"));
  EXPECT_THAT(text, HasSubstr(status_.public_key.base64()));
  const auto without = parse_config(text, folder_.file("cp0.toml"));
  ASSERT_FALSE(without) << "without its key the file is refused";
  EXPECT_THAT(without.error().text, HasSubstr("private_key"));
}

TEST(SettingTexts, rates_are_written_as_short_as_they_are_read) {
  for (const auto& [text, bps] : std::vector<std::pair<std::string, uint64_t>>{{"1", 1},
                                                                               {"999", 999},
                                                                               {"1k", 1000},
                                                                               {"20M", 20'000'000},
                                                                               {"1500k", 1'500'000},
                                                                               {"1000G", 1'000'000'000'000}}) {
    EXPECT_EQ(parse_rate(text), bps);
    EXPECT_EQ(rate_text(bps), text);
  }
  for (const char* none : {"", "0", "0k", "k", "1m", "1 k", "-1", "1.5M", "1001G", "18446744073709551616", "1kk"})
    EXPECT_FALSE(parse_rate(none)) << none;
}

TEST(SettingTexts, names_of_peers_are_short_printable_utf_8) {
  for (const char* fine : {"a", "office 2", "büro", "日本", "\xf0\x9f\x90\x9b"})
    EXPECT_TRUE(valid_peer_name(fine)) << fine;
  EXPECT_TRUE(valid_peer_name(std::string(64, 'a')));
  EXPECT_FALSE(valid_peer_name(std::string(65, 'a')));
  for (const char* wrong : {"", "a\n", "\x1b[2J", "\x7f", "\xff", "\xc3", "\xc0\x80", "\xed\xa0\x80",
                            "\xf4\x90\x80\x80", "\xe0\x80\x80", "\xc2\x9b", "\xe6\x97"})
    EXPECT_FALSE(valid_peer_name(wrong)) << wrong;
}

TEST(SettingTexts, what_a_terminal_gets_holds_nothing_that_it_obeys) {
  EXPECT_EQ(printable_utf8("büro 日本"), "büro 日本");
  EXPECT_EQ(printable_utf8("a\x1b[2J\n\x7f"), "a\\x1b[2J\\x0a\\x7f");
  EXPECT_EQ(printable_utf8("\xff\xc3"), "\\xff\\xc3");
  EXPECT_EQ(printable_utf8("\xc2\x9b"), "\\xc2\\x9b");
}

TEST(SettingTexts, endpoints_by_name_are_names_with_a_letter_at_the_end) {
  for (const char* fine : {"vpn.example.org:5820", "a:1", "_x.a-b.org:65535"}) {
    ASSERT_TRUE(parse_host_endpoint(fine)) << fine;
    EXPECT_EQ(text(*parse_host_endpoint(fine)), fine);
  }
  for (const char* wrong : {"", ":1", "a", "a:", "a:0", "a:65536", "a:x", "a b:1", "10.0.0.300:1", "-a:1", ".a:1",
                            "a..b:1", "[::1]:1", "a.:1"})
    EXPECT_FALSE(parse_host_endpoint(wrong)) << wrong;
}

}  // namespace
}  // namespace centipede
