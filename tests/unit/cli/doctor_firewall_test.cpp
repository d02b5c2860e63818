// Rulesets as people write them, loaded into a network namespace of the test's own and read back as the doctor does.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include <random>
#include <thread>

#include "cli/doctor.h"

namespace centipede::cli {
namespace {

using testing::HasSubstr;

constexpr uint16_t port = 5820;

// What the doctor says with this ruleset in force.
std::vector<Finding> examine(const std::string& ruleset, const std::vector<std::string>& uplinks = {},
                             bool calls_all_peers = false) {
  std::vector<Finding> findings;
  std::thread([&] {
    ASSERT_EQ(unshare(CLONE_NEWNET), 0);
    FILE* nft = popen("nft -f -", "w");
    ASSERT_NE(nft, nullptr);
    fputs(ruleset.c_str(), nft);
    ASSERT_EQ(pclose(nft), 0) << ruleset;
    findings = examine_firewall(port, uplinks, calls_all_peers);
  }).join();
  return findings;
}

std::string input_chain(const std::string& rules, const std::string& policy = "drop") {
  return "table inet filter { chain input { type filter hook input priority 0; policy " + policy + ";\n" + rules +
         "\n}\n}";
}

class DoctorFirewall : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root: makes network namespaces";
  }
};

TEST_F(DoctorFirewall, rulesets_that_let_the_port_in_are_fine) {
  for (const std::string& rules :
       {std::string("udp dport 5820 accept"), std::string("udp dport { 53, 5000-6000 } accept"),
        std::string(
            "ct state established,related accept\nct state invalid drop\niif lo accept\nmeta l4proto udp accept"),
        std::string("tcp dport 5820 drop\nip protocol icmp drop\nct state new udp dport 5820 counter accept"),
        std::string("ct state vmap { established : accept, related : accept, invalid : drop }\nth dport 5820 accept"),
        std::string("udp dport != 5820 drop\naccept")}) {
    const auto findings = examine(input_chain(rules));
    ASSERT_EQ(findings.size(), 1U);
    EXPECT_EQ(findings[0].level, Level::ok) << rules << "\n" << findings[0].finding;
    EXPECT_THAT(findings[0].finding, HasSubstr("inet filter input lets UDP 5820 in")) << rules;
  }
  EXPECT_EQ(examine("").at(0).finding, "no rules of nftables stand in the way");
  EXPECT_EQ(examine("table inet t { chain out { type filter hook output priority 0; policy drop;\n}\n}").at(0).level,
            Level::ok)
      << "packets of this host's own are no matter here";
}

TEST_F(DoctorFirewall, rulesets_that_drop_the_port_are_told_with_the_rule_and_the_remedy) {
  struct Case {
    std::string rules;
    std::string policy;
    std::string by;
  };
  for (const Case& one :
       std::vector<Case>{{"ct state established,related accept\ntcp dport 22 accept", "drop", "its policy"},
                         {"udp dport 5000-6000 drop", "accept", "rule "},
                         {"tcp dport 5820 accept\nudp dport 5821 accept\nreject", "accept", "rule "},
                         {"iifname lo accept\nip protocol udp drop\nudp dport 5820 accept", "accept", "rule "}}) {
    const auto finding = examine(input_chain(one.rules, one.policy)).at(0);
    EXPECT_EQ(finding.level, Level::warn) << one.rules;
    EXPECT_THAT(finding.finding, HasSubstr("inet filter input drops UDP 5820 (" + one.by)) << one.rules;
    EXPECT_EQ(finding.advice, "nft insert rule inet filter input udp dport 5820 accept");
  }
}

TEST_F(DoctorFirewall, the_remedy_it_names_works) {
  const std::string rules = input_chain("tcp dport 22 accept");
  const std::string advice = examine(rules).at(0).advice;
  ASSERT_TRUE(advice.starts_with("nft "));
  EXPECT_EQ(examine(rules + "\n" + advice.substr(4)).at(0).level, Level::ok);
}

TEST_F(DoctorFirewall, other_chains_are_followed) {
  const std::string table =
      "table inet filter {\n"
      "chain vpn { udp dport 5820 accept;\n}\n"
      "chain early { udp dport 5820 return; drop;\n}\n"
      "chain input { type filter hook input priority 0; policy drop; jump early; jump vpn;\n}\n}";
  EXPECT_EQ(examine(table).at(0).level, Level::ok);
  const std::string without =
      "table inet filter { chain vpn { tcp dport 5820 accept;\n}\n"
      "chain input { type filter hook input priority 0; policy drop; goto vpn; accept;\n}\n}";
  EXPECT_EQ(examine(without).at(0).level, Level::warn) << "goto does not come back";
}

TEST_F(DoctorFirewall, uplinks_are_told_apart) {
  const auto findings =
      examine(input_chain("iifname { \"eth0\", \"wl*\" } udp dport 5820 accept"), {"eth0", "wlan0", "eth1"});
  ASSERT_EQ(findings.size(), 3U);
  EXPECT_EQ(findings[0].level, Level::ok);
  EXPECT_EQ(findings[1].level, Level::ok);
  EXPECT_EQ(findings[2].level, Level::warn);
  EXPECT_THAT(findings[2].finding, HasSubstr("on eth1"));
}

TEST_F(DoctorFirewall, what_depends_on_things_unknown_is_said_to) {
  const auto finding = examine(input_chain("ip saddr 203.0.113.0/24 udp dport 5820 accept")).at(0);
  EXPECT_EQ(finding.level, Level::ok);
  EXPECT_THAT(finding.finding, HasSubstr("under conditions: rule "));
}

TEST_F(DoctorFirewall, who_calls_all_its_peers_needs_answers_only) {
  const std::string rules = input_chain("ct state established accept");
  EXPECT_EQ(examine(rules, {}, true).at(0).level, Level::ok);
  EXPECT_EQ(examine(rules, {}, false).at(0).level, Level::warn);
  EXPECT_EQ(examine(input_chain("tcp dport 22 accept"), {}, true).at(0).level, Level::warn);
}

TEST(DoctorFirewallText, whatever_the_text_is_there_is_a_finding) {
  const std::string genuine =
      R"({"nftables":[{"chain":{"family":"inet","table":"t","name":"c","hook":"input","type":"filter","policy":"drop"}},)"
      R"({"rule":{"family":"inet","table":"t","chain":"c","handle":3,"expr":[{"match":{"op":"==","left":{"payload":)"
      R"({"protocol":"udp","field":"dport"}},"right":{"set":[1,{"range":[5,9]}]}}},{"jump":{"target":"c"}},)"
      R"({"vmap":{"key":{"ct":{"key":"state"}},"data":{"set":[["new",{"drop":null}]]}}},{"accept":null}]}}]})";
  EXPECT_EQ(judge_firewall(genuine, 7, {}, false).at(0).level, Level::warn) << "by its policy, after a chain of itself";
  for (const std::string& text :
       {std::string(), std::string("[]"), std::string("{}"), std::string(R"({"nftables":5})")})
    EXPECT_EQ(judge_firewall(text, port, {}, false).at(0).level, Level::warn) << text;
  std::mt19937 random(1);
  for (int i = 0; i < 3000; ++i) {
    std::string text = genuine;
    for (int changes = 0; changes < 3; ++changes)
      text[random() % text.size()] = "{}[]\",:0n"[random() % 9];
    EXPECT_FALSE(judge_firewall(text, port, {"eth0"}, true).empty());
  }
}

}  // namespace
}  // namespace centipede::cli
