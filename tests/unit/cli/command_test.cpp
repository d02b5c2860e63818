// The commands as a user types them, with a fake tunnel in the daemon's place and folders of the test's own.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "api/tunnel_lock.h"
#include "command_fixture.h"

namespace centipede::cli {
namespace {

using testing::HasSubstr;

TEST_F(CommandTest, wrong_usage_is_2_and_says_so_and_help_and_version_are_0) {
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{},
                                                    {"no-such-command"},
                                                    {"attach", "--no-such-option"},
                                                    {"status", "eth0"},
                                                    {"genkey", "extra"},
                                                    {"attach", "-i"}}) {
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.code, 2);
    EXPECT_THAT(outcome.err, HasSubstr("--help"));
    EXPECT_TRUE(outcome.out.empty());
  }
  EXPECT_THAT(run({"bogus"}).err, HasSubstr("\"bogus\""));
  const Outcome version = run({"--version"});
  EXPECT_EQ(version.code, 0);
  EXPECT_THAT(version.out, testing::StartsWith("centipede 0."));
  const Outcome help = run({"--help"});
  EXPECT_EQ(help.code, 0);
  for (const char* command : {"genkey", "pubkey", "genpsk", "attach", "detach", "status", "doctor", "First steps"}) {
    EXPECT_THAT(help.out, HasSubstr(command));
  }
  EXPECT_THAT(run({"attach", "--help"}).out, HasSubstr("--interface"));
}

TEST_F(CommandTest, keys_are_made_and_their_public_half_is_printed) {
  const Outcome made = run({"genkey"});
  EXPECT_EQ(made.code, 0);
  ASSERT_EQ(made.out.size(), 45U);
  EXPECT_NE(made.out, run({"genkey"}).out);
  const Outcome from_input = run({"pubkey"}, made.out);
  EXPECT_EQ(from_input.code, 0);
  EXPECT_TRUE(crypto::PublicKey::from_base64(from_input.out.substr(0, 44)));
  EXPECT_EQ(run({"pubkey", write("key", made.out)}).out, from_input.out);
  EXPECT_EQ(run({"genpsk"}).out.size(), 45U);
  EXPECT_TRUE(crypto::secret_from_base64(run({"genpsk"}).out.substr(0, 44)));
}

TEST_F(CommandTest, a_key_file_is_0600_whatever_the_umask_and_never_overwritten) {
  const mode_t before = umask(0);
  const std::string path = folder_.file("own.key");
  const Outcome made = run({"genkey", "-o", path});
  umask(before);
  EXPECT_EQ(made.code, 0);
  EXPECT_EQ(made.out, run({"pubkey", path}).out) << "the public half";
  struct stat state{};
  ASSERT_EQ(stat(path.c_str(), &state), 0);
  EXPECT_EQ(state.st_mode & 0777, 0600U);
  EXPECT_EQ(state.st_size, 45);
  for (const char* command : {"genkey", "genpsk"}) {
    const Outcome again = run({command, "-o", path});
    EXPECT_EQ(again.code, 1);
    EXPECT_THAT(again.err, HasSubstr("never overwritten"));
  }
  EXPECT_EQ(run({"pubkey", path}).code, 0) << "still the first key";
  EXPECT_EQ(run({"genkey", "-o", folder_.file("no/such")}).code, 1);
}

TEST_F(CommandTest, pubkey_refuses_what_is_no_key) {
  for (const std::string& input :
       {std::string(), std::string("short\n"), std::string(100000, 'A'), std::string(44, '\0')}) {
    const Outcome outcome = run({"pubkey"}, input);
    EXPECT_EQ(outcome.code, 2);
    EXPECT_THAT(outcome.err, HasSubstr("genkey"));
    EXPECT_TRUE(outcome.out.empty());
  }
  EXPECT_EQ(run({"pubkey", folder_.file("missing")}).code, 1);
  EXPECT_EQ(run({"pubkey", folder_.path()}).code, 1);
}

