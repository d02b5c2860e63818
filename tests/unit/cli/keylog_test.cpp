// `centipede keylog` with a fake tunnel in the daemon's place.
#include "cli/keylog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "../api/fake_tunnel.h"
#include "api/keylog.h"
#include "base/small_file.h"
#include "temporary_folder.h"

namespace centipede::cli {
namespace {

using testing::HasSubstr;

class KeylogTest : public testing::Test {
 protected:
  KeylogTest() {
    auto started = api::Server::start(tunnel_, folder_.file("cp0.sock"));
    EXPECT_TRUE(started) << started.error().text;
    server_ = std::move(*started);
  }

  int run(KeylogOptions options) {
    out_.str("");
    err_.str("");
    Host host{
        .in = in_, .out = out_, .err = err_, .start_tunnel = {}, .missing_privilege = {}, .protect_memory = [this] {
          protected_ = true;
        }};
    host.runtime_directory = folder_.path();
    return keylog(host, options);
  }

  std::string keys() { return api::keylog_text(*tunnel_.session_keys()); }
  std::string content(const std::string& path) { return read_small_file(path, 1 << 20)->content.text(); }

  TemporaryFolder folder_;
  api::FakeTunnel tunnel_;
  std::unique_ptr<api::Server> server_;
  std::istringstream in_;
  std::ostringstream out_;
  std::ostringstream err_;
  bool protected_ = false;
};

TEST_F(KeylogTest, keys_are_printed_with_a_warning_beside_them_and_kept_out_of_core_files) {
  tunnel_.sessions = 2;
  EXPECT_EQ(run({}), done) << err_.str();
  EXPECT_EQ(out_.str(), keys());
  EXPECT_THAT(err_.str(), HasSubstr("warning"));
  EXPECT_TRUE(protected_);
}

TEST_F(KeylogTest, a_tunnel_that_does_not_allow_it_gives_nothing_and_no_file_is_made) {
  EXPECT_EQ(run({.output = folder_.file("keys")}), failed);
  EXPECT_THAT(err_.str(), HasSubstr("--allow-keylog"));
  EXPECT_EQ(out_.str(), "");
  EXPECT_FALSE(std::filesystem::exists(folder_.file("keys")));
}

TEST_F(KeylogTest, a_tunnel_that_does_not_run_is_an_error_that_says_how_to_start_it) {
  EXPECT_EQ(run({.interface = "cp1"}), failed);
  EXPECT_THAT(err_.str(), HasSubstr("centipede attach -i cp1"));
  EXPECT_EQ(run({.interface = "../cp1"}), wrong_usage);
}

TEST_F(KeylogTest, a_file_is_0600_whatever_the_umask_and_is_added_to) {
  tunnel_.sessions = 1;
  const std::string path = folder_.file("keys");
  const mode_t before = umask(0);
  EXPECT_EQ(run({.output = path}), done) << err_.str();
  umask(before);
  struct stat state{};
  ASSERT_EQ(stat(path.c_str(), &state), 0);
  EXPECT_EQ(state.st_mode & 07777, 0600U);
  EXPECT_EQ(content(path), keys());
  EXPECT_EQ(run({.output = path}), done) << err_.str();
  EXPECT_EQ(content(path), keys() + keys());
  EXPECT_EQ(out_.str(), "");
}

TEST_F(KeylogTest, a_file_that_others_could_read_and_what_is_no_file_are_refused_and_stay_as_they_are) {
  tunnel_.sessions = 1;
  const std::string open = folder_.file("open");
  std::ofstream(open) << "mine\n";
  std::filesystem::create_symlink(folder_.file("elsewhere"), folder_.file("link"));
  ASSERT_EQ(mkfifo(folder_.file("fifo").c_str(), 0600), 0);
  for (const mode_t mode : {0640U, 0604U, 0620U}) {
    chmod(open.c_str(), mode);
    EXPECT_EQ(run({.output = open}), failed);
    EXPECT_THAT(err_.str(), HasSubstr("chmod 600"));
  }
  EXPECT_EQ(content(open), "mine\n");
  for (const char* name : {"link", "fifo", "no/such", "."}) {
    EXPECT_EQ(run({.output = folder_.file(name)}), failed) << name;
    EXPECT_THAT(err_.str(), HasSubstr(name));
  }
  EXPECT_FALSE(std::filesystem::exists(folder_.file("elsewhere")));
}

TEST_F(KeylogTest, following_adds_each_new_session_once_and_ends_with_the_tunnel) {
  tunnel_.sessions = 1;
  const std::string path = folder_.file("keys");
  int code = -1;
  std::thread following([&] { code = run({.output = path, .follow = true}); });
  const auto lines = [&] { return std::filesystem::exists(path) ? std::ranges::count(content(path), '\n') : 0; };
  const auto wait_for_lines = [&](ptrdiff_t count) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (lines() < count && std::chrono::steady_clock::now() < deadline)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
  };
  wait_for_lines(3);
  tunnel_.sessions = 3;
  wait_for_lines(7);
  server_.reset();
  following.join();
  EXPECT_EQ(code, done);
  EXPECT_THAT(err_.str(), HasSubstr("cp0 has ended"));
  EXPECT_EQ(content(path), keys());
}

// That it could not be written: standard_output_test.cpp.
TEST_F(KeylogTest, following_ends_when_nobody_takes_the_keys) {
  tunnel_.sessions = 1;
  out_.setstate(std::ios::badbit);
  EXPECT_EQ(run({.follow = true}), done);
}

}  // namespace
}  // namespace centipede::cli
