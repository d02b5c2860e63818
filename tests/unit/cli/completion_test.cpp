// What shells complete: from the parser's own tree, and what is there on the machine.
#include "cli/completion.h"

#include <gmock/gmock.h>

#include <array>
#include <cstdio>

#include "command_fixture.h"

namespace centipede::cli {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::Not;
using Words = std::vector<std::string>;

class CompletionTest : public CommandTest {
 protected:
  Words complete(Words words) {
    words.insert(words.begin(), "__complete");
    const Outcome outcome = run(words);
    EXPECT_EQ(outcome.code, 0);
    EXPECT_EQ(outcome.err, "");
    Words lines;
    std::istringstream stream(outcome.out);
    for (std::string line; std::getline(stream, line);)
      lines.push_back(line);
    return lines;
  }
};

TEST_F(CompletionTest, commands_and_options_are_those_of_the_parser) {
  EXPECT_THAT(complete({"st"}), ElementsAre("status"));
  EXPECT_THAT(complete({"peer", ""}), ElementsAre("list", "show", "add", "set", "remove"));
  EXPECT_THAT(complete({"status", "--"}), testing::IsSupersetOf({"--interface", "--json", "--watch", "--help"}));
  EXPECT_THAT(complete({"status", "-"}), Not(Contains("-i"))) << "the long name is enough";
  EXPECT_THAT(complete({"peer", "set", "office", "--pol"}), ElementsAre("--policy"));
  EXPECT_THAT(complete({"peer", "set", "office", "--policy", ""}),
              testing::UnorderedElementsAre("redundant", "backup"));
  EXPECT_THAT(complete({"peer", "set", "office", "--policy=b"}), ElementsAre("--policy=backup"));
  EXPECT_THAT(complete({"peer", "set", "office", "--policy", "=", "b"}), ElementsAre("backup")) << "as bash splits it";
  EXPECT_THAT(complete({"completion", ""}), testing::UnorderedElementsAre("bash", "zsh", "fish"));
  EXPECT_THAT(complete({"uplink", "add", "x", "--metered", "y"}), ElementsAre("yes"));
  EXPECT_THAT(complete({"import", "wg"}), ElementsAre(":files"));
  EXPECT_THAT(complete({"attach", "-c", ""}), ElementsAre(":files"));
  EXPECT_THAT(complete({"no-such", ""}), testing::IsEmpty());
  EXPECT_THAT(complete({}), testing::IsEmpty());
  EXPECT_THAT(complete({"status", "--", "--"}), testing::IsEmpty()) << "options are over";
  // Every command is offered, also those that come later.
  std::istringstream help(run({"--help"}).out);
  std::string line;
  while (std::getline(help, line) && line != "Subcommands:") {
  }
  const Words offered = complete({""});
  while (std::getline(help, line) && line.starts_with("  "))
    EXPECT_THAT(offered, Contains(line.substr(2, line.find(' ', 2) - 2)));
  EXPECT_GT(offered.size(), 10U);
}

TEST_F(CompletionTest, devices_tunnels_and_peers_are_those_that_are_there) {
  api::FakeTunnel tunnel;
  std::filesystem::create_directory(folder_.file("run"));
  const auto server = api::Server::start(tunnel, folder_.file("run/cp7.sock"));
  ASSERT_TRUE(server);
  EXPECT_THAT(complete({"status", "-i", ""}), ElementsAre("cp7"));
  EXPECT_THAT(complete({"status", "--interface=c"}), ElementsAre("--interface=cp7"));
  const std::array<uint8_t, 32> seed{5};
  const std::string key = crypto::Identity::from_seed(crypto::SecretKey(seed)).public_key().base64();
  ASSERT_EQ(run({"peer", "add", key, "--name", "the office", "-i", "cp7"}).code, 0);
  EXPECT_THAT(complete({"peer", "remove", "-i", "cp7", "t"}), ElementsAre("the office"));
  EXPECT_THAT(complete({"ping", "--interface=cp7", ""}), ElementsAre("the office"));
  EXPECT_THAT(complete({"ping", "t"}), testing::IsEmpty()) << "cp0 does not run";
  std::filesystem::create_directories(folder_.file("devices/wlan0"));
  std::filesystem::create_directories(folder_.file("devices/eth0"));
  std::filesystem::create_directories(folder_.file("devices/lo"));
  EXPECT_THAT(complete({"attach", ""}), ElementsAre("eth0", "wlan0"));
  EXPECT_THAT(complete({"attach", "eth0", "w"}), ElementsAre("wlan0"));
  EXPECT_THAT(complete({"path", "up", "office", ""}), ElementsAre("eth0", "wlan0"));
  EXPECT_THAT(complete({"path", "up", "office", "eth0", ""}), testing::IsEmpty());
}

// What the shell itself would offer, with a program in the place of centipede that says how it was asked.
Words offered_by(const std::string& shell, const std::string& program) {
  FILE* pipe = popen((shell + " -c '" + program + "' 2>&1").c_str(), "r");
  std::string text;
  std::array<char, 4096> piece;
  while (pipe != nullptr && fgets(piece.data(), piece.size(), pipe) != nullptr)
    text += piece.data();
  if (pipe != nullptr) pclose(pipe);
  Words lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);)
    lines.push_back(line);
  return lines;
}

TEST_F(CompletionTest, the_script_of_bash_asks_for_the_words_so_far_and_quotes_what_it_offers) {
  const std::string script = write("completion.bash", run({"completion", "bash"}).out);
  const std::string program = write("centipede",
                                    "#!/bin/sh\nif [ \"$*\" = \"__complete peer remove th\" ]; then echo the office; "
                                    "elif [ \"$*\" = \"__complete attach -c \" ]; then echo :files; fi\n");
  chmod(program.c_str(), 0755);
  const auto ask = [&](const std::string& words, const std::string& at) {
    return offered_by("bash", "source " + script + "; complete -p centipede >/dev/null || echo none; cd " +
                                  folder_.path() + "; COMP_WORDS=(" + program + " " + words + "); COMP_CWORD=" + at +
                                  "; _centipede; printf \"%s\\n\" \"${COMPREPLY[@]}\"");
  };
  EXPECT_THAT(ask("peer remove th", "3"), ElementsAre("the\\ office"));
  EXPECT_THAT(ask("attach -c \"\"", "3"), testing::IsSupersetOf({"centipede", "completion.bash", "etc"}));
  EXPECT_THAT(ask("peer remove nobody", "3"), ElementsAre("")) << "nothing, and no complaint";
}

TEST_F(CompletionTest, the_scripts_of_zsh_and_fish_are_sound_where_these_are_installed) {
  int found = 0;
  for (const char* shell : {"zsh", "fish"}) {
    const std::string script = write(std::string("completion.") + shell, run({"completion", shell}).out);
    if (std::system((std::string("command -v ") + shell + " >/dev/null").c_str()) != 0) continue;
    ++found;
    EXPECT_THAT(offered_by(shell, std::string(shell) + " --no-execute " + script), testing::IsEmpty());
  }
  if (found == 0) GTEST_SKIP() << "neither zsh nor fish is installed";
}

}  // namespace
}  // namespace centipede::cli