TEST_F(CommandTest, attach_without_privileges_names_them) {
  missing_privilege_ = "CAP_NET_ADMIN";
  const Outcome outcome = run({"attach", "eth0"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("CAP_NET_ADMIN"));
  EXPECT_THAT(outcome.err, HasSubstr("sudo"));
}

TEST_F(CommandTest, attach_with_a_wrong_or_missing_configuration_is_2) {
  EXPECT_EQ(run({"attach", "eth0"}).code, 2);
  EXPECT_THAT(run({"attach", "eth0"}).err, HasSubstr(folder_.file("etc") + "/cp0.toml"));
  EXPECT_THAT(run({"attach", "eth0", "-i", "cp5"}).err, HasSubstr("/cp5.toml"));
  write("etc/cp0.toml", config_ + "colour = 1\n");
  const Outcome wrong = run({"attach", "eth0"});
  EXPECT_EQ(wrong.code, 2);
  EXPECT_THAT(wrong.err, HasSubstr("cp0.toml:6:1: unknown key \"colour\""));
  EXPECT_EQ(run({"attach", "eth/0"}).code, 2);
  EXPECT_EQ(run({"attach", "eth0", "-i", "a-name-that-is-too-long"}).code, 2);
  EXPECT_EQ(run({"attach", "cp0"}).code, 2) << "a tunnel over itself";
}

TEST_F(CommandTest, attach_without_any_uplink_says_where_to_name_them) {
  std::string without = config_;
  without.replace(without.find("uplinks = [\"eth0\"]\n"), 19, "");
  write("etc/cp0.toml", without);
  const Outcome outcome = run({"attach"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("uplinks"));
}

TEST_F(CommandTest, a_tunnel_that_does_not_start_is_1_with_the_reason_and_leaves_nothing) {
  write("etc/cp0.toml", config_);
  start_error_ = "creating cp0: Operation not permitted";
  const Outcome outcome = run({"attach"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr(start_error_));
  EXPECT_TRUE(std::filesystem::is_empty(folder_.file("run")));
}

TEST_F(CommandTest, a_tunnel_runs_until_detach_and_leaves_nothing) {
  write("etc/cp0.toml", config_);
  Outcome attached;
  std::thread daemon([&] { attached = run({"attach"}); });
  ASSERT_TRUE(wait_until([&] { return client().reachable(); }));
  EXPECT_EQ(running_, 1);
  EXPECT_THAT(run({"status"}).out, HasSubstr("eth0"));

  const Outcome added = run({"attach", "wlan0", "eth0", "wlan0"});
  EXPECT_EQ(added.code, 0) << added.err;
  EXPECT_THAT(added.out, HasSubstr("added wlan0"));
  EXPECT_EQ(client().status()->uplinks.size(), 2U);
  EXPECT_EQ(run({"attach", "wlan0"}).code, 0) << "already there";
  EXPECT_EQ(run({"attach"}).code, 0) << "the configuration's, already there";
  const Outcome missing = run({"attach", "missing0", "usb0"});
  EXPECT_EQ(missing.code, 1);
  EXPECT_THAT(missing.err, HasSubstr("missing0: no such device"));
  EXPECT_EQ(client().status()->uplinks.size(), 3U) << "the others are added all the same";

  EXPECT_EQ(run({"detach", "wlan0"}).code, 0);
  EXPECT_EQ(run({"detach", "wlan0"}).code, 1);
  EXPECT_EQ(client().status()->uplinks.size(), 2U);
  EXPECT_EQ(run({"detach", "bad/name"}).code, 2);
  EXPECT_EQ(run({"detach"}).code, 0);
  EXPECT_EQ(running_, 0) << "detach returns when the tunnel has ended";
  daemon.join();
  EXPECT_EQ(attached.code, 0) << attached.err;
  EXPECT_TRUE(std::filesystem::is_empty(folder_.file("run")));
}

TEST_F(CommandTest, of_many_attaches_at_once_one_runs_and_the_others_add_their_uplinks) {
  write("etc/cp0.toml", config_);
  for (int round = 0; round < 10; ++round) {
    std::vector<Outcome> outcomes(6);
    std::vector<std::thread> threads;
    std::atomic<int> most = 0;
    for (size_t i = 0; i < outcomes.size(); ++i) {
      threads.emplace_back([&, i] { outcomes[i] = run({"attach", "up" + std::to_string(i)}); });
    }
    EXPECT_TRUE(wait_until([&] {
      most = std::max(most.load(), running_.load());
      const auto status = client().status();
      return status && status->uplinks.size() == outcomes.size();
    }));
    EXPECT_EQ(most, 1);
    EXPECT_EQ(run({"detach"}).code, 0);
    for (auto& thread : threads)
      thread.join();
    for (const auto& outcome : outcomes)
      EXPECT_EQ(outcome.code, 0) << outcome.err;
  }
}

TEST_F(CommandTest, detach_takes_away_what_a_killed_daemon_left) {
  leftovers_ = {"the kill switch of cp0"};
  const Outcome outcome = run({"detach"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "removed the kill switch of cp0\n");
  leftovers_ = fail("removing the kill switch of cp0: nftables: no");
  EXPECT_EQ(run({"detach"}).code, 1);
  EXPECT_THAT(run({"detach"}).err, HasSubstr("nftables: no"));
}

TEST_F(CommandTest, commands_on_a_tunnel_that_does_not_run_say_so) {
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{"detach"},
                                                    {"detach", "eth0"},
                                                    {"status", "-i", "cp0"},
                                                    {"status", "-i", "cp0", "--json"}}) {
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.code, 1);
    EXPECT_THAT(outcome.err, HasSubstr("cp0 does not run"));
  }
  const Outcome all = run({"status"});
  EXPECT_EQ(all.code, 0);
  EXPECT_THAT(all.out, HasSubstr("no tunnel runs"));
  EXPECT_EQ(run({"status", "-i", "../x"}).code, 2);
}

TEST_F(CommandTest, status_shows_all_running_tunnels_and_json_is_one_object_a_line) {
  api::FakeTunnel tunnel;
  std::filesystem::create_directory(folder_.file("run"));
  auto first = api::Server::start(tunnel, folder_.file("run/cp0.sock"));
  auto second = api::Server::start(tunnel, folder_.file("run/cp1.sock"));
  ASSERT_TRUE(first && second);
  {
    // A third one was killed.
    auto killed = api::Server::start(tunnel, folder_.file("run/cp9.sock"));
    std::filesystem::create_hard_link(folder_.file("run/cp9.sock"), folder_.file("run/cp8.sock"));
  }
  const Outcome text = run({"status"});
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_EQ(text.out.find("peer office"), text.out.rfind("peer office", text.out.size() / 2));
  const Outcome json = run({"status", "--json"});
  EXPECT_EQ(json.code, 0);
  std::istringstream lines(json.out);
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count)
    EXPECT_TRUE(nlohmann::json::accept(line)) << line;
  EXPECT_EQ(count, 2);
}

