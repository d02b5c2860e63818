// The link emulator's command line: runs an emulator between two devices, or talks to one that runs.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "link-emulator/bridge.h"
#include "link-emulator/control_socket.h"

namespace {

using centipede::emulator::Bridge;

constexpr int exit_failed = 1;
constexpr int exit_usage = 2;

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words)
    text += (text.empty() ? "" : " ") + word;
  return text;
}

int report(int exit_code, const std::string& text) {
  std::fprintf(stderr, "link-emulator: %s\n", text.c_str());
  return exit_code;
}

int emulate(const std::string& device_a, const std::string& device_b, const std::string& control_path,
            const std::vector<std::string>& words) {
  auto bridge = Bridge::create(device_a, device_b, control_path);
  if (!bridge) return report(exit_failed, bridge.error().text);
  if (!words.empty())
    if (const std::string answer = bridge->command(joined(words)); answer != "ok") return report(exit_usage, answer);
  if (auto ended = bridge->run(); !ended) return report(exit_failed, ended.error().text);
  return 0;
}

// The emulator that runs has another working directory.
std::string with_absolute_path(const std::string& word) {
  constexpr std::string_view key = "trace=";
  if (!word.starts_with(key) || word == "trace=none") return word;
  std::error_code ignored;
  const auto path = std::filesystem::absolute(word.substr(key.size()), ignored);
  return std::string(key) + path.string();
}

int talk(const std::string& control_path, std::vector<std::string> words) {
  std::ranges::transform(words, words.begin(), with_absolute_path);
  const auto answer = centipede::emulator::ask(control_path, joined(words));
  if (!answer) return report(exit_failed, answer.error().text);
  if (answer->starts_with("error: ")) return report(exit_usage, *answer);
  if (*answer != "ok") std::printf("%s\n", answer->c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Joins two network devices by a link with delay, loss, rate and more.\n"
      "  link-emulator --a IFACE --b IFACE [--control PATH] [both delay=20ms] [a2b loss=1%] ...\n"
      "  link-emulator --control PATH set both delay=5ms rate=50mbit\n"
      "  link-emulator --control PATH stats | reset"};
  std::string device_a;
  std::string device_b;
  std::string control_path;
  std::vector<std::string> words;
  auto* const option_a = app.add_option("--a", device_a, "first device");
  auto* const option_b = app.add_option("--b", device_b, "second device");
  auto* const option_control = app.add_option("--control", control_path, "UNIX socket for changes and statistics");
  app.add_option("words", words, "settings or a command, see tools/link-emulator/link_settings.h");
  option_a->needs(option_b);
  option_b->needs(option_a);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : exit_usage;
  }
  if (*option_a) return emulate(device_a, device_b, control_path, words);
  if (!*option_control || words.empty()) return report(exit_usage, "give --a and --b, or --control and a command");
  return talk(control_path, words);
}
