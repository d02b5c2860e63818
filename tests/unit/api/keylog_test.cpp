#include "api/keylog.h"

#include <gtest/gtest.h>

#include "api/router.h"
#include "fake_tunnel.h"

namespace centipede::api {
namespace {

constexpr const char* heading = "# centipede key log 1: session id, key, iv, to or from, peer\n";

std::string of_sid(std::string_view digits, std::string_view first_of_key, std::string_view direction) {
  return std::string(digits) + " " + std::string(first_of_key) + std::string(62, '0') + " ff" + std::string(22, '0') +
         " " + std::string(direction) + " the office\n";
}

TEST(Keylog, a_line_has_session_key_iv_direction_and_the_peers_whole_name) {
  FakeTunnel tunnel;
  tunnel.sessions = 1;
  auto keys = *tunnel.session_keys();
  keys[0].sid = 0x0102030405060708;
  EXPECT_EQ(keylog_text(keys),
            heading + of_sid("0102030405060708", "01", "from") + of_sid("0000000000000002", "02", "to"));
  EXPECT_EQ(keylog_text({}), heading);
}

TEST(Keylog, the_session_of_a_line_is_its_first_column_and_a_comment_has_none) {
  EXPECT_EQ(keylog_session(of_sid("0102030405060708", "01", "from")), "0102030405060708");
  EXPECT_EQ(keylog_session(heading), "");
}

TEST(Keylog, keys_are_given_only_by_a_tunnel_that_was_started_for_it_and_over_its_own_socket) {
  FakeTunnel tunnel;
  ApiCounters counters;
  const Router router({tunnel, {}, counters});
  const auto ask = [&](bool may_change) {
    return router.answer({.method = "GET", .target = "/v1/keylog", .may_change = may_change});
  };
  EXPECT_EQ(ask(true).status, 403);
  EXPECT_NE(ask(true).body.find("--allow-keylog"), std::string::npos) << ask(true).body;
  tunnel.sessions = 2;
  EXPECT_EQ(ask(true).status, 200);
  EXPECT_EQ(ask(true).body, keylog_text(*tunnel.session_keys()));
  EXPECT_EQ(ask(false).status, 403);
  EXPECT_EQ(ask(false).body.find("the office"), std::string::npos) << ask(false).body;
}

}  // namespace
}  // namespace centipede::api
