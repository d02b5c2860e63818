// Commands to a running tunnel, which is a double behind the real API.
#include <gmock/gmock.h>
#include <sys/wait.h>

#include <nlohmann/json.hpp>

#include "cli/table.h"
#include "command_fixture.h"
#include "config/config.h"
#include "dataplane/setting_texts.h"

namespace centipede::cli {
namespace {

using nlohmann::json;
using testing::HasSubstr;

std::string public_text(uint8_t seed) {
  const std::array<uint8_t, 32> bytes{seed};
  return crypto::Identity::from_seed(crypto::SecretKey(bytes)).public_key().base64();
}

class RunningCommandsTest : public CommandTest {
 protected:
  RunningCommandsTest() {
    std::filesystem::create_directory(folder_.file("run"));
    auto server = api::Server::start(tunnel_, folder_.file("run/cp0.sock"),
                                     {.interface = {.listen_port = 5820,
                                                    .mode = ReceiveMode::udp,
                                                    .window_bits = 12,
                                                    .heartbeat_ms = 250,
                                                    .rekey_seconds = 120}});
    EXPECT_TRUE(server) << server.error().text;
    server_ = std::move(*server);
  }

  // It is done, and what it says is short.
  std::string done_with(const std::vector<std::string>& arguments) {
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(outcome.err, "");
    EXPECT_FALSE(outcome.out.empty());
    return outcome.out;
  }
  // It is refused in one line, and nothing has changed.
  std::string refused(const std::vector<std::string>& arguments, int code) {
    const unsigned before = tunnel_.changes();
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.code, code) << testing::PrintToString(arguments) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(std::ranges::count(outcome.err, '\n'), 1) << outcome.err;
    EXPECT_EQ(printable_utf8(outcome.err), outcome.err.substr(0, outcome.err.size() - 1) + "\\x0a");
    EXPECT_EQ(tunnel_.changes(), before) << testing::PrintToString(arguments);
    for (const char* foreign : {"GET", "POST", "PATCH", "PUT", "DELETE", "/v1", "JSON", "_ips", "[0]", "[1]", "_bps"})
      EXPECT_THAT(outcome.err, testing::Not(HasSubstr(foreign))) << "who types commands need not know of the API";
    return outcome.err;
  }
  TunnelSettings settings() { return *tunnel_.settings(); }
  control::PeerSettings peer(const std::string& name) {
    for (const auto& one : settings().peers)
      if (one.name == name) return one;
    ADD_FAILURE() << "there is no peer " << name;
    return {};
  }

