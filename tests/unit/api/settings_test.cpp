// /v1/config, /v1/uplinks, /v1/reload and what only shows.
#include <gmock/gmock.h>

#include <map>

#include "api/config_json.h"
#include "api_fixture.h"
#include "dataplane/uplink_selection.h"

namespace centipede::api {
namespace {

using nlohmann::json;
using testing::HasSubstr;

using SettingsTest = ApiTest;

TEST_F(SettingsTest, what_is_shown_can_be_sent_back_and_changes_nothing) {
  const json before = ok("GET", "/v1/config");
  EXPECT_EQ(before["uplinks"][1],
            json({{"name", "wl*"}, {"priority", 5}, {"metered", true}, {"rate_bps", 20'000'000}}));
  EXPECT_EQ(before["exclude_uplinks"], json({"docker*"}));
  ok("PUT", "/v1/config", before.dump());
  EXPECT_EQ(tunnel_.changes(), 1U);
  EXPECT_EQ(ok("GET", "/v1/config"), before);
  EXPECT_EQ(tunnel_.settings()->uplinks, some_settings().uplinks);
  ASSERT_TRUE(peer(0).preshared_key);
  EXPECT_TRUE(peer(0).preshared_key->equals(*test_preshared_key(9))) << "kept, without being shown";
}

TEST_F(SettingsTest, a_client_reads_them_back) {
  const auto shown = shown_settings_from_json(ask("GET", "/v1/config").body);
  ASSERT_TRUE(shown) << shown.error().text;
  json expected = ok("GET", "/v1/config");
  expected["peers"][0]["has_preshared_key"] = false;
  EXPECT_EQ(json::parse(settings_json(shown->settings)), expected);
  EXPECT_EQ(shown->with_preshared_key, std::vector{test_key(7)});
  EXPECT_FALSE(shown_settings_from_json("{}"));
  EXPECT_FALSE(shown_settings_from_json(R"({"peers": [5], "uplinks": [], "exclude_uplinks": []})"));
}

TEST_F(SettingsTest, all_of_them_are_replaced_or_none) {
  json config = ok("GET", "/v1/config");
  config["peers"].erase(0);
  config["peers"].push_back({{"public_key", test_key(5).base64()}, {"name", "new"}});
  config["uplinks"] = {{{"name", "wwan0"}}};
  ok("PUT", "/v1/config", config.dump());
  EXPECT_EQ(peer(0).name, "a/b phone");
  EXPECT_EQ(peer(1).name, "new");
  EXPECT_EQ(tunnel_.uplinks(), std::set<std::string>{"wwan0"});
  config["uplinks"].push_back({{"name", "eth1"}});
  json wrong = config;
  wrong["peers"][1]["allowed_ips"] = {"10.0.0.0/40"};
  EXPECT_THAT(refused(400, "PUT", "/v1/config", wrong.dump()), HasSubstr("peers[1].allowed_ips[0]"));
  wrong = config;
  wrong["peers"][1]["has_preshared_key"] = true;
  EXPECT_THAT(refused(400, "PUT", "/v1/config", wrong.dump()), HasSubstr("peers[1].has_preshared_key"));
  wrong = config;
  wrong["peers"].push_back(wrong["peers"][0]);
  EXPECT_THAT(refused(409, "PUT", "/v1/config", wrong.dump()), HasSubstr("public key"));
  for (const char* key : {"uplinks", "exclude_uplinks", "peers"}) {
    wrong = config;
    wrong.erase(key);
    EXPECT_THAT(refused(400, "PUT", "/v1/config", wrong.dump()), HasSubstr(std::string(key) + ": is missing"));
    wrong[key] = {{"a", 1}};
    refused(400, "PUT", "/v1/config", wrong.dump());
  }
  EXPECT_EQ(tunnel_.uplinks(), std::set<std::string>{"wwan0"});
}

TEST_F(SettingsTest, a_reload_tells_what_has_changed_or_what_is_wrong) {
  reload_ = []() -> Result<std::vector<std::string>> { return std::vector<std::string>{"peer office: allowed_ips"}; };
  EXPECT_EQ(ok("POST", "/v1/reload"), json({{"changes", {"peer office: allowed_ips"}}}));
  reload_ = []() -> Result<std::vector<std::string>> { return fail("cp0.toml:3:1: no value", EINVAL); };
  EXPECT_EQ(refused(400, "POST", "/v1/reload"), "cp0.toml:3:1: no value");
  const Router without({tunnel_, {}, counters_});
  EXPECT_EQ(without.answer({.method = "POST", .target = "/v1/reload", .may_change = true}).status, 501);
}

TEST_F(SettingsTest, uplinks_are_added_changed_and_removed) {
  EXPECT_EQ(ok("POST", "/v1/uplinks", R"({"name": "wwan0", "metered": true})"),
            json({{"name", "wwan0"}, {"priority", nullptr}, {"metered", true}, {"rate_bps", 0}}));
  EXPECT_EQ(ok("PATCH", "/v1/uplinks/wwan0", R"({"priority": 4, "rate_bps": 7})"),
            json({{"name", "wwan0"}, {"priority", 4}, {"metered", true}, {"rate_bps", 7}}));
  EXPECT_EQ(ok("PATCH", "/v1/uplinks/wwan0", R"({"priority": null})")["priority"], nullptr);
  EXPECT_EQ(ok("GET", "/v1/uplinks/wwan0")["rate_bps"], 7);
  EXPECT_EQ(ok("GET", "/v1/uplinks")["uplinks"].size(), 3U);
  ok("DELETE", "/v1/uplinks/wwan0");
  refused(404, "DELETE", "/v1/uplinks/wwan0");
  refused(404, "GET", "/v1/uplinks/wwan0");
  refused(404, "PATCH", "/v1/uplinks/wwan0", "{}");
  EXPECT_THAT(refused(409, "POST", "/v1/uplinks", R"({"name": "eth0"})"), HasSubstr("eth0 is attached already"));
  EXPECT_THAT(refused(404, "POST", "/v1/uplinks", R"({"name": "missing0"})"), HasSubstr("no such device"));
}

TEST_F(SettingsTest, patterns_wait_for_their_devices) {
  ok("POST", "/v1/uplinks", R"({"name": "missin?*"})");
  EXPECT_THAT(refused(409, "POST", "/v1/uplinks", R"({"name": "missin?*"})"), HasSubstr("missin?*"));
  ok("DELETE", "/v1/uplinks/missin%3F*");
  EXPECT_EQ(tunnel_.settings()->uplinks, some_settings().uplinks);
  refused(404, "DELETE", "/v1/uplinks/missin%3F*");
}

TEST_F(SettingsTest, a_patterns_device_gets_settings_of_its_own) {
  EXPECT_EQ(ok("GET", "/v1/uplinks/wlan0")["priority"], 5);
  EXPECT_EQ(ok("PATCH", "/v1/uplinks/wlan0", R"({"metered": false})"),
            json({{"name", "wlan0"}, {"priority", 5}, {"metered", false}, {"rate_bps", 20'000'000}}));
  EXPECT_EQ(ok("GET", "/v1/uplinks/wlan1")["metered"], true);
  EXPECT_EQ(ok("GET", "/v1/uplinks/wl*")["metered"], true);
}

TEST_F(SettingsTest, a_device_with_settings_of_its_own_leaves_the_others_their_priorities) {
  const auto priorities = [this] {
    const TunnelSettings settings = *tunnel_.settings();
    std::map<std::string, uint32_t> all;
    for (const std::string device : {"wlan0", "wlan1", "eth0", "eth1", "wwan0", "usb0"}) {
      const UplinkSettings* entry = entry_for(settings.uplinks, settings.excluded_uplinks, device);
      const auto place = static_cast<uint32_t>(entry - settings.uplinks.data());
      all[device] = entry->priority.value_or(place);
    }
    return all;
  };
  const std::string uplinks =
      R"([{"name": "wl*"}, {"name": "eth*"}, {"name": "wwan0", "priority": 2}, {"name": "usb?", "priority": 9}])";
  ok("PUT", "/v1/config", R"({"peers": [], "exclude_uplinks": [], "uplinks": )" + uplinks + "}");
  const auto before = priorities();
  for (const char* device : {"wlan0", "eth1", "usb0"}) {
    ok("PATCH", "/v1/uplinks/" + std::string(device), R"({"metered": true})");
    EXPECT_EQ(ok("GET", "/v1/uplinks/" + std::string(device))["metered"], true) << device;
    EXPECT_EQ(priorities(), before) << device;
  }
  // Without a priority it has its place in the list, which is the pattern's.
  ok("PATCH", "/v1/uplinks/wlan1", R"({"priority": null})");
  EXPECT_EQ(priorities(), before);
}

TEST_F(SettingsTest, a_tunnel_that_is_stopping_says_so_instead_of_an_empty_status) {
  tunnel_.stopping = true;
  for (const char* target : {"/v1/status", "/v1/interface", "/v1/sessions", "/v1/statistics", "/v1/metrics",
                             "/v1/config", "/v1/uplinks", "/v1/peers", "/v1/peers/office/paths"})
    EXPECT_EQ(refused(409, "GET", target), "the tunnel is stopping") << target;
}

TEST_F(SettingsTest, what_cannot_be_an_uplink_is_refused_with_its_place) {
  const std::vector<std::pair<std::string, std::string>> wrong{
      {R"({})", "name: is missing"},
      {R"({"name": 5})", "name: is no text"},
      {R"({"name": ""})", "name: "},
      {R"({"name": "sixteen-letters!"})", "name: "},
      {R"({"name": "a b"})", "name: "},
      {R"({"name": "../x"})", "name: "},
      {R"({"name": "e\u0000"})", "name: "},
      {R"({"name": "eth7", "priority": "1"})", "priority: "},
      {R"({"name": "eth7", "metered": 1})", "metered: "},
      {R"({"name": "eth7", "rate_bps": -1})", "rate_bps: "},
      {R"({"name": "eth7", "rate_bps": 1000000000001})", "rate_bps: "},
      {R"({"name": "eth7", "rate_bps": 1e3})", "rate_bps: "},
      {R"({"name": "eth7", "rate": 1})", "\"rate\": is not known; there are name, priority"},
  };
  for (const auto& [body, place] : wrong)
    EXPECT_THAT(refused(400, "POST", "/v1/uplinks", body), HasSubstr(place)) << body;
  EXPECT_THAT(refused(400, "PATCH", "/v1/uplinks/eth0", R"({"name": "eth1"})"), HasSubstr("\"name\": is not known"));
  ok("POST", "/v1/uplinks", R"({"name": "fifteen-letters"})");
}

TEST_F(SettingsTest, bodies_that_are_no_json_are_refused) {
  const std::vector<std::pair<std::string, std::string>> wrong{
      {"", "the body is empty"},
      {"{", "no JSON: mistake at byte 2"},
      {"{} {}", "no JSON"},
      {"NaN", "no JSON"},
      {R"({"a": NaN})", "no JSON"},
      {R"({"rate_bps": 1e999})", "number too large"},
      {R"({"name": "a", "name": "b"})", "the key \"name\" is in one object twice"},
      {R"({"paths": [{"a": 1, "a": 1}]})", "the key \"a\" is in one object twice"},
      {"{\"name\": \"\xff\xfe\"}", "no JSON"},
      {"{\"name\": \"\xc0\xaf\"}", "no JSON"},
      {R"({"name": "\ud800"})", "no JSON"},
      {"\xef\xbb\xbf", "no JSON"},
      {std::string(100'000, '['), "more than 16 levels"},
      {std::string(1000, '\0'), "no JSON"},
  };
  for (const auto& [body, text] : wrong) {
    for (const char* target : {"/v1/uplinks", "/v1/peers"})
      EXPECT_THAT(refused(400, "POST", target, body), HasSubstr(text)) << body.substr(0, 50);
    for (const char* target : {"/v1/uplinks/eth0", "/v1/peers/office", "/v1/peers/office/paths/eth0"})
      EXPECT_THAT(refused(400, "PATCH", target, body), HasSubstr(text)) << body.substr(0, 50);
    EXPECT_THAT(refused(400, "PUT", "/v1/config", body), HasSubstr(text)) << body.substr(0, 50);
  }
}

TEST_F(SettingsTest, targets_that_are_none_are_refused) {
  for (const char* target : {"", "*", "v1/status", "http://x/v1/status", "/v1/peers/%", "/v1/peers/%4", "/v1/peers/%zz",
                             "/v1/events?a=%x", "/v1/events?after=1&after=2", "/v1/status?x=1"})
    refused(400, "GET", target);
  for (const char* target : {"/", "/v1", "/v1/", "/v2/status", "/v1/status/", "//v1/status", "/v1/peers/",
                             "/v1/peers//paths", "/v1/peers/office/paths/", "/v1/%2e%2e/status"})
    refused(404, "GET", target);
  const ApiAnswer answer = ask("DELETE", "/v1/uplinks");
  EXPECT_EQ(answer.status, 405);
  EXPECT_EQ(answer.allow, "GET, POST");
}

TEST_F(SettingsTest, the_reading_socket_changes_nothing) {
  for (const Route& route : Router::routes()) {
    if (route.method == "GET") continue;
    std::string target(route.path);
    for (const auto& [name, value] : {std::pair{"{peer}", "office"}, std::pair{"{uplink}", "eth0"}}) {
      if (const size_t at = target.find(name); at != std::string::npos)
        target.replace(at, std::string_view(name).size(), value);
    }
    const auto answer = router_.answer({.method = std::string(route.method), .target = target, .body = "{}"});
    EXPECT_EQ(answer.status, 403) << route.method << ' ' << target;
  }
  EXPECT_EQ(tunnel_.changes(), 0U);
  EXPECT_FALSE(tunnel_.stopped());
}

TEST_F(SettingsTest, what_only_shows_shows) {
  EXPECT_EQ(ok("GET", "/v1/statistics")["windows_shrunk"], 4000);
  EXPECT_EQ(ok("GET", "/v1/statistics")["sessions_waiting"], 5000);
  EXPECT_EQ(ok("GET", "/v1/interface")["uptime_s"], 86400.25);
  EXPECT_EQ(ok("GET", "/v1/interface")["configured"]["mode"], "udp");
  EXPECT_EQ(ok("GET", "/v1/interface")["configured"]["dns"], nlohmann::json({"10.10.0.53"}));
  EXPECT_EQ(ok("GET", "/v1/sessions")["sessions"][0], json({{"peer", "office"},
                                                            {"public_key", full_status().public_key.base64()},
                                                            {"age_s", 42.5},
                                                            {"last_handshake_s", 43.0},
                                                            {"handshakes", 2}}));
  EXPECT_EQ(ok("GET", "/v1/policies")["policies"][1]["name"], "backup");
  counters_.event_streams_cut = 3;
  const json statistics = ok("GET", "/v1/statistics");
  EXPECT_EQ(statistics["api"]["event_streams_cut"], 3);
  EXPECT_EQ(statistics["total"], ok("GET", "/v1/status")["total"]);
}

}  // namespace
}  // namespace centipede::api
