// WireGuard's configurations into ours: what carries over, what is told, and whatever else a file may hold.
#include "config/wireguard_import.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "../../rounds.h"
#include "base/small_file.h"
#include "config/config.h"
#include "temporary_folder.h"

namespace centipede {
namespace {

using testing::HasSubstr;

const std::string wireguard_key = "cGxhaW5seSBhIGtleSBvZiBXaXJlR3VhcmQncyAtLS0=";
const std::string secret_key = "c2VjcmV0IGtleSBvZiBXaXJlR3VhcmQncyBvd24uLi4=";

const std::string everything = R"([Interface]
# the road warrior
PrivateKey = )" + secret_key + R"(
Address = 10.7.0.2/24, fd07::2/64
Address = 10.8.0.1
ListenPort = 51820
DNS = 10.7.0.1, corp.example   # the office's
MTU = 1380
Table = off
FwMark = 0xca6c
PreUp = modprobe x
PostUp = iptables -A FORWARD -i %i -j ACCEPT
PreDown = true
PostDown = true
SaveConfig = true
Jc = 4

[Peer]
PublicKey = )" + wireguard_key +
                               R"(
PresharedKey = )" + wireguard_key +
                               R"(
AllowedIPs = 10.7.0.1/32, 192.168.7.0/24
Endpoint = vpn.example.org:51820
PersistentKeepalive = 25

[peer]
publickey=)" + secret_key + R"(
allowedips = 192.168.7.0/24, fd07::/64, 10.7.0.9/16
endpoint = [2001:db8::1]:51821
)";

Result<Imported> import(const std::string& text) {
  return import_wireguard(text, "wg0.conf", "cp0");
}

class WireguardImportTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(crypto::initialise());
    ASSERT_TRUE(write_new_secret_file(folder_.file("cp0.key"), crypto::Identity::generate().private_base64()));
  }

  // As its reader is told to.
  [[nodiscard]] static std::string filled_in(std::string text) {
    const std::string gap = "FILL IN what `centipede pubkey` prints on the other side";
    for (size_t at = text.find(gap); at != std::string::npos; at = text.find(gap))
      text.replace(at, gap.size(), crypto::Identity::generate().public_key().base64());
    return text;
  }
  [[nodiscard]] Result<LoadedConfig> load(const std::string& text) const {
    return parse_config(filled_in(text), folder_.file("cp0.toml"));
  }

  static void refused(const std::string& text, int line, const std::string& word) {
    const auto imported = import(text);
    ASSERT_FALSE(imported) << text;
    EXPECT_THAT(imported.error().text, testing::StartsWith("wg0.conf:" + std::to_string(line) + ": ")) << text;
    EXPECT_THAT(imported.error().text, HasSubstr(word)) << text;
    EXPECT_THAT(imported.error().text, HasSubstr("; ")) << "says what to do";
    EXPECT_EQ(imported.error().code, EINVAL);
  }

  TemporaryFolder folder_;
};

TEST_F(WireguardImportTest, what_carries_over_is_what_the_tunnel_is_then_configured_with) {
  const auto imported = import(everything);
  ASSERT_TRUE(imported) << imported.error().text;
  const auto loaded = load(imported->config);
  ASSERT_TRUE(loaded) << loaded.error().text << "\n" << imported->config;
  const TunnelConfig& tunnel = loaded->tunnel;
  EXPECT_EQ(tunnel.addresses,
            (std::vector{*Prefix::parse("10.7.0.2/24"), *Prefix::parse("fd07::2/64"), *Prefix::parse("10.8.0.1/32")}));
  EXPECT_EQ(tunnel.listen_port, 51820);
  EXPECT_EQ(tunnel.mtu, 1380U);
  EXPECT_FALSE(tunnel.routes);
  EXPECT_EQ(tunnel.dns, std::vector{*IpAddress::parse("10.7.0.1")});
  EXPECT_EQ(tunnel.dns_search, std::vector<std::string>{"corp.example"});
  ASSERT_EQ(tunnel.live.peers.size(), 2U);
  const auto& first = tunnel.live.peers[0];
  EXPECT_EQ(first.allowed_ips, std::vector{*Prefix::parse("10.7.0.1/32")}) << "the last peer has 192.168.7.0/24";
  EXPECT_EQ(first.host_endpoints, (std::vector<control::HostEndpoint>{{"vpn.example.org", 51820}}));
  ASSERT_TRUE(first.preshared_key);
  EXPECT_TRUE(first.preshared_key->equals(*crypto::secret_from_base64(wireguard_key)));
  const auto& second = tunnel.live.peers[1];
  EXPECT_EQ(second.allowed_ips, (std::vector{*Prefix::parse("192.168.7.0/24"), *Prefix::parse("fd07::/64"),
                                             *Prefix::parse("10.7.0.0/16")}));
  EXPECT_EQ(second.endpoints, std::vector{*Endpoint::parse("[2001:db8::1]:51821")});
  EXPECT_FALSE(second.preshared_key);
}