// In a child process: the signals are the process's.
int exit_code_after_signals(const std::function<int()>& attach_command, const std::function<bool()>& ready,
                            int signals) {
  const pid_t child = fork();
  if (child == 0) _exit(attach_command());
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!ready() && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  int state = 0;
  bool first = true;
  while (waitpid(child, &state, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() > deadline) kill(child, SIGKILL);
    if (first || signals > 1) kill(child, SIGTERM);
    first = false;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return WIFEXITED(state) ? WEXITSTATUS(state) : 256 + WTERMSIG(state);
}

TEST_F(CommandTest, a_signal_stops_the_tunnel_cleanly) {
  write("etc/cp0.toml", config_);
  const int code =
      exit_code_after_signals([&] { return run({"attach"}).code; }, [&] { return client().reachable(); }, 1);
  EXPECT_EQ(code, 0);
  EXPECT_TRUE(std::filesystem::is_empty(folder_.file("run")));
}

TEST_F(CommandTest, a_second_signal_ends_a_tunnel_that_hangs_at_once) {
  class Hanging : public FakeRunningTunnel {
   public:
    using FakeRunningTunnel::FakeRunningTunnel;
    Result<void> run() override {
      while (true)
        pause();
    }
    void stop() override {}
  };
  const std::string path = write("etc/cp0.toml", config_);
  const auto hang = [&] {
    std::istringstream in;
    std::ostringstream out;
    Host host{.in = in,
              .out = out,
              .err = out,
              .start_tunnel = [this](TunnelConfig config) -> Result<std::unique_ptr<RunningTunnel>> {
                return std::make_unique<Hanging>(std::move(config), running_);
              },
              .missing_privilege = [] { return std::string(); },
              .clear_leftovers = {},
              .protect_memory = [] {}};
    host.runtime_directory = folder_.file("run");
    const char* argv[] = {"centipede", "attach", "-c", path.c_str()};
    return run_command_line(host, 4, argv);
  };
  EXPECT_EQ(exit_code_after_signals(hang, [&] { return client().reachable(); }, 2), 128 + SIGTERM);
}

TEST_F(CommandTest, doctor_finds_what_is_wrong_and_exits_1) {
  const Outcome none = run({"doctor", "no-such-dev0"});
  EXPECT_EQ(none.code, 1);
  EXPECT_THAT(none.out, HasSubstr("fail  configuration: "));
  EXPECT_THAT(none.out, HasSubstr("fail  no-such-dev0: there is no such device — "));
  EXPECT_THAT(none.out, HasSubstr("kernel: "));
  write("etc/cp0.toml", config_);
  EXPECT_THAT(run({"doctor"}).out, HasSubstr("ok    configuration: "));
  missing_privilege_ = "CAP_BPF";
  EXPECT_THAT(run({"doctor"}).out, HasSubstr("fail  privileges: missing CAP_BPF — "));
  const auto rows = nlohmann::json::parse(run({"doctor", "--json", "lo"}).out, nullptr, false);
  ASSERT_TRUE(rows.is_array());
  for (const auto& row : rows) {
    EXPECT_TRUE(row["level"] == "ok" || row["level"] == "warn" || row["level"] == "fail");
    EXPECT_FALSE(row["what"].get<std::string>().empty());
  }
}

}  // namespace
}  // namespace centipede::cli
