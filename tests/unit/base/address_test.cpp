#include "base/address.h"

#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <string>

namespace centipede {
namespace {

using namespace std::string_literals;

TEST(IpAddress, ReadsAndPrintsTheUsualForms) {
  const struct {
    std::string text, printed;
    Family family;
  } rows[] = {{"0.0.0.0", "0.0.0.0", Family::v4},
              {"192.0.2.1", "192.0.2.1", Family::v4},
              {"255.255.255.255", "255.255.255.255", Family::v4},
              {"::", "::", Family::v6},
              {"::1", "::1", Family::v6},
              {"2001:DB8:0:0::1", "2001:db8::1", Family::v6},
              {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Family::v6},
              {"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Family::v6},
              {"::ffff:192.0.2.1", "::ffff:192.0.2.1", Family::v6}};
  for (const auto& row : rows) {
    const auto address = IpAddress::parse(row.text);
    ASSERT_TRUE(address) << row.text;
    EXPECT_EQ(address->family(), row.family) << row.text;
    EXPECT_EQ(address->text(), row.printed);
    EXPECT_EQ(IpAddress::parse(address->text()), address) << row.text;
  }
}

TEST(IpAddress, RefusesHostileText) {
  for (const std::string& text : {""s,
                                  " "s,
                                  "."s,
                                  ":"s,
                                  ":::"s,
                                  "1"s,
                                  "1.2.3"s,
                                  "1.2.3.4.5"s,
                                  "256.1.1.1"s,
                                  "1.2.3.4 "s,
                                  " 1.2.3.4"s,
                                  "-1.2.3.4"s,
                                  "0x7f.0.0.1"s,
                                  "1.2.3.4\0"s,
                                  "1.2.3.4\0::"s,
                                  "::1%eth0"s,
                                  "fe80::1%1"s,
                                  "[::1]"s,
                                  "::g"s,
                                  "1::2::3"s,
                                  "12345::"s,
                                  "1:2:3:4:5:6:7"s,
                                  "1:2:3:4:5:6:7:8:9"s,
                                  "localhost"s,
                                  "\xff\xfe"s,
                                  "1.2.3.4/8"s,
                                  std::string(45, '1'),
                                  std::string(46, ':'),
                                  std::string(100'000, ':')}) {
    EXPECT_FALSE(IpAddress::parse(text)) << testing::PrintToString(text.substr(0, 60));
  }
}

TEST(IpAddress, KnowsLinkLocal) {
  for (const auto* text : {"169.254.0.1", "169.254.255.255", "fe80::1", "febf::1"}) {
    EXPECT_TRUE(IpAddress::parse(text)->is_link_local()) << text;
  }
  for (const auto* text : {"169.253.0.1", "170.254.0.1", "fec0::1", "fe7f::1", "::", "0.0.0.0"}) {
    EXPECT_FALSE(IpAddress::parse(text)->is_link_local()) << text;
  }
  EXPECT_FALSE(IpAddress().is_link_local());
}

TEST(IpAddress, AnUnsetAddressIsHarmless) {
  const IpAddress unset;
  EXPECT_FALSE(unset);
  EXPECT_EQ(unset.bits(), 0U);
  EXPECT_TRUE(unset.bytes().empty());
  EXPECT_EQ(unset.text(), "none");
  EXPECT_NE(unset, *IpAddress::parse("0.0.0.0"));
}

TEST(IpAddress, FamiliesWithTheSameBytesDiffer) {
  EXPECT_NE(*IpAddress::parse("0.0.0.0"), *IpAddress::parse("::"));
  EXPECT_NE(*IpAddress::parse("192.0.2.1"), *IpAddress::parse("::ffff:192.0.2.1"));
}

TEST(Endpoint, ReadsAndPrintsBothFamilies) {
  for (const auto* text : {"192.0.2.1:5820", "192.0.2.1:1", "192.0.2.1:65535", "[2001:db8::1]:5820", "[::]:1"}) {
    const auto endpoint = Endpoint::parse(text);
    ASSERT_TRUE(endpoint) << text;
    EXPECT_EQ(endpoint->text(), text);
  }
}

TEST(Endpoint, RefusesHostileText) {
  for (const std::string& text : {""s,
                                  ":"s,
                                  "::"s,
                                  "[]:1"s,
                                  "[:1"s,
                                  "]:1"s,
                                  "192.0.2.1"s,
                                  "192.0.2.1:"s,
                                  "192.0.2.1:0"s,
                                  "192.0.2.1:65536"s,
                                  "192.0.2.1:99999999999999999999"s,
                                  "192.0.2.1:-1"s,
                                  "192.0.2.1:+1"s,
                                  "192.0.2.1: 1"s,
                                  "192.0.2.1:1 "s,
                                  "192.0.2.1:0x1"s,
                                  "192.0.2.1:5820\0"s,
                                  "192.0.2.1\0:5820"s,
                                  "::1:5820"s,
                                  "2001:db8::1"s,
                                  "[192.0.2.1]:5820"s,
                                  "[::1]5820"s,
                                  "[::1]"s,
                                  "[[::1]]:5820"s,
                                  "[::1:5820"s,
                                  "::1]:5820"s,
                                  "[fe80::1%eth0]:5820"s,
                                  "example.org:5820"s,
                                  std::string(100'000, '['),
                                  std::string(100'000, ':')}) {
    EXPECT_FALSE(Endpoint::parse(text)) << testing::PrintToString(text.substr(0, 60));
  }
}

TEST(Endpoint, SurvivesTheSocketForms) {
  for (const auto* text : {"192.0.2.1:5820", "[2001:db8::1]:5820"}) {
    for (const bool as_v6 : {false, true}) {
      const auto endpoint = *Endpoint::parse(text);
      sockaddr_storage storage{};
      const size_t size = endpoint.to_sockaddr(storage, as_v6);
      const bool v6 = as_v6 || endpoint.address.is_v6();
      EXPECT_EQ(storage.ss_family, v6 ? AF_INET6 : AF_INET);
      EXPECT_EQ(size, v6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in));
      // An IPv4-mapped address comes back as plain IPv4, so that one host never has two names.
      EXPECT_EQ(Endpoint::from_sockaddr(reinterpret_cast<const sockaddr*>(&storage)), endpoint) << text;
    }
  }
}

TEST(Endpoint, OtherSocketFamiliesAreNoEndpoint) {
  sockaddr_storage storage{};
  EXPECT_FALSE(Endpoint::from_sockaddr(reinterpret_cast<const sockaddr*>(&storage)));
  storage.ss_family = AF_UNIX;
  EXPECT_FALSE(Endpoint::from_sockaddr(reinterpret_cast<const sockaddr*>(&storage)));
}

TEST(Prefix, ReadsAndPrints) {
  const struct {
    std::string text, printed, network;
  } rows[] = {{"10.1.2.3/8", "10.1.2.3/8", "10.0.0.0/8"},
              {"10.1.2.3", "10.1.2.3/32", "10.1.2.3/32"},
              {"10.1.2.255/25", "10.1.2.255/25", "10.1.2.128/25"},
              {"10.1.2.3/0", "10.1.2.3/0", "0.0.0.0/0"},
              {"10.1.2.255/31", "10.1.2.255/31", "10.1.2.254/31"},
              {"fd00::1/8", "fd00::1/8", "fd00::/8"},
              {"fdff::1/7", "fdff::1/7", "fc00::/7"},
              {"::1", "::1/128", "::1/128"},
              {"ffff::/0", "ffff::/0", "::/0"},
              {"ffff::1/127", "ffff::1/127", "ffff::/127"}};
  for (const auto& row : rows) {
    const auto prefix = Prefix::parse(row.text);
    ASSERT_TRUE(prefix) << row.text;
    EXPECT_EQ(prefix->text(), row.printed);
    EXPECT_EQ(prefix->network().text(), row.network);
  }
}

TEST(Prefix, RefusesHostileText) {
  for (const std::string& text :
       {""s, "/"s, "/8"s, "10.0.0.0/"s, "10.0.0.0/33"s, "10.0.0.0/-1"s, "10.0.0.0/+8"s, "10.0.0.0/8 "s, "10.0.0.0/ 8"s,
        "10.0.0.0/8/8"s, "10.0.0.0/255.0.0.0"s, "10.0.0.0/4294967304"s, "10.0.0.0/8\0"s, "10.0.0.0\0/8"s, "10/8"s,
        "::/129"s, "::/128x"s, "[::]/8"s, std::string(100'000, '/')}) {
    EXPECT_FALSE(Prefix::parse(text)) << testing::PrintToString(text.substr(0, 60));
  }
}

TEST(Prefix, ContainsExactlyItsOwnAddresses) {
  const struct {
    const char* prefix;
    const char* address;
    bool contained;
  } rows[] = {{"10.0.0.0/8", "10.255.255.255", true},
              {"10.9.9.9/8", "10.0.0.0", true},
              {"10.0.0.0/8", "11.0.0.0", false},
              {"10.0.0.128/25", "10.0.0.127", false},
              {"10.0.0.1/32", "10.0.0.1", true},
              {"10.0.0.1/32", "10.0.0.0", false},
              {"0.0.0.0/0", "255.255.255.255", true},
              {"0.0.0.0/0", "::", false},
              {"::/0", "0.0.0.0", false},
              {"::/0", "ffff::1", true},
              {"fc00::/7", "fdff::1", true},
              {"fc00::/7", "fe00::1", false},
              {"2001:db8::/127", "2001:db8::1", true},
              {"2001:db8::/127", "2001:db8::2", false}};
  for (const auto& row : rows) {
    EXPECT_EQ(Prefix::parse(row.prefix)->contains(*IpAddress::parse(row.address)), row.contained)
        << row.prefix << " " << row.address;
  }
}

TEST(Hash, EqualEndpointsHashEqual) {
  const auto one = *Endpoint::parse("192.0.2.1:5820");
  const auto same = *Endpoint::parse("192.0.2.1:5820");
  const auto other = *Endpoint::parse("192.0.2.1:5821");
  EXPECT_EQ(std::hash<Endpoint>{}(one), std::hash<Endpoint>{}(same));
  EXPECT_NE(std::hash<Endpoint>{}(one), std::hash<Endpoint>{}(other));
}

}  // namespace
}  // namespace centipede