TEST_F(WireguardImportTest, every_line_that_did_not_carry_over_is_told_with_its_number_and_why) {
  const auto imported = import(everything);
  ASSERT_TRUE(imported) << imported.error().text;
  const std::vector<std::pair<int, std::string>> told{{3, "PrivateKey: WireGuard's keys are of another kind"},
                                                      {10, "FwMark: not needed"},
                                                      {11, "PreUp: not run"},
                                                      {12, "PostUp: not run"},
                                                      {13, "PreDown: not run"},
                                                      {14, "PostDown: not run"},
                                                      {15, "SaveConfig: "},
                                                      {16, "Jc: not known"},
                                                      {19, "PublicKey: WireGuard's keys are of another kind"},
                                                      {23, "PersistentKeepalive: not needed"},
                                                      {26, "publickey: WireGuard's keys are of another kind"},
                                                      {18, "AllowedIPs: 192.168.7.0/24 goes to the peer of line 25"}};
  ASSERT_EQ(imported->notes.size(), told.size()) << testing::PrintToString(imported->notes);
  for (size_t i = 0; i < told.size(); ++i) {
    EXPECT_THAT(imported->notes[i],
                testing::StartsWith("wg0.conf:" + std::to_string(told[i].first) + ": " + told[i].second));
  }
  for (const auto& note : imported->notes)
    EXPECT_THAT(note, testing::Not(HasSubstr(secret_key)));
  EXPECT_THAT(imported->config, testing::Not(HasSubstr("PrivateKey"))) << "WireGuard's own private key goes nowhere";
  EXPECT_THAT(import("[Interface]\nTable = 200\n")->notes.at(0), HasSubstr("wg0.conf:2: Table: "));
  EXPECT_THAT(import("[Interface]\nMTU = 576\n")->notes.at(0), HasSubstr("wg0.conf:2: MTU: "));
  EXPECT_THAT(import("[Interface]\nListenPort = 0\n")->notes.at(0), HasSubstr("wg0.conf:2: ListenPort: "));
  EXPECT_THAT(import("[Interface]\nDNS = corp.example\n")->notes.at(0), HasSubstr("wg0.conf:2: DNS: "));
  const std::string twice = "[Peer]\nPublicKey = " + wireguard_key + "\n";
  EXPECT_THAT(import(twice + twice)->notes.at(1), HasSubstr("wg0.conf:4: PublicKey: the peer of line 1"));
}

TEST_F(WireguardImportTest, values_that_make_no_sense_are_one_clear_error) {
  const std::string top = "[Interface]\n";
  refused("PrivateKey = x\n", 1, "before any section");
  refused("[Interfaces]\n", 1, "section");
  refused(top + "nonsense\n", 2, "neither");
  refused(top + "= 5\n", 2, "neither");
  refused(top + "Address = 10.0.0.1/33\n", 2, "Address");
  refused(top + "Address = 224.0.0.1/24\n", 2, "no address of a host");
  refused(top + "ListenPort = 65536\n", 2, "ListenPort");
  refused(top + "ListenPort = off\n", 2, "ListenPort");
  refused(top + "MTU = big\n", 2, "MTU");
  refused(top + "DNS = 10.0.0.1:53\n", 2, "DNS");
  const std::string peer = "[Interface]\n[Peer]\n";
  refused(peer + "PublicKey = short\n", 3, "no key");
  refused(peer + "PresharedKey = short\n", 3, "no key");
  refused(peer + "AllowedIPs = 10.0.0.0/40\n", 3, "no network");
  refused(peer + "Endpoint = 10.0.0.1\n", 3, "no endpoint");
  refused(peer + "Endpoint = 0.0.0.0:5\n", 3, "no endpoint");
  refused(peer + std::string("Endpoint = a\0b:5\n", 17), 3, "");
  EXPECT_THAT(import("").error().text, HasSubstr("no [Interface]"));
  EXPECT_THAT(import("# only a comment\n").error().text, HasSubstr("no [Interface]"));
}

TEST_F(WireguardImportTest, any_file_gives_an_error_of_one_line_or_a_configuration_that_can_be_read) {
  const std::vector<std::string> tokens{"[Peer]\n", "[Interface]\n",      "=",     ",",         "#",    "\"",  "\\",
                                        "\xff",     std::string(1, '\0'), "\r\n",  "0.0.0.0/0", "::/0", "off", "65536",
                                        "-1",       "Endpoint = ",        "DNS = "};
  const auto one_line = [](const std::string& text) {
    return std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
  };
  std::mt19937 random(7);
  uint64_t good = 0;
  for (uint64_t round = 0; round < test::rounds(20'000); ++round) {
    std::string text = everything;
    for (uint32_t changes = 1 + random() % 4; changes > 0; --changes) {
      const size_t at = random() % (text.size() + 1);
      switch (random() % 5) {
        case 0:
          if (at < text.size()) text[at] = static_cast<char>(random());
          break;
        case 1:
          text.erase(at, random() % 30);
          break;
        case 2:
          text.insert(random() % (text.size() + 1), text.substr(at, random() % 60));
          break;
        case 3:
          text.insert(at, tokens[random() % tokens.size()]);
          break;
        default:
          if (random() % 8 == 0) text.resize(at);
          break;
      }
    }
    const auto imported = import(text);
    if (!imported) {
      ASSERT_TRUE(one_line(imported.error().text)) << text;
      ASSERT_THAT(imported.error().text, testing::StartsWith("wg0.conf:"));
      continue;
    }
    for (const auto& note : imported->notes)
      ASSERT_TRUE(one_line(note)) << text;
    const auto loaded = load(imported->config);
    ASSERT_TRUE(loaded) << loaded.error().text << "\n" << text << "\n" << imported->config;
    ++good;
  }
  EXPECT_GT(good, test::rounds(1000));
  EXPECT_LT(good, test::rounds(19'000));
}

}  // namespace
}  // namespace centipede
