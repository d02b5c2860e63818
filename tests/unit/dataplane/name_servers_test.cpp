// What is asked of resolvectl and resolvconf, as their manuals have it. Stand-ins on PATH write down how they were
// called; whether the real programs do what their manuals say is not tested here.
#include "dataplane/name_servers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "dataplane/run_program.h"

namespace centipede {
namespace {

using testing::HasSubstr;

class NameServersTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = std::filesystem::temp_directory_path() / "centipede-test-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    path_ = getenv("PATH");
    programs_ = {folder_ + "/resolved-runs", folder_ + "/interface-order"};
    setenv("PATH", (folder_ + ":" + path_).c_str(), 1);
  }
  void TearDown() override {
    setenv("PATH", path_.c_str(), 1);
    std::filesystem::remove_all(folder_);
  }

  void program(const std::string& name, const std::string& text) {
    std::ofstream(folder_ + "/" + name) << "#!/bin/sh\n" << text << "\n";
    chmod((folder_ + "/" + name).c_str(), 0755);
  }
  void recorder(const std::string& name) {
    program(name, "echo " + name + " \"$@\" >>" + folder_ + "/calls; cat >>" + folder_ + "/calls");
  }
  // What has been called since the last time.
  std::string calls() {
    std::ostringstream text;
    text << std::ifstream(folder_ + "/calls").rdbuf();
    std::filesystem::remove(folder_ + "/calls");
    return text.str();
  }
  void touch(const std::string& path) { std::ofstream(path) << "x"; }

  const NameServers all_names_{{*IpAddress::parse("10.10.0.53"), *IpAddress::parse("fd10::53")}, {}};
  const NameServers some_names_{{*IpAddress::parse("10.10.0.53")}, {"corp.example", "lab.example"}};
  std::string folder_;
  std::string path_;
  ResolverPrograms programs_;
};

TEST_F(NameServersTest, resolved_is_told_the_links_servers_and_which_names_are_theirs) {
  recorder("resolvectl");
  recorder("resolvconf");
  touch(programs_.resolved_runs);
  ASSERT_TRUE(set_name_servers("cp0", all_names_, folder_, programs_));
  EXPECT_EQ(calls(),
            "resolvectl dns cp0 10.10.0.53 fd10::53\nresolvectl domain cp0 ~.\nresolvectl default-route cp0 yes\n");
  ASSERT_TRUE(set_name_servers("cp0", some_names_, folder_, programs_));
  EXPECT_EQ(calls(),
            "resolvectl dns cp0 10.10.0.53\nresolvectl domain cp0 corp.example lab.example\n"
            "resolvectl default-route cp0 no\n");
  EXPECT_FALSE(*revert_name_servers("cp0", folder_, programs_));
  EXPECT_EQ(calls(), "") << "it forgets the link's servers with the link";
}

TEST_F(NameServersTest, resolvconf_gets_a_record_which_is_taken_back_once_also_after_a_kill) {
  recorder("resolvconf");
  ASSERT_TRUE(set_name_servers("cp0", all_names_, folder_, programs_));
  EXPECT_EQ(calls(), "resolvconf -a cp0 -m 0 -x\nnameserver 10.10.0.53\nnameserver fd10::53\n");
  EXPECT_TRUE(*revert_name_servers("cp0", folder_, programs_)) << "another process does that, for all it knows";
  EXPECT_EQ(calls(), "resolvconf -d cp0\n");
  EXPECT_FALSE(*revert_name_servers("cp0", folder_, programs_));
  EXPECT_EQ(calls(), "");
  touch(programs_.interface_order);
  ASSERT_TRUE(set_name_servers("cp0", some_names_, folder_, programs_));
  EXPECT_EQ(calls(), "resolvconf -a tun.cp0 -m 0 -x\nnameserver 10.10.0.53\nsearch corp.example lab.example\n");
  ASSERT_TRUE(revert_name_servers("cp0", folder_, programs_));
  EXPECT_EQ(calls(), "resolvconf -d tun.cp0\n");
}

TEST_F(NameServersTest, with_neither_of_them_it_says_what_to_do_and_leaves_nothing) {
  setenv("PATH", folder_.c_str(), 1);
  const auto set = set_name_servers("cp0", all_names_, folder_, programs_);
  ASSERT_FALSE(set);
  EXPECT_EQ(set.error().code, ENOENT);
  EXPECT_THAT(set.error().text, HasSubstr("install one of them, or write `nameserver 10.10.0.53`"));
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/cp0.dns"));
}

TEST_F(NameServersTest, a_program_that_fails_is_quoted_and_what_it_may_have_done_is_taken_back_later) {
  program("resolvconf", "echo 'signature mismatch' >&2; exit 1");
  const auto set = set_name_servers("cp0", all_names_, folder_, programs_);
  ASSERT_FALSE(set);
  EXPECT_EQ(set.error().text, "running resolvconf -a cp0 -m 0 -x: signature mismatch");
  EXPECT_FALSE(revert_name_servers("cp0", folder_, programs_));
  recorder("resolvconf");
  EXPECT_TRUE(revert_name_servers("cp0", folder_, programs_));
  EXPECT_EQ(calls(), "resolvconf -d cp0\n");
}

TEST_F(NameServersTest, a_program_that_does_not_end_is_killed) {
  program("slow", "exec sleep 60");
  const auto before = std::chrono::steady_clock::now();
  const auto outcome = run_program({"slow"}, "", std::chrono::milliseconds(100));
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ETIMEDOUT);
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(10));
}

}  // namespace
}  // namespace centipede
