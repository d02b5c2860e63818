#include "cli/status_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <sstream>

#include "../api/fake_tunnel.h"
#include "cli/table.h"

namespace centipede::cli {
namespace {

using testing::HasSubstr;

TEST(StatusText, every_line_fits_into_80_columns) {
  TunnelStatus status = api::full_status();
  for (int i = 0; i < 30; ++i)
    status.peers[0].allowed_ips.push_back(*Prefix::parse("2001:db8:1:2:3:4:5:0/112"));
  auto& path = status.peers[0].paths[0];
  path.sent_packets = path.first_packets = path.only_here = path.sent_bytes = path.first_bytes = ~uint64_t{0};
  path.send_errors = path.duplicates_early = path.duplicates_worker = ~uint64_t{0};
  path.rtt = path.rtt_variation = seconds(99);
  for (const auto& counter : api::xdp_counters)
    status.uplinks[0].xdp.*counter.member = ~uint64_t{0};
  std::istringstream lines(status_text(status, false));
  for (std::string line; std::getline(lines, line);)
    EXPECT_LE(display_width(line), 80U) << line;
}

TEST(StatusText, says_what_a_path_is_and_was_worth) {
  TunnelStatus status = api::full_status();
  auto& path = status.peers[0].paths[0];
  path.sent_packets = 1234567;
  path.first_packets = 900;
  path.duplicates_early = 300000;
  path.duplicates_worker = 12;
  path.only_here = 77;
  path.loss_in = 0.031;
  const std::string text = status_text(status, false);
  for (const char* part : {"peer office", "over eth0", "192.0.2.1 -> 203.0.113.5:5820", "active", "sending", "native",
                           "rtt 12.3±0.68 ms", "loss in 3.1 % out 0.0 %", "sent 1.23 M", "first 900", "early 300 k",
                           "in worker 12", "only here 77", "backup", "last handshake 43 s ago"}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
}

TEST(StatusText, colours_are_a_states_and_only_where_they_are_wanted) {
  const std::string plain = status_text(api::full_status(), false);
  EXPECT_THAT(plain, testing::Not(HasSubstr("\x1b")));
  std::string painted = status_text(api::full_status(), true);
  EXPECT_THAT(painted, HasSubstr("\x1b[32mactive\x1b[0m"));
  EXPECT_THAT(painted, HasSubstr("\x1b[31mdown\x1b[0m"));
  for (const char* code : {"\x1b[32m", "\x1b[31m", "\x1b[33m", "\x1b[0m"}) {
    for (size_t at = painted.find(code); at != std::string::npos; at = painted.find(code))
      painted.erase(at, std::strlen(code));
  }
  EXPECT_EQ(painted, plain);
}

TEST(StatusText, a_path_that_is_switched_off_and_one_that_is_late_say_so) {
  TunnelStatus status = api::full_status();
  auto& path = status.peers[0].paths[0];
  path.enabled = false;
  path.priority = 12;
  path.late = microseconds(4560);
  status.uplinks[0].metered = true;
  status.uplinks[0].rate_bps = 20'000'000;
  status.uplinks[0].pattern = "eth*";
  const std::string text = status_text(status, false);
  for (const char* part : {"switched off", "priority 12", "late by 4.56 ms", "metered", "rate 20M", "as eth*"})
    EXPECT_THAT(text, HasSubstr(part));
}

TEST(StatusText, what_is_unknown_is_said_to_be) {
  const std::string text = status_text(api::full_status(), false);
  for (const char* part : {"peer phone", "session none", "last handshake never", "no path yet", "down", "rtt ?",
                           "loss in ? out ?", "wlan0: not usable, mode - (absent)"}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
}

TEST(StatusText, uplinks_show_the_verdicts_that_occurred) {
  TunnelStatus status = api::full_status();
  status.uplinks[0].xdp = {};
  status.uplinks[0].xdp.duplicate = 5;
  const std::string text = status_text(status, false);
  const std::string uplinks = text.substr(text.find("\nuplinks"), text.find("\ncounters") - text.find("\nuplinks"));
  EXPECT_THAT(uplinks, HasSubstr("XDP: duplicate 5"));
  EXPECT_THAT(uplinks, testing::Not(HasSubstr("too_old")));
}

TEST(StatusText, what_was_refused_is_shown_by_reason_and_only_that) {
  TunnelStatus status = api::full_status();
  status.control = {.bad_mac1 = 18};
  status.total = {.bad_source = 7};
  const std::string text = status_text(status, false);
  EXPECT_THAT(text, HasSubstr("  control: bad_mac1 18\n  data: bad_source 7\n"));
}

TEST(StatusText, numbers_are_short_and_never_of_four_digits) {
  EXPECT_EQ(short_number(0), "0");
  EXPECT_EQ(short_number(999), "999");
  EXPECT_EQ(short_number(1000), "1.00 k");
  EXPECT_EQ(short_number(12345), "12.3 k");
  EXPECT_EQ(short_number(999499), "999 k");
  EXPECT_EQ(short_number(999999), "1.00 M");
  EXPECT_EQ(short_number(~uint64_t{0}), "18.4 E");
  EXPECT_EQ(short_duration(milliseconds(59999)), "59 s");
  EXPECT_EQ(short_duration(seconds(185)), "3 min 5 s");
  EXPECT_EQ(short_duration(seconds(7620)), "2 h 7 min");
  EXPECT_EQ(short_duration(seconds(5 * 86400 + 3 * 3600)), "5 d 3 h");
}

}  // namespace
}  // namespace centipede::cli
