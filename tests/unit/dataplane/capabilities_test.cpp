// Dropping capabilities, in a thread of its own: they are a thread's.
#include "dataplane/capabilities.h"

#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>
#include <thread>

namespace centipede {
namespace {

// A line of this thread's status, as the kernel tells it.
std::string shown(const std::string& key) {
  std::ifstream file("/proc/thread-self/status");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(key + ":\t")) return line.substr(key.size() + 2);
  return {};
}

std::string mask(unsigned number) {
  std::ostringstream text;
  text.width(16);
  text.fill('0');
  text << std::hex << (uint64_t{1} << number);
  return text.str();
}

class Capabilities : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_capability(CAP_NET_ADMIN) || !has_capability(CAP_SETPCAP)) GTEST_SKIP() << "needs root";
  }
};

TEST_F(Capabilities, what_is_not_kept_is_gone_from_every_set) {
  std::thread([] {
    ASSERT_TRUE(keep_capabilities({CAP_NET_ADMIN}));
    EXPECT_TRUE(has_capability(CAP_NET_ADMIN));
    EXPECT_FALSE(has_capability(CAP_SYS_ADMIN));
    for (const char* set : {"CapPrm", "CapEff", "CapBnd"})
      EXPECT_EQ(shown(set), mask(CAP_NET_ADMIN)) << set;
    for (const char* set : {"CapInh", "CapAmb"})
      EXPECT_EQ(shown(set), std::string(16, '0')) << set;
    EXPECT_EQ(shown("NoNewPrivs"), "1");
  }).join();
  EXPECT_TRUE(has_capability(CAP_SYS_ADMIN)) << "other threads keep theirs";
}

TEST_F(Capabilities, of_the_upper_word_are_kept_and_dropped_alike) {
  std::thread([] {
    ASSERT_TRUE(keep_capabilities({CAP_BPF}));
    EXPECT_EQ(shown("CapEff"), mask(CAP_BPF));
    ASSERT_TRUE(keep_capabilities({}));
    EXPECT_EQ(shown("CapEff"), std::string(16, '0'));
  }).join();
}

TEST_F(Capabilities, do_not_come_back) {
  std::thread([] {
    ASSERT_TRUE(keep_capabilities({}));
    ASSERT_TRUE(keep_capabilities({CAP_NET_ADMIN}));
    EXPECT_FALSE(has_capability(CAP_NET_ADMIN));
  }).join();
}

TEST_F(Capabilities, are_not_gained_by_what_is_executed_as_root) {
  std::thread([] {
    ASSERT_TRUE(keep_capabilities({CAP_NET_ADMIN}));
    const pid_t child = fork();
    if (child == 0) {
      execl("/bin/sh", "sh", "-c", ("grep -qx \"CapEff:.*" + mask(CAP_NET_ADMIN) + "\" /proc/self/status").c_str(),
            nullptr);
      _exit(2);
    }
    int status = -1;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }).join();
}

}  // namespace
}  // namespace centipede
