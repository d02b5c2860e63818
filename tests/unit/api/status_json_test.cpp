#include "api/status_json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "fake_tunnel.h"

namespace centipede::api {
namespace {

using nlohmann::json;

TEST(StatusJson, everything_survives_the_way_to_text_and_back) {
  const std::string text = to_json(full_status());
  const auto back = status_from_json(text);
  ASSERT_TRUE(back) << back.error().text;
  EXPECT_EQ(to_json(*back), text);
  // The values themselves, for a field that both ways forget would pass the comparison above.
  const control::PathStatus& path = back->peers.at(0).paths.at(0);
  EXPECT_EQ(path.rtt, microseconds(12345));
  EXPECT_EQ(path.only_here, full_status().peers[0].paths[0].only_here);
  EXPECT_EQ(path.remote, *Endpoint::parse("203.0.113.5:5820"));
  EXPECT_EQ(back->peers[0].session_age, milliseconds(42500));
  EXPECT_EQ(back->peers[0].policy, control::Policy::backup);
  EXPECT_EQ(back->peers[0].paths[1].state, control::PathState::down);
  EXPECT_FALSE(back->peers[0].paths[1].rtt);
  EXPECT_EQ(back->uplinks[0].xdp.foreign, full_status().uplinks[0].xdp.foreign);
  EXPECT_EQ(back->workers[1].tun_write_failed, full_status().workers[1].tun_write_failed);
  EXPECT_EQ(back->public_key, full_status().public_key);
}

// A member that is new does not compile here: tell of it in status_json.cpp, status_reading.cpp, openapi.json and, when
// it counts something, in metrics.cpp and GET /v1/statistics; then it goes into one of these lists.
TEST(StatusJson, no_member_of_the_status_is_forgotten) {
  const TunnelStatus status = full_status();
  const json document = json::parse(to_json(status));
  {
    const auto& [name, version, uptime, public_key, listen_port, addresses, mtu, aead, keylog_allowed, windows_shrunk,
                 sessions_waiting, uplinks, peers, control, total, workers] = status;
    EXPECT_EQ(document.size(), 16U);
    EXPECT_EQ(document["windows_shrunk"], windows_shrunk);
    EXPECT_EQ(document["sessions_waiting"], sessions_waiting);
  }
  {
    const auto& [id, name, usable, priority, metered, rate_bps, pattern, addresses, mode, reason, xdp, xsk_dropped,
                 fill_ring_empty] = status.uplinks[0];
    EXPECT_EQ(document["uplinks"][0].size(), 13U);
    EXPECT_EQ(document["uplinks"][0]["fill_ring_empty"], fill_ring_empty);
  }
}

TEST(StatusJson, every_counter_has_a_value_of_its_own_in_the_text) {
  const json document = json::parse(to_json(full_status()));
  EXPECT_EQ(document["uplinks"][0]["xdp"].size(), 18U);
  EXPECT_EQ(document["total"].size(), 22U);
  EXPECT_EQ(document["control"].size(), 26U);
  EXPECT_NE(document["total"]["duplicate"], document["total"]["too_old"]);
}

TEST(StatusJson, keys_and_units_are_those_of_the_contract) {
  const json document = json::parse(to_json(full_status()));
  const json& path = document["peers"][0]["paths"][0];
  EXPECT_EQ(path["rtt_us"], 12345);
  EXPECT_EQ(path["loss_in"], 0.25);
  EXPECT_EQ(path["state"], "active");
  EXPECT_EQ(path["remote"], "203.0.113.5:5820");
  EXPECT_TRUE(document["peers"][0]["paths"][1]["rtt_us"].is_null());
  EXPECT_EQ(document["peers"][0]["session_age_s"], 42.5);
  EXPECT_TRUE(document["peers"][1]["last_handshake_s"].is_null());
  EXPECT_EQ(document["addresses"], json::array({"10.10.0.1/24", "fd10::1/64"}));
}

TEST(StatusJson, unknown_keys_are_ignored_and_missing_or_wrong_ones_are_named) {
  json document = json::parse(to_json(full_status()));
  document["a_later_version"] = {{"says", "more"}};
  EXPECT_TRUE(status_from_json(document.dump()));
  struct Case {
    json::json_pointer where;
    json value;
    std::string named;
  };
  const std::vector<Case> cases{
      {json::json_pointer("/mtu"), "large", "mtu"},
      {json::json_pointer("/listen_port"), 70000, "listen_port"},
      {json::json_pointer("/listen_port"), -1, "listen_port"},
      {json::json_pointer("/peers/0/paths/1/state"), "asleep", "peers[0].paths[1].state"},
      {json::json_pointer("/peers/0/paths/0/remote"), "nowhere", "peers[0].paths[0].remote"},
      {json::json_pointer("/peers/0/session_age_s"), 1e300, "peers[0].session_age_s"},
      {json::json_pointer("/peers/1"), 5, "peers[1]"},
      {json::json_pointer("/workers/1/opened"), nullptr, "workers[1].opened"},
      {json::json_pointer("/uplinks/0/xdp"), json::array(), "uplinks[0].xdp"},
      {json::json_pointer("/addresses/0"), "10.0.0.0/99", "addresses[0]"},
  };
  for (const Case& one : cases) {
    json changed = document;
    changed[one.where] = one.value;
    const auto read = status_from_json(changed.dump());
    ASSERT_FALSE(read) << one.named;
    EXPECT_NE(read.error().text.find(one.named), std::string::npos) << read.error().text;
  }
  document.erase("aead");
  ASSERT_FALSE(status_from_json(document.dump()));
  EXPECT_NE(status_from_json(document.dump()).error().text.find("aead is missing"), std::string::npos);
}

TEST(StatusJson, reading_garbage_is_an_error_and_no_crash) {
  const std::string genuine = to_json(full_status());
  std::mt19937 random(1);
  for (const std::string& text : {std::string(), std::string("null"), std::string("[]"), std::string("\xff\xfe"),
                                  std::string(100000, '['), std::string(100000, '{')}) {
    EXPECT_FALSE(status_from_json(text));
  }
  for (int i = 0; i < 1000; ++i) {
    std::string text = genuine;
    for (int changes = 0; changes < 3; ++changes)
      text[random() % text.size()] = static_cast<char>(random());
    text.resize(random() % 2 == 0 ? text.size() : random() % text.size());
    (void)status_from_json(text);
  }
}

TEST(StatusJson, a_name_that_is_no_utf8_does_not_stop_the_answer) {
  TunnelStatus status = full_status();
  status.peers[0].name = "\xff\xfe";
  EXPECT_NO_THROW((void)to_json(status));
}

}  // namespace
}  // namespace centipede::api