  api::FakeTunnel tunnel_;
  std::unique_ptr<api::Server> server_;
};

TEST_F(RunningCommandsTest, a_peer_is_added_changed_and_removed) {
  const std::string file = write("office.psk", crypto::to_base64(std::array<uint8_t, 32>{9}));
  EXPECT_THAT(done_with({"peer", "add", public_text(2), "--name", "office", "--allowed-ips", "10.0.0.2/32,fd00::/64",
                         "--endpoint", "203.0.113.5:5820", "--endpoint", "vpn.example.org:5820", "--policy", "backup",
                         "--preshared-key-file", file}),
              HasSubstr("office"));
  auto office = peer("office");
  EXPECT_EQ(office.public_key.base64(), public_text(2));
  EXPECT_EQ(office.allowed_ips, (std::vector{*Prefix::parse("10.0.0.2/32"), *Prefix::parse("fd00::/64")}));
  EXPECT_EQ(office.endpoints, std::vector{*Endpoint::parse("203.0.113.5:5820")});
  EXPECT_EQ(office.host_endpoints, (std::vector<control::HostEndpoint>{{"vpn.example.org", 5820}}));
  EXPECT_EQ(office.policy, control::Policy::backup);
  EXPECT_EQ(office.preshared_key_file, file);
  ASSERT_TRUE(office.preshared_key);

  done_with({"peer", "set", "office", "--allowed-ips", "none", "--endpoint", "none"});
  office = peer("office");
  EXPECT_TRUE(office.allowed_ips.empty() && office.endpoints.empty() && office.host_endpoints.empty());
  EXPECT_EQ(office.policy, control::Policy::backup) << "what is not named stays";
  EXPECT_TRUE(office.preshared_key);
  done_with({"peer", "set", public_text(2), "--name", "büro 2", "--policy", "redundant", "--no-preshared-key"});
  office = peer("büro 2");
  EXPECT_EQ(office.policy, control::Policy::redundant);
  EXPECT_FALSE(office.preshared_key);
  EXPECT_EQ(office.preshared_key_file, "");
  done_with({"peer", "add", public_text(3)});
  EXPECT_EQ(settings().peers.size(), 2U);
  done_with({"peer", "remove", "büro 2"});
  done_with({"peer", "remove", public_text(3)});
  EXPECT_TRUE(settings().peers.empty());
}

TEST_F(RunningCommandsTest, what_makes_no_sense_of_a_peer_is_refused_before_anything_is_sent) {
  done_with({"peer", "add", public_text(2), "--name", "office"});
  const std::string key = public_text(3);
  EXPECT_THAT(refused({"peer", "add", "short"}, 2), HasSubstr("centipede pubkey"));
  EXPECT_THAT(refused({"peer", "add", key, "--allowed-ips", "10.0.0.0/40"}, 2), HasSubstr("no network"));
  EXPECT_THAT(refused({"peer", "add", key, "--allowed-ips", ""}, 2), HasSubstr("no network"));
  EXPECT_THAT(refused({"peer", "add", key, "--allowed-ips", "10.0.0.0/8,10.1.0.0/8"}, 2), HasSubstr("twice"));
  EXPECT_THAT(refused({"peer", "add", key, "--endpoint", "a:1,a:1"}, 2), HasSubstr("twice"));
  EXPECT_THAT(refused({"peer", "add", key, "--endpoint", "10.0.0.1"}, 2), HasSubstr("no endpoint"));
  EXPECT_THAT(refused({"peer", "add", key, "--endpoint", "0.0.0.0:5"}, 2), HasSubstr("no endpoint"));
  EXPECT_THAT(refused({"peer", "add", key, "--policy", "fastest"}, 2), HasSubstr("--help"));
  EXPECT_THAT(refused({"peer", "add", key, "--name", ""}, 2), HasSubstr("name"));
  EXPECT_THAT(refused({"peer", "add", key, "--name", "\xff\xfe"}, 2), HasSubstr("name"));
  EXPECT_THAT(refused({"peer", "add", key, "--name", "a\x1b[2J"}, 2), HasSubstr("name"));
  EXPECT_THAT(refused({"peer", "add", key, "--preshared-key-file", folder_.file("none")}, 2), HasSubstr("genpsk"));
  EXPECT_THAT(refused({"peer", "add"}, 2), HasSubstr("--help"));
  EXPECT_THAT(refused({"peer"}, 2), HasSubstr("--help"));
  EXPECT_THAT(refused({"peer", "set", "office"}, 2), HasSubstr("nothing to set"));
  EXPECT_THAT(refused({"peer", "set", "office", "--no-preshared-key", "--preshared-key-file", "x"}, 2),
              HasSubstr("--help"));
  // The daemon's refusals.
  refused({"peer", "add", public_text(2)}, 1);
  refused({"peer", "remove", "nobody"}, 1);
  refused({"peer", "set", "nobody", "--policy", "backup"}, 1);
  refused({"peer", "remove", "../../stop"}, 1);
  refused({"peer", "remove", "\xff\x01"}, 1);
  refused({"peer", "list", "-i", "cp9"}, 1);
  refused({"peer", "list", "-i", "a/b"}, 2);
  EXPECT_FALSE(tunnel_.stopped());
}

TEST_F(RunningCommandsTest, paths_go_up_and_down_and_have_priorities) {
  done_with({"peer", "add", public_text(2), "--name", "office"});
  done_with({"uplink", "add", "wwan0"});
  done_with({"path", "down", "office", "wwan0"});
  EXPECT_EQ(peer("office").paths, (std::vector<control::PathSettings>{{"wwan0", false, std::nullopt}}));
  done_with({"path", "set", "office", "wwan0", "--priority", "7"});
  EXPECT_EQ(peer("office").paths, (std::vector<control::PathSettings>{{"wwan0", false, 7}}));
  done_with({"path", "up", public_text(2), "wwan0"});
  EXPECT_EQ(peer("office").paths, (std::vector<control::PathSettings>{{"wwan0", true, 7}}));
  done_with({"path", "set", "office", "wwan0", "--priority", "none"});
  EXPECT_TRUE(peer("office").paths.empty()) << "what says nothing is not kept";
  EXPECT_THAT(refused({"path", "set", "office", "wwan0", "--priority", "-1"}, 2), HasSubstr("priority"));
  EXPECT_THAT(refused({"path", "set", "office", "wwan0", "--priority", "4294967296"}, 2), HasSubstr("priority"));
  EXPECT_THAT(refused({"path", "set", "office", "wwan0"}, 2), HasSubstr("--priority"));
  EXPECT_THAT(refused({"path", "up", "office", "wl*"}, 2), HasSubstr("no name of a device"));
  EXPECT_THAT(refused({"path", "up", "office", "sixteen-letters!"}, 2), HasSubstr("no name of a device"));
  EXPECT_THAT(refused({"path", "up", "office", "a\xff"}, 2), HasSubstr("no name of a device"));
  EXPECT_THAT(refused({"path", "up", "office"}, 2), HasSubstr("--help"));
  refused({"path", "up", "nobody", "wwan0"}, 1);
  refused({"path", "list", "nobody"}, 1);
  refused({"path", "up", "office", "eth7"}, 1);
  refused({"reload"}, 1);
}

TEST_F(RunningCommandsTest, uplinks_are_added_with_their_settings_changed_and_removed) {
  done_with({"uplink", "add", "fifteen-letters", "--metered", "yes", "--priority", "3", "--rate", "20M"});
  EXPECT_EQ(settings().uplinks, (std::vector<UplinkSettings>{{"fifteen-letters", 3, true, 20'000'000}}));
  done_with({"uplink", "set", "fifteen-letters", "--metered", "no", "--rate", "none"});
  EXPECT_EQ(settings().uplinks, (std::vector<UplinkSettings>{{"fifteen-letters", 3, false, 0}}));
  done_with({"uplink", "set", "fifteen-letters", "--priority", "none"});
  EXPECT_EQ(settings().uplinks, (std::vector<UplinkSettings>{{.name = "fifteen-letters"}}));
  EXPECT_THAT(refused({"uplink", "set", "fifteen-letters"}, 2), HasSubstr("nothing to set"));
  EXPECT_THAT(refused({"uplink", "add", "sixteen-letters!"}, 2), HasSubstr("1 to 15"));
  EXPECT_THAT(refused({"uplink", "add", "a b"}, 2), HasSubstr("1 to 15"));
  EXPECT_THAT(refused({"uplink", "add", "\xc3\xbc"}, 2), HasSubstr("1 to 15"));
  EXPECT_THAT(refused({"uplink", "add", "a", "--rate", "20m"}, 2), HasSubstr("no rate"));
  EXPECT_THAT(refused({"uplink", "add", "a", "--metered", "maybe"}, 2), HasSubstr("--help"));
  EXPECT_THAT(refused({"uplink", "add", "fifteen-letters"}, 1), HasSubstr("already"));
  EXPECT_THAT(refused({"uplink", "add", "missing0"}, 1), HasSubstr("no such device"));
  EXPECT_THAT(refused({"uplink", "remove", "eth9"}, 1), HasSubstr("eth9"));
  done_with({"uplink", "remove", "fifteen-letters"});
  EXPECT_TRUE(settings().uplinks.empty());
}

TEST_F(RunningCommandsTest, lists_are_tables_of_80_columns_or_json) {
  done_with({"peer", "add", public_text(2), "--name", std::string(60, 'n'), "--allowed-ips",
             "2001:db8:1:2:3:4:5:6/128,2001:db8:1:2:3:4:5:7/128"});
  for (const char* what : {"peer", "path", "uplink"}) {
    std::istringstream lines(done_with({what, "list"}));
    for (std::string line; std::getline(lines, line);)
      EXPECT_LE(display_width(line), 80U) << line;
    EXPECT_TRUE(json::accept(done_with({what, "list", "--json"}))) << what;
  }
  EXPECT_THAT(done_with({"peer", "list"}), HasSubstr("office"));
  EXPECT_THAT(done_with({"peer", "show", "office"}), HasSubstr("192.0.2.1 -> 203.0.113.5:5820"));
  EXPECT_THAT(done_with({"path", "list", "office"}), HasSubstr("203.0.113.5"));
  EXPECT_EQ(json::parse(done_with({"path", "list", "office", "--json"})).size(), 2U);
  EXPECT_EQ(json::parse(done_with({"path", "list", "phone", "--json"})).size(), 0U);
  EXPECT_THAT(refused({"peer", "show", "nobody"}, 1), HasSubstr("peer list"));
  const json shown = json::parse(done_with({"peer", "show", public_text(2), "--json"}));
  EXPECT_EQ(shown["public_key"], public_text(2));
}

TEST_F(RunningCommandsTest, export_prints_what_is_in_force_without_secrets) {
  const std::string secret = crypto::to_base64(std::array<uint8_t, 32>{9});
  done_with({"uplink", "add", "eth0", "--metered", "yes"});
  done_with({"peer", "add", public_text(2), "--name", "office", "--preshared-key-file", write("office.psk", secret)});
  const std::string text = done_with({"export"});
  EXPECT_THAT(text, testing::Not(HasSubstr(secret)));
  std::string filled = text;
  filled.insert(filled.find("[interface]\n") + 12,
                "private_key = \"" + crypto::to_base64(std::array<uint8_t, 32>{1}) + "\"\n");
  const auto loaded = parse_config(filled, folder_.file("cp0.toml"));
  ASSERT_TRUE(loaded) << loaded.error().text << text;
  EXPECT_EQ(loaded->tunnel.live.uplinks, settings().uplinks);
  EXPECT_EQ(loaded->tunnel.mode, ReceiveMode::udp);
  EXPECT_EQ(loaded->tunnel.window_bits, 12U);
  EXPECT_EQ(loaded->tunnel.live.peers.at(0).preshared_key_file, folder_.file("office.psk"));
}

TEST_F(RunningCommandsTest, ping_says_what_each_path_answered) {
  const std::string text = done_with({"ping", "office", "-c", "3", "--interval", "10"});
  EXPECT_THAT(text, HasSubstr("path 9 over eth0 to 203.0.113.5:5820: 12.0 ms, carries data"));
  EXPECT_THAT(text, HasSubstr("path 10 over wlan0 to 203.0.113.5:5820: no answer within 1000 ms"));
  EXPECT_THAT(text, HasSubstr("path 9 over eth0: 3 of 3 answered, least 12.0 mean 12.0 most 12.0 ms"));
  EXPECT_THAT(text, HasSubstr("path 10 over wlan0: 0 of 3 answered\n"));
  std::istringstream lines(done_with({"ping", "office", "-c", "1", "--json"}));
  std::string line;
  ASSERT_TRUE(std::getline(lines, line));
  EXPECT_EQ(json::parse(line)["rtt_us"], 12000);
  ASSERT_TRUE(std::getline(lines, line));
  EXPECT_TRUE(json::parse(line)["rtt_us"].is_null());
  EXPECT_FALSE(std::getline(lines, line));
  EXPECT_THAT(refused({"ping", "nobody"}, 1), HasSubstr("nobody"));
  EXPECT_THAT(refused({"ping", "office", "-c", "0"}, 2), HasSubstr("--help"));
}

TEST_F(RunningCommandsTest, events_are_printed_as_lines_or_json) {
  for (int i = 0; i < 3; ++i)
    tunnel_.events().post({.level = TunnelEvent::Level::warning,
                           .kind = "path",
                           .peer = "office",
                           .uplink = "eth0",
                           .text = "number " + std::to_string(i)});
  const std::string text = done_with({"events", "--no-follow"});
  EXPECT_THAT(text, HasSubstr(" warning: number 0\n"));
  EXPECT_EQ(std::ranges::count(text, '\n'), 3);
  std::istringstream lines(done_with({"events", "--no-follow", "--after", "2", "--json"}));
  std::string line;
  ASSERT_TRUE(std::getline(lines, line));
  EXPECT_EQ(json::parse(line)["text"], "number 2");
  EXPECT_FALSE(std::getline(lines, line));
  EXPECT_THAT(refused({"events", "--after", "x"}, 2), HasSubstr("--help"));
}

TEST_F(RunningCommandsTest, events_that_are_followed_end_with_the_daemon_and_say_so) {
  tunnel_.events().post({.kind = "path", .text = "the first"});
  std::thread daemon([this] {
    EXPECT_TRUE(wait_until([this] { return tunnel_.events().newest() == 1; }));
    tunnel_.events().post({.kind = "path", .text = "the second"});
    server_.reset();
  });
  const Outcome outcome = run({"events", "--after", "0"});
  daemon.join();
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("cp0"));
}

