// One screen of `status --watch`, and the terminal that it is drawn on.
#include "cli/watch_text.h"

#include <gmock/gmock.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <iostream>

#include "cli/table.h"
#include "command_fixture.h"

namespace centipede::cli {
namespace {

using testing::HasSubstr;

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const auto& line : lines)
    text += line + "\n";
  return text;
}

Watched a_second_later() {
  Watched watched{api::full_status(), api::full_status(), seconds(2)};
  auto& path = watched.now.peers[0].paths[0];
  path.sent_bytes += 250'000;
  path.first_bytes += 25'000;
  path.first_packets += 30;
  path.duplicates_early += 8;
  path.duplicates_worker += 4;
  path.late = microseconds(500);
  watched.now.peers[0].paths[1].first_packets += 10;
  watched.now.total.sealed += 3000;
  return watched;
}

TEST(WatchText, rates_are_of_what_moved_since_the_last_screen) {
  const std::string text = joined(watch_lines(a_second_later(), 80, false));
  EXPECT_THAT(text, HasSubstr("sealed 1.50 k, delivered 0"));
  EXPECT_THAT(text, testing::ContainsRegex("9 eth0 +active +sent +1.00 M +100 k +75 +6 +12.3 +0.50 +25/0"));
  EXPECT_THAT(text, testing::ContainsRegex("0 wlan0 +down +off +0 +0 +25 +0 +. +. +./."));
  EXPECT_THAT(joined(watch_lines(a_second_later(), 120, false)), HasSubstr(" 203.0.113.5:5820"));
  Watched first = a_second_later();
  first.elapsed = {};
  first.before = {};
  EXPECT_THAT(joined(watch_lines(first, 80, false)), testing::ContainsRegex("eth0 +active +sent +- +- +- +- +12.3"))
      << "nothing to compare with";
  Watched restarted = a_second_later();
  std::swap(restarted.now, restarted.before);
  EXPECT_THAT(joined(watch_lines(restarted, 80, false)), HasSubstr("sealed -")) << "the counters began anew";
}

TEST(WatchText, no_line_is_wider_than_the_screen_whatever_there_is_to_show) {
  Watched watched = a_second_later();
  auto& peer = watched.now.peers[0];
  peer.name = std::string(64, 'n');
  peer.paths[0].uplink_name = "fifteen-letters";
  peer.paths[0].sent_bytes = ~uint64_t{0};
  peer.paths[0].rtt = peer.paths[0].late = seconds(99);
  watched.now.uplinks[0].reason = std::string(200, 'r');
  for (const unsigned columns : {20U, 80U, 132U}) {
    for (const auto& line : watch_lines(watched, columns, false))
      EXPECT_LE(display_width(line), columns) << line;
  }
}

TEST(WatchText, a_screen_that_is_too_low_says_how_much_is_missing) {
  const std::vector<std::string> lines{"a", "b", "c", "d"};
  EXPECT_EQ(fitted(lines, 4), "a\nb\nc\nd");
  EXPECT_EQ(fitted(lines, 3), "a\nb\n... 2 more lines: make the window higher");
  EXPECT_EQ(fitted(lines, 1), "... 4 more lines: make the window higher");
  EXPECT_EQ(fitted(lines, 0), "... 4 more lines: make the window higher");
  EXPECT_EQ(fitted({}, 5), "");
}

TEST(Table, columns_are_aligned_and_give_way_where_the_terminal_is_narrow) {
  Table table({{"name", Table::Align::left, 4}, {"n", Table::Align::right}});
  table.add({"büro", "7"});
  table.add({"a very long name", "1234"});
  EXPECT_EQ(table.text(80), "name                 n\nbüro                 7\na very long name  1234\n");
  EXPECT_EQ(table.text(14), "name         n\nbüro         7\na very …  1234\n");
  EXPECT_EQ(table.text(5, 1), " name     n\n büro     7\n a v…  1234\n") << "no narrower than it may be";
  EXPECT_EQ(shortened("büro", 4), "büro");
  EXPECT_EQ(shortened("büros", 4), "bür…");
  EXPECT_EQ(shortened("abc", 0), "");
}

using WatchTest = CommandTest;

// All that the terminal got until `ended` or its end.
std::string read_until(int terminal, const std::function<bool(const std::string&)>& ended) {
  std::string text;
  std::array<char, 4096> piece;
  while (!ended(text)) {
    const ssize_t size = read(terminal, piece.data(), piece.size());
    if (size <= 0) break;
    text.append(piece.data(), static_cast<size_t>(size));
  }
  return text;
}

TEST_F(WatchTest, the_terminal_gets_its_screen_back_on_control_c_and_is_drawn_anew_when_its_size_changes) {
  api::FakeTunnel tunnel;
  std::filesystem::create_directory(folder_.file("run"));
  const auto server = api::Server::start(tunnel, folder_.file("run/cp0.sock"));
  ASSERT_TRUE(server);
  int terminal = -1;
  winsize size{.ws_row = 6, .ws_col = 80, .ws_xpixel = 0, .ws_ypixel = 0};
  std::cout << std::flush;
  fflush(stdout);
  const pid_t child = forkpty(&terminal, nullptr, nullptr, &size);
  ASSERT_GE(child, 0);
  if (child == 0) {
    Host host{.in = std::cin,
              .out = std::cout,
              .err = std::cerr,
              .start_tunnel = {},
              .missing_privilege = {},
              .clear_leftovers = {},
              .protect_memory = {}};
    host.runtime_directory = folder_.file("run");
    host.out_is_terminal = true;
    const char* argv[] = {"centipede", "status", "--watch"};
    _exit(run_command_line(host, 3, argv));
  }
  alarm(20);  // nothing here may take that long
  const auto shows = [](const char* what) {
    return [what](const std::string& text) { return text.find(what) != std::string::npos; };
  };
  const std::string begun = read_until(terminal, shows("more lines"));
  EXPECT_THAT(begun, testing::StartsWith("\x1b[?1049h")) << "on the alternate screen";
  EXPECT_THAT(begun, HasSubstr("cp0: up "));
  size.ws_row = 60;
  ASSERT_EQ(ioctl(terminal, TIOCSWINSZ, &size), 0);
  EXPECT_THAT(read_until(terminal, shows("uplink wlan0: not usable")), HasSubstr("uplink wlan0: not usable"));
  ASSERT_EQ(::write(terminal, "\x03", 1), 1);
  const std::string ended = read_until(terminal, [](const std::string&) { return false; });
  EXPECT_THAT(ended, testing::EndsWith("\x1b[?25h\x1b[?1049l")) << "cursor and screen are given back";
  int state = 0;
  EXPECT_EQ(waitpid(child, &state, 0), child);
  alarm(0);
  EXPECT_TRUE(WIFEXITED(state) && WEXITSTATUS(state) == 0) << state;
  close(terminal);
}

}  // namespace
}  // namespace centipede::cli
