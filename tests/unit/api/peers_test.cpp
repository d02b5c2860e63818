// /v1/peers and what is below it.
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "api_fixture.h"
#include "temporary_folder.h"

namespace centipede::api {
namespace {

using nlohmann::json;
using testing::HasSubstr;

using PeersTest = ApiTest;

std::string psk_text(uint8_t number) {
  return crypto::to_base64(test_preshared_key(number)->view());
}
std::string key_text(uint8_t number) {
  return test_key(number).base64();
}
bool has_key(const control::PeerSettings& peer, uint8_t number) {
  return peer.preshared_key && peer.preshared_key->equals(*test_preshared_key(number));
}

TEST_F(PeersTest, are_shown_as_they_are_set_without_their_secrets) {
  const json expected = {{"name", "office"},
                         {"public_key", key_text(7)},
                         {"has_preshared_key", true},
                         {"allowed_ips", {"10.10.0.2/32", "fd10::/64"}},
                         {"endpoints", {"203.0.113.5:5820", "[2001:db8::5]:5820", "vpn.example.org:5820"}},
                         {"policy", "backup"},
                         {"paths", {{{"uplink", "wlan0"}, {"enabled", false}, {"priority", 3}}}}};
  EXPECT_EQ(ok("GET", "/v1/peers/office"), expected);
  const json all = ok("GET", "/v1/peers");
  ASSERT_EQ(all["peers"].size(), 2U);
  EXPECT_EQ(all["peers"][0], expected);
  EXPECT_EQ(all["peers"][1]["has_preshared_key"], false);
  EXPECT_EQ(all.dump().find(psk_text(9)), std::string::npos);
}

TEST_F(PeersTest, are_found_by_name_and_by_key) {
  EXPECT_EQ(ok("GET", "/v1/peers/a%2Fb%20phone")["public_key"], key_text(2));
  std::string key;
  for (const char c : key_text(2))
    key += c == '/' ? "%2F" : c == '+' ? "%2B" : c == '=' ? "%3D" : std::string(1, c);
  EXPECT_EQ(ok("GET", "/v1/peers/" + key)["name"], "a/b phone");
  EXPECT_THAT(refused(404, "GET", "/v1/peers/nobody"), HasSubstr("\"nobody\""));
  EXPECT_THAT(refused(404, "PATCH", "/v1/peers/nobody", "{}"), HasSubstr("\"nobody\""));
  EXPECT_THAT(refused(404, "DELETE", "/v1/peers/nobody"), HasSubstr("\"nobody\""));
}

TEST_F(PeersTest, one_is_added_and_removed) {
  const json given = {{"name", "tablet"},
                      {"public_key", key_text(3)},
                      {"preshared_key", psk_text(7)},
                      {"allowed_ips", {"10.10.0.4/32"}},
                      {"endpoints", {"192.0.2.7:1", "x.example:2"}},
                      {"policy", "backup"},
                      {"paths", {{{"uplink", "eth0"}, {"priority", 1}}}}};
  const json shown = ok("POST", "/v1/peers", given.dump());
  EXPECT_EQ(shown, ok("GET", "/v1/peers/tablet"));
  const auto added = peer(2);
  EXPECT_EQ(added.name, "tablet");
  EXPECT_EQ(added.public_key, test_key(3));
  EXPECT_TRUE(has_key(added, 7));
  EXPECT_EQ(added.endpoints, std::vector{*Endpoint::parse("192.0.2.7:1")});
  EXPECT_EQ(added.host_endpoints, (std::vector<control::HostEndpoint>{{"x.example", 2}}));
  EXPECT_EQ(added.policy, control::Policy::backup);
  EXPECT_EQ(added.paths, (std::vector<control::PathSettings>{{.uplink = "eth0", .enabled = true, .priority = 1}}));
  EXPECT_EQ(tunnel_.changes(), 1U);
  ok("DELETE", "/v1/peers/tablet");
  EXPECT_EQ(tunnel_.settings()->peers.size(), 2U);
  EXPECT_EQ(peer(0).name, "office");
}

TEST_F(PeersTest, what_is_left_out_is_as_in_a_configuration_file) {
  ok("POST", "/v1/peers", json{{"public_key", key_text(3)}, {"policy", nullptr}}.dump());
  const auto added = peer(2);
  EXPECT_EQ(added.name, key_text(3).substr(0, 8));
  EXPECT_EQ(added.policy, control::Policy::redundant);
  EXPECT_FALSE(added.preshared_key);
}

TEST_F(PeersTest, one_that_is_there_already_is_a_conflict) {
  EXPECT_THAT(refused(409, "POST", "/v1/peers", json{{"public_key", key_text(7)}, {"name", "new"}}.dump()),
              HasSubstr("public key"));
  EXPECT_THAT(refused(409, "POST", "/v1/peers", json{{"public_key", key_text(3)}, {"name", "office"}}.dump()),
              HasSubstr("\"office\""));
  EXPECT_THAT(refused(409, "PATCH", "/v1/peers/office", R"({"name": "a/b phone"})"), HasSubstr("phone"));
  EXPECT_THAT(refused(409, "PATCH", "/v1/peers/office", json{{"public_key", key_text(2)}}.dump()),
              HasSubstr("public key"));
}

TEST_F(PeersTest, a_patch_changes_what_it_names_and_nothing_else) {
  const json before = ok("GET", "/v1/peers/office");
  json expected = before;
  expected["policy"] = "redundant";
  EXPECT_EQ(ok("PATCH", "/v1/peers/office", R"({"policy": "redundant"})"), expected);
  EXPECT_TRUE(has_key(peer(0), 9));
  expected["endpoints"] = json::array();
  expected["name"] = "headquarters";
  EXPECT_EQ(ok("PATCH", "/v1/peers/office", R"({"endpoints": null, "name": "headquarters"})"), expected);
  EXPECT_TRUE(has_key(peer(0), 9));
  EXPECT_TRUE(peer(0).host_endpoints.empty());
  // An empty one is not refused either.
  EXPECT_EQ(ok("PATCH", "/v1/peers/headquarters", "{}"), expected);
  expected["public_key"] = key_text(4);
  EXPECT_EQ(ok("PATCH", "/v1/peers/headquarters", json{{"public_key", key_text(4)}}.dump()), expected);
}

TEST_F(PeersTest, preshared_keys_are_kept_replaced_and_removed) {
  ok("PATCH", "/v1/peers/office", json{{"preshared_key", psk_text(5)}}.dump());
  EXPECT_TRUE(has_key(peer(0), 5));
  EXPECT_EQ(ok("PATCH", "/v1/peers/office", R"({"preshared_key": null})")["has_preshared_key"], false);
  EXPECT_FALSE(peer(0).preshared_key);
  EXPECT_THAT(refused(400, "PATCH", "/v1/peers/office", R"({"has_preshared_key": true})"), HasSubstr("no key to keep"));
  ok("PATCH", "/v1/peers/office", R"({"has_preshared_key": false})");
  EXPECT_THAT(refused(400, "PATCH", "/v1/peers/office", R"({"preshared_key": "short"})"), HasSubstr("44 characters"));
}

TEST_F(PeersTest, preshared_keys_come_from_files) {
  const TemporaryFolder folder;
  const std::string path = folder.file("office.psk");
  std::ofstream(path) << psk_text(6) << '\n';
  const json patch = {{"preshared_key_file", path}};
  EXPECT_EQ(ok("PATCH", "/v1/peers/office", patch.dump())["preshared_key_file"], path);
  EXPECT_TRUE(has_key(peer(0), 6));
  // The file may be away later: what is in force stays in force, but nobody else gets it.
  std::filesystem::remove(path);
  ok("PATCH", "/v1/peers/office", R"({"policy": "backup"})");
  ok("PATCH", "/v1/peers/office", patch.dump());
  EXPECT_TRUE(has_key(peer(0), 6));
  EXPECT_EQ(peer(0).preshared_key_file, path);
  EXPECT_THAT(refused(400, "PATCH", "/v1/peers/a%2Fb%20phone", patch.dump()), HasSubstr("cannot be read"));
  EXPECT_THAT(refused(400, "PATCH", "/v1/peers/office", R"({"preshared_key_file": "a.psk"})"),
              HasSubstr("absolute path"));
  EXPECT_THAT(refused(400, "PATCH", "/v1/peers/office",
                      json{{"preshared_key_file", path}, {"preshared_key", psk_text(1)}}.dump()),
              HasSubstr("keep one of them"));
  ok("PATCH", "/v1/peers/office", R"({"preshared_key_file": null})");
  EXPECT_FALSE(peer(0).preshared_key);
  EXPECT_TRUE(peer(0).preshared_key_file.empty());
}

TEST_F(PeersTest, what_cannot_be_is_refused_with_its_place) {
  const std::vector<std::pair<std::string, std::string>> wrong{
      {R"({"name": ""})", "name: "},
      {R"({"name": "a\nb"})", "name: "},
      {R"({"name": "a\u0000b"})", "name: "},
      {json{{"name", std::string(65, 'x')}}.dump(), "name: "},
      {R"({"name": 7})", "name: is no text"},
      {R"({"public_key": null})", "public_key: is missing"},
      {R"({"public_key": "AAAA"})", "public_key: "},
      {R"({"public_key": ")" + crypto::PublicKey{}.base64() + R"("})", "public_key: "},
      {R"({"allowed_ips": "10.0.0.1/32"})", "allowed_ips: is no list"},
      {R"({"allowed_ips": ["10.0.0.1/33"]})", "allowed_ips[0]: "},
      {R"({"allowed_ips": ["10.0.0.0/8", "10.0.0.1/8"]})", "allowed_ips[1]: 10.0.0.1/8 has bits"},
      {R"({"allowed_ips": ["10.0.0.0/8", "10.0.0.0/8"]})", "allowed_ips[1]: 10.0.0.0/8 is given twice"},
      {R"({"allowed_ips": [5]})", "allowed_ips[0]: is no text"},
      {R"({"endpoints": ["192.0.2.1"]})", "endpoints[0]: "},
      {R"({"endpoints": ["192.0.2.1:0"]})", "endpoints[0]: "},
      {R"({"endpoints": ["192.0.2.1:70000"]})", "endpoints[0]: "},
      {R"({"endpoints": ["0.0.0.0:1"]})", "endpoints[0]: 0.0.0.0:1 is no address that one can send to"},
      {R"({"endpoints": ["[fe80::1]:1"]})", "endpoints[0]: "},
      {R"({"endpoints": ["a b:1"]})", "endpoints[0]: "},
      {R"({"endpoints": ["h.example:1", "h.example:1"]})", "endpoints[1]: h.example:1 is given twice"},
      {R"({"policy": "adaptive"})", "policy: \"adaptive\" is no policy"},
      {R"({"policy": ["backup"]})", "policy: is no text"},
      {R"({"paths": [{}]})", "paths[0].uplink: is missing"},
      {R"({"paths": ["eth0"]})", "paths[0]: is no object"},
      {R"({"paths": [{"uplink": "eth*"}]})", "paths[0].uplink: "},
      {R"({"paths": [{"uplink": "eth0"}, {"uplink": "eth0"}]})", "paths[1].uplink: eth0 is given twice"},
      {R"({"paths": [{"uplink": "eth0", "priority": -1}]})", "paths[0].priority: "},
      {R"({"paths": [{"uplink": "eth0", "priority": 4294967296}]})", "paths[0].priority: "},
      {R"({"paths": [{"uplink": "eth0", "priority": 1.5}]})", "paths[0].priority: "},
      {R"({"paths": [{"uplink": "eth0", "enabled": 1}]})", "paths[0].enabled: "},
      {R"({"paths": [{"uplink": "eth0", "up": true}]})", "paths[0].\"up\": is not known"},
      {R"({"secret": 1})", "\"secret\": is not known; there are name"},
      {R"([])", "the body: is no object"},
  };
  for (const auto& [body, place] : wrong) {
    EXPECT_THAT(refused(400, "PATCH", "/v1/peers/office", body), HasSubstr(place)) << body;
    json whole = json::parse(body);
    if (whole.is_object() && !whole.contains("public_key")) whole["public_key"] = key_text(3);
    EXPECT_THAT(refused(400, "POST", "/v1/peers", whole.dump()), HasSubstr(place)) << body;
  }
}

TEST_F(PeersTest, paths_are_shown_as_they_are) {
  const json paths = ok("GET", "/v1/peers/office/paths")["paths"];
  ASSERT_EQ(paths.size(), 2U);
  EXPECT_EQ(paths[0]["uplink_name"], "eth0");
  EXPECT_EQ(paths[0]["late_us"], 2345);
  EXPECT_EQ(paths[1]["enabled"], false);
  refused(404, "GET", "/v1/peers/nobody/paths");
}

TEST_F(PeersTest, paths_are_taken_out_of_use_and_preferred) {
  const std::string target = "/v1/peers/a%2Fb%20phone/paths/eth0";
  EXPECT_EQ(ok("PATCH", target, R"({"enabled": false})"),
            json({{"uplink", "eth0"}, {"enabled", false}, {"priority", nullptr}}));
  EXPECT_EQ(ok("PATCH", target, R"({"priority": 7})"), json({{"uplink", "eth0"}, {"enabled", false}, {"priority", 7}}));
  EXPECT_EQ(peer(1).paths, (std::vector<control::PathSettings>{{.uplink = "eth0", .enabled = false, .priority = 7}}));
  ok("PATCH", target, R"({"priority": null, "enabled": true})");
  EXPECT_TRUE(peer(1).paths.empty()) << "what says nothing is not kept";
  // A device that a pattern takes.
  ok("PATCH", "/v1/peers/office/paths/wlan7", R"({"enabled": false})");
  EXPECT_EQ(peer(0).paths.size(), 2U);
  EXPECT_THAT(refused(404, "PATCH", "/v1/peers/office/paths/eth9", R"({"enabled": false})"), HasSubstr("\"eth9\""));
  EXPECT_THAT(refused(400, "PATCH", target, R"({"uplink": "eth1"})"), HasSubstr("\"uplink\": is not known"));
  EXPECT_THAT(refused(400, "PATCH", target, R"({"enabled": "no"})"), HasSubstr("enabled: "));
  refused(404, "PATCH", "/v1/peers/nobody/paths/eth0", "{}");
}

TEST_F(PeersTest, ping_tells_of_every_path) {
  const json paths = ok("POST", "/v1/peers/office/ping")["paths"];
  ASSERT_EQ(paths.size(), 2U);
  EXPECT_EQ(paths[0]["rtt_us"], 12000);
  EXPECT_EQ(paths[0]["remote"], "203.0.113.5:5820");
  EXPECT_TRUE(paths[1]["rtt_us"].is_null());
  ok("POST", "/v1/peers/office/ping", R"({"timeout_ms": 10})");
  refused(404, "POST", "/v1/peers/nobody/ping");
  refused(400, "POST", "/v1/peers/office/ping", R"({"timeout_ms": 10001})");
  refused(400, "POST", "/v1/peers/office/ping", R"({"timeout": 1})");
}

}  // namespace
}  // namespace centipede::api
