// Whatever a configuration file holds gives an error of one line or a configuration.
#include <random>

#include "config_fixture.h"
#include "rounds.h"

namespace centipede {
namespace {

// Some changes of a genuine file: a byte, a bit, a piece cut out or doubled, a line gone or doubled elsewhere, a token
// that means something put in, or an early end.
std::string mutated(const std::string& genuine, std::mt19937& random) {
  static const std::vector<std::string> tokens{
      "[",           "]",         "\"",      "=",          "\n",    "#",    "[[peer]]",
      "'''",         "\"\"\"",    "\\u0000", "-1",         "1e999", "nan",  "9999999999999999999",
      "{",           "}",         "true",    "1979-05-27", ",",     "\xff", std::string(1, '\0'),
      "[interface]", "0.0.0.0/0", "::/0",    "0x10",       "\\n",   "\r",   "\x1b"};
  std::string text = genuine;
  for (uint32_t changes = 1 + random() % 4; changes > 0; --changes) {
    const auto any_place = [&] { return random() % (text.size() + 1); };
    const auto line_around = [&](size_t place) { return place == 0 ? 0 : text.rfind('\n', place - 1) + 1; };
    const size_t at = any_place();
    const size_t length = std::min<size_t>(random() % 40, text.size() - at);
    const size_t line = line_around(at);
    const size_t line_length = std::min(text.find('\n', line), text.size() - 1) - line + 1;
    switch (random() % 8) {
      case 0:
        if (at < text.size()) text[at] = static_cast<char>(random());
        break;
      case 1:
        if (at < text.size()) text[at] = static_cast<char>(text[at] ^ (1 << random() % 8));
        break;
      case 2:
        text.erase(at, length);
        break;
      case 3:
        text.insert(any_place(), text.substr(at, length));
        break;
      case 4:
        text.insert(at, tokens[random() % tokens.size()]);
        break;
      case 5:
        text.erase(line, line_length);
        break;
      case 6:
        text.insert(line_around(any_place()), text.substr(line, line_length));
        break;
      default:
        text.resize(at);
        break;
    }
  }
  return text;
}

bool one_line(const std::string& text) {
  return std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

TEST_F(ConfigTest, a_hundred_thousand_mutated_files_give_an_error_of_one_line_with_a_place_or_a_configuration) {
  write("office.psk", key_text(8));
  const std::string genuine =
      interface_text(
          "address = [\"10.10.0.1/24\", \"fd10::1/64\"]\nlisten_port = 5820\nuplinks = [\"eth0\"]\nworkers = 2\n"
          "exclude_uplinks = [\"docker*\"]\ndns = [\"10.0.0.1\"]\ndns_search = [\"corp\"]\nkill_switch = true\n"
          "mode = \"auto\"\nmtu = 1400\nwindow = 32768\nheartbeat_ms = 250\nrekey_seconds = 60\nroutes = true\n"
          "[[uplink]]\nname = \"wl*\"\npriority = 3\nmetered = true\nrate = \"20M\"\n") +
      peer_text(2, "name = \"office\"\npreshared_key = \"" + key_text(9) +
                       "\"\nallowed_ips = [\"10.10.0.2/32\"]\nendpoints = [\"192.0.2.1:5820\", "
                       "\"vpn.example.org:1\"]\npolicy = \"redundant\"\n[[peer.path]]\nuplink = "
                       "\"eth0\"\nenabled = false\npriority = 9\n") +
      peer_text(3, "preshared_key_file = \"" + folder_.file("office.psk") + "\"\nallowed_ips = [\"10.10.0.3/32\"]\n");
  ASSERT_TRUE(parse(genuine)) << parse(genuine).error().text;
  std::mt19937 random(20);
  uint64_t good = 0;
  for (uint64_t i = 0; i < test::rounds(100'000); ++i) {
    const std::string text = mutated(genuine, random);
    const auto loaded = parse(text);
    if (loaded) {
      ++good;
      for (const auto& warning : loaded->warnings)
        ASSERT_TRUE(one_line(warning)) << warning << "\n" << text;
      continue;
    }
    const std::string& error = loaded.error().text;
    ASSERT_THAT(error, testing::MatchesRegex("/etc/centipede/cp0.toml:[0-9]+:[0-9]+: .+; .+")) << text;
    ASSERT_TRUE(one_line(error)) << error << "\n" << text;
  }
  EXPECT_GT(good, test::rounds(1000));
  EXPECT_LT(good, test::rounds(90'000));
}

}  // namespace
}  // namespace centipede