TEST_F(RunningCommandsTest, a_reload_that_nothing_serves_says_so) {
  EXPECT_EQ(run({"reload"}).code, 1);
}

class ReloadTest : public CommandTest {
 protected:
  void start(const std::vector<std::string>& arguments) {
    daemon_ = std::thread([this, arguments] { attached_ = run(arguments); });
    ASSERT_TRUE(wait_until([&] { return client().reachable(); }));
  }
  void TearDown() override {
    if (!daemon_.joinable()) return;
    EXPECT_EQ(run({"detach"}).code, 0);
    daemon_.join();
    EXPECT_EQ(attached_.code, 0) << attached_.err;
  }
  // The names of its uplinks.
  std::vector<std::string> uplinks() {
    std::vector<std::string> names;
    const auto settings = client().settings();
    EXPECT_TRUE(settings) << settings.error().text;
    for (const auto& uplink : settings->settings.uplinks)
      names.push_back(uplink.name);
    return names;
  }

  std::thread daemon_;
  Outcome attached_;
};

TEST_F(ReloadTest, what_changed_in_the_file_is_applied_and_told) {
  write("etc/cp0.toml", config_);
  start({"attach"});
  EXPECT_THAT(run({"reload"}).out, HasSubstr("in force already"));
  std::string changed = config_ +
                        "name = \"office\"\nallowed_ips = [\"10.0.0.2/32\"]\npolicy = \"backup\"\n[[peer]]\nname = "
                        "\"phone\"\npublic_key = \"" +
                        public_text(3) +
                        "\"\n[[uplink]]\nname = \"wwan0\"\nmetered = true\n[[uplink]]\nname = \"eth0\"\npriority = 4\n";
  write("etc/cp0.toml", changed);
  const Outcome outcome = run({"reload"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "uplink eth0: priority\nuplink wwan0: added\npeer " + public_text(2).substr(0, 8) +
                             ": name, allowed_ips, policy\npeer phone: added\n");
  EXPECT_EQ(uplinks(), (std::vector<std::string>{"eth0", "wwan0"}));
  write("etc/cp0.toml", config_);
  EXPECT_THAT(run({"reload"}).out,
              HasSubstr("uplink wwan0: removed\npeer office: name, allowed_ips, policy\npeer phone: removed"));
}

TEST_F(ReloadTest, a_bad_file_or_another_fixed_part_changes_nothing_and_names_the_key) {
  write("etc/cp0.toml", config_);
  start({"attach"});
  const std::string more = "[[uplink]]\nname = \"wwan0\"\n";
  for (const auto& [text, said] : std::vector<std::pair<std::string, std::string>>{
           {config_ + more + "colour = 1\n", "cp0.toml:8:1: unknown key"},
           {config_.substr(0, config_.size() / 2), "cp0.toml:"},
           {"", "[interface]"},
           {"[interface]\nlisten_port = 5999\n" + config_.substr(12) + more, "listen_port (5820 -> 5999)"},
           {"[interface]\nkill_switch = true\ndns = [\"10.0.0.1\"]\n" + config_.substr(12) + more,
            "kill_switch (false -> true), dns (none -> 10.0.0.1)"}}) {
    write("etc/cp0.toml", text);
    const Outcome outcome = run({"reload"});
    EXPECT_EQ(outcome.code, 2) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(said));
    EXPECT_EQ(uplinks(), std::vector<std::string>{"eth0"});
  }
  std::filesystem::remove(folder_.file("etc/cp0.toml"));
  EXPECT_EQ(run({"reload"}).code, 2);
}

