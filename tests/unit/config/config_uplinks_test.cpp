// Uplinks, name servers and search domains of the configuration file.
#include "config_fixture.h"

namespace centipede {
namespace {

TEST_F(ConfigTest, uplinks_must_be_device_names_and_differ) {
  for (const char* name : {"", "sixteen-letters!", "a/b", "a b", "a\\tb", "cp0", "eth%d"}) {
    refused(interface_text("uplinks = [\"" + std::string(name) + "\"]\n"), 3, {});
  }
  refused(interface_text("uplinks = [\"eth0\", \"eth1\", \"eth0\"]\n"), 3, {"eth0", "twice"});
  EXPECT_TRUE(parse(interface_text("uplinks = [\"fifteen-letters\"]\n")));
}

TEST_F(ConfigTest, sections_of_uplinks_are_refused_with_the_reason) {
  const auto section = [](const std::string& lines) { return interface_text("[[uplink]]\n" + lines); };
  refused(section(""), 3, {"no name"});
  refused(section("name = \"cp0\"\n"), 4, {"the tunnel itself"});
  refused(section("name = \"sixteen-letters!\"\n"), 4, {"no name of a device"});
  refused(section("name = \"a\"\n[[uplink]]\nname = \"a\"\n"), 6, {"already"});
  refused(section("name = \"a\"\npriority = -1\n"), 5, {"priority", "0 to 4294967295"});
  refused(section("name = \"a\"\npriority = 4294967296\n"), 5, {"priority"});
  refused(section("name = \"a\"\nmetered = 1\n"), 5, {"metered", "true or false"});
  refused(section("name = \"a\"\nmeterd = true\n"), 5, {"did you mean \"metered\""});
  for (const char* rate : {"0", "-1", "\"\"", "\"M\"", "\"20m\"", "\"20 M\"", "\"1001G\"", "\"-5M\"", "\"2.5M\"",
                           "\"99999999999999999999\"", "1000000000001"}) {
    refused(section("name = \"a\"\nrate = " + std::string(rate) + "\n"), 5, {"rate", "20M"});
  }
  refused(section("name = \"a\"\nrate = true\n"), 5, {"rate", "bits a second"});
  refused("uplink = 5\n" + interface_text(), 1, {"[[uplink]]"});
  refused("uplink = [5]\n" + interface_text(), 1, {"[[uplink]]"});
  std::string many;
  for (int i = 0; i < 17; ++i)
    many += "[[uplink]]\nname = \"eth" + std::to_string(i) + "\"\n";
  refused(interface_text() + many, 36, {"more than 16 uplinks"});
  EXPECT_THAT(parse(interface_text("uplinks = [\"a\"]\nexclude_uplinks = [\"a\"]\n"))->warnings.at(0),
              HasSubstr("cp0.toml:4:20: \"a\" is among the uplinks as well"));
  refused(interface_text("exclude_uplinks = [\"a*\", \"a*\"]\n"), 3, {"twice"});
  refused(interface_text("exclude_uplinks = [\"a/b\"]\n"), 3, {"no name of a device"});
  std::string list = "exclude_uplinks = [";
  for (int i = 0; i < 257; ++i)
    list += "\"a" + std::to_string(i) + "\",";
  refused(interface_text(list + "]\n"), 3, {"more than 256"});
}

TEST_F(ConfigTest, name_servers_are_addresses_and_search_domains_names) {
  for (const char* server : {"", "dns.example", "10.0.0.53:53", "0.0.0.0", "ff02::1", "fe80::1"})
    refused(interface_text("dns = [\"" + std::string(server) + "\"]\n"), 3, {"name server"});
  refused(interface_text("dns = [\"10.0.0.1\", \"10.0.0.1\"]\n"), 3, {"twice"});
  for (const char* domain : {"", "a b", "-a", ".a", "10.0.0.1", "a\\nb", "a;b"})
    refused(interface_text("dns = [\"10.0.0.1\"]\ndns_search = [\"" + std::string(domain) + "\"]\n"), 4, {"no domain"});
  refused(interface_text("dns_search = [\"a\"]\n"), 3, {"without dns"});
}

}  // namespace
}  // namespace centipede