TEST_F(ReloadTest, uplinks_of_the_command_line_stay_in_the_files_place) {
  write("etc/cp0.toml", config_);
  start({"attach", "wlan0"});
  write("etc/cp0.toml", config_ + "[[uplink]]\nname = \"wlan0\"\nmetered = true\n");
  EXPECT_EQ(run({"reload"}).out, "uplink wlan0: metered\n");
  write("etc/cp0.toml", config_ + "[[uplink]]\nname = \"wl*\"\npriority = 7\n");
  EXPECT_EQ(run({"reload"}).out, "uplink wlan0: priority, metered\n") << "what a pattern says of it";
  EXPECT_EQ(uplinks(), std::vector<std::string>{"wlan0"});
}

TEST_F(ReloadTest, sighup_reloads_too) {
  write("etc/cp0.toml", config_);
  const pid_t child = fork();
  if (child == 0) _exit(run({"attach"}).code);
  ASSERT_TRUE(wait_until([&] { return client().reachable(); }));
  write("etc/cp0.toml", config_ + "[[uplink]]\nname = \"wwan0\"\n");
  kill(child, SIGHUP);
  EXPECT_TRUE(wait_until([&] { return uplinks().size() == 2; }));
  kill(child, SIGTERM);
  int state = 0;
  EXPECT_EQ(waitpid(child, &state, 0), child);
  EXPECT_TRUE(WIFEXITED(state));
  EXPECT_EQ(WEXITSTATUS(state), 0);
}

}  // namespace
}  // namespace centipede::cli
