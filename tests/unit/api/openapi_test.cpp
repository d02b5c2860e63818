// The server is held to its description: the same routes, and answers, good and bad, as the schemas say.
#include "api/openapi.h"

#include <gmock/gmock.h>

#include <set>

#include "api_fixture.h"
#include "schema_check.h"

namespace centipede::api {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class OpenApiTest : public ApiTest {
 protected:
  OpenApiTest() : description_(json::parse(openapi_text())), check_(description_) {
    reload_ = []() -> Result<std::vector<std::string>> { return std::vector<std::string>{"peer office: policy"}; };
    tunnel_.events().post({.kind = "path", .peer = "office", .uplink = "eth0", .text = "up"});
  }

  // The description of an operation, with "/v1/peers/{peer}" for its path.
  const json& operation(const std::string& method, const std::string& path) {
    std::string word = method;
    std::ranges::transform(word, word.begin(), [](char c) { return static_cast<char>(c | 0x20); });
    return description_.at("paths").at(path).at(word);
  }
  // What does not fit in an answer; empty when all does.
  std::string problem(const ApiAnswer& answer, const json& of) {
    const json& responses = of.at("responses");
    const std::string status = std::to_string(answer.status);
    if (answer.status < 400 && !responses.contains(status)) return "status " + status + " is not described";
    const json& response = check_.resolved(responses.contains(status) ? responses[status] : responses.at("default"));
    const std::string type = answer.content_type.substr(0, answer.content_type.find(';'));
    if (!response.at("content").contains(type)) return "content of type " + type + " is not described";
    if (type != "application/json") return "";
    const json& schema = response["content"][type]["schema"];
    if (schema == json{{"type", "object"}}) return json::accept(answer.body) ? "" : "no JSON";
    return check_.problem(json::parse(answer.body), schema);
  }
  void expect_as_described(const std::string& method, const std::string& path, const std::string& target,
                           const json& body, int status) {
    const json& of = operation(method, path);
    std::string text;
    if (!body.is_null()) {
      text = body.dump();
      ASSERT_TRUE(of.contains("requestBody")) << method << path << " takes no body by its description";
      const json& schema = of["requestBody"]["content"]["application/json"]["schema"];
      if (status == 200) {
        EXPECT_EQ(check_.problem(body, schema), "") << method << target << text;
      }
    }
    const ApiAnswer answer = ask(method, target, text);
    EXPECT_EQ(answer.status, status) << method << ' ' << target << ' ' << text << ' ' << answer.body;
    EXPECT_EQ(problem(answer, of), "") << method << ' ' << target << ' ' << answer.body;
    called_.insert(method + " " + path);
  }

  json description_;
  SchemaCheck check_;
  std::set<std::string> called_;
};

TEST_F(OpenApiTest, describes_the_routes_that_there_are_and_no_others) {
  std::set<std::string> served;
  for (const Route& route : Router::routes())
    served.insert(std::string(route.method) + " " + std::string(route.path));
  std::set<std::string> described;
  std::set<std::string> names;
  for (const auto& [path, methods] : description_["paths"].items()) {
    for (const auto& [method, of] : methods.items()) {
      if (method == "parameters") continue;
      std::string word = method;
      std::ranges::transform(word, word.begin(), [](char c) { return static_cast<char>(c & ~0x20); });
      described.insert(word + " " + path);
      EXPECT_TRUE(names.insert(of.at("operationId")).second) << path;
    }
    // Each {name} in the path is a parameter.
    std::set<std::string> in_path;
    for (size_t at = 0; (at = path.find('{', at)) != std::string::npos; ++at)
      in_path.insert(path.substr(at + 1, path.find('}', at) - at - 1));
    std::set<std::string> parameters;
    for (const auto& parameter : methods.value("parameters", json::array()))
      parameters.insert(parameter.at("name"));
    EXPECT_EQ(in_path, parameters) << path;
  }
  EXPECT_EQ(served, described);
  EXPECT_EQ(description_["openapi"], "3.0.3");
}

TEST_F(OpenApiTest, every_reference_leads_somewhere_and_every_schema_is_used) {
  std::set<std::string> referred;
  const std::function<void(const json&)> walk = [&](const json& at) {
    if (at.is_object() && at.contains("$ref")) {
      const auto target = at["$ref"].get<std::string>();
      EXPECT_TRUE(description_.contains(json::json_pointer(target.substr(1)))) << target;
      referred.insert(target);
    }
    if (at.is_structured())
      for (const auto& child : at)
        walk(child);
  };
  walk(description_);
  for (const char* kind : {"schemas", "responses"})
    for (const auto& [name, schema] : description_["components"][kind].items())
      EXPECT_TRUE(referred.contains("#/components/" + std::string(kind) + "/" + name)) << name;
}

TEST_F(OpenApiTest, every_operation_answers_as_described) {
  const auto get = [&](const std::string& path, const std::string& target = "") {
    expect_as_described("GET", path, target.empty() ? path : target, nullptr, 200);
  };
  const std::string uplink = "/v1/uplinks/{uplink}";
  const std::string peer = "/v1/peers/{peer}";
  for (const char* path : {"/v1/status", "/v1/interface", "/v1/sessions", "/v1/statistics", "/v1/policies",
                           "/v1/config", "/v1/uplinks", "/v1/peers", "/v1/events", "/v1/metrics", "/v1/openapi.json"})
    get(path);
  get("/v1/events", "/v1/events?follow=0&after=0");
  get(uplink, "/v1/uplinks/wlan0");
  get(peer, "/v1/peers/office");
  get("/v1/peers/{peer}/paths", "/v1/peers/office/paths");
  const json config = ok("GET", "/v1/config");
  tunnel_.sessions = 1;
  get("/v1/keylog");
  expect_as_described("PUT", "/v1/config", "/v1/config", config, 200);
  expect_as_described("POST", "/v1/reload", "/v1/reload", nullptr, 200);
  const json wwan = {{"name", "wwan0"}, {"priority", nullptr}, {"metered", true}, {"rate_bps", 1}};
  expect_as_described("POST", "/v1/uplinks", "/v1/uplinks", wwan, 200);
  expect_as_described("PATCH", uplink, "/v1/uplinks/wwan0", {{"priority", 1}, {"metered", nullptr}}, 200);
  expect_as_described("DELETE", uplink, "/v1/uplinks/wwan0", nullptr, 200);
  const json tablet = {{"name", "tablet"},
                       {"public_key", test_key(3).base64()},
                       {"preshared_key", nullptr},
                       {"allowed_ips", {"10.10.0.9/32"}},
                       {"endpoints", {"x.example:1"}},
                       {"policy", "backup"},
                       {"paths", {{{"uplink", "eth0"}, {"enabled", false}}}}};
  expect_as_described("POST", "/v1/peers", "/v1/peers", tablet, 200);
  expect_as_described("PATCH", peer, "/v1/peers/tablet", {{"policy", nullptr}, {"name", "slate"}}, 200);
  expect_as_described("PATCH", "/v1/peers/{peer}/paths/{uplink}", "/v1/peers/slate/paths/eth0", {{"priority", 1}}, 200);
  expect_as_described("DELETE", peer, "/v1/peers/slate", nullptr, 200);
  expect_as_described("POST", "/v1/peers/{peer}/ping", "/v1/peers/office/ping", {{"timeout_ms", 5}}, 200);
  expect_as_described("POST", "/v1/stop", "/v1/stop", nullptr, 200);
  for (const Route& route : Router::routes())
    EXPECT_TRUE(called_.contains(std::string(route.method) + " " + std::string(route.path)))
        << route.method << ' ' << route.path << " is not tried here";
}

TEST_F(OpenApiTest, every_refusal_is_as_described) {
  for (const Route& route : Router::routes()) {
    const std::string method(route.method);
    const std::string path(route.path);
    const json& of = operation(method, path);
    const auto target = [&](const char* peer, const char* uplink) {
      std::string out = path;
      for (const auto& [name, value] : {std::pair{"{peer}", peer}, std::pair{"{uplink}", uplink}})
        if (const size_t at = out.find(name); at != std::string::npos)
          out.replace(at, std::string_view(name).size(), value);
      return out;
    };
    const auto refused = [&](const ApiRequest& request) {
      const ApiAnswer answer = router_.answer(request);
      EXPECT_GE(answer.status, 400) << method << ' ' << request.target << ' ' << answer.body;
      EXPECT_EQ(problem(answer, of), "") << method << ' ' << request.target << ' ' << answer.body;
      return answer.status;
    };
    refused({.method = method, .target = target("office", "eth0") + "?what=1", .may_change = true});
    EXPECT_EQ(refused({.method = "BREW", .target = target("office", "eth0"), .may_change = true}), 405);
    if (path.find('{') != std::string::npos) {
      EXPECT_EQ(refused({.method = method, .target = target("nobody", "none0"), .body = "{}", .may_change = true}),
                404);
    }
    if (method == "GET") continue;
    EXPECT_EQ(refused({.method = method, .target = target("office", "eth0"), .body = "{}"}), 403);
    EXPECT_TRUE(of["responses"].contains("403")) << method << path;
    if (of.contains("requestBody")) {
      EXPECT_EQ(refused({.method = method, .target = target("office", "eth0"), .body = "[", .may_change = true}), 400);
      EXPECT_EQ(
          refused({.method = method, .target = target("office", "eth0"), .body = R"({"what": 1})", .may_change = true}),
          400);
    }
  }
  reload_ = []() -> Result<std::vector<std::string>> { return fail("cp0.toml:1:1: no", EINVAL); };
  expect_as_described("POST", "/v1/reload", "/v1/reload", nullptr, 400);
  expect_as_described("POST", "/v1/uplinks", "/v1/uplinks", {{"name", "eth0"}}, 409);
  expect_as_described("DELETE", "/v1/uplinks/{uplink}", "/v1/uplinks/throws0", nullptr, 500);
}

TEST_F(OpenApiTest, the_checker_of_this_test_sees_mistakes) {
  const json schema = {{"type", "object"},
                       {"properties", {{"a", {{"type", "integer"}, {"minimum", 1}}}, {"b", {{"type", "string"}}}}},
                       {"required", {"a"}},
                       {"additionalProperties", false}};
  EXPECT_EQ(check_.problem({{"a", 1}, {"b", "x"}}, schema), "");
  EXPECT_NE(check_.problem({{"b", "x"}}, schema), "");
  EXPECT_NE(check_.problem({{"a", 0}}, schema), "");
  EXPECT_NE(check_.problem({{"a", "1"}}, schema), "");
  EXPECT_NE(check_.problem({{"a", 1}, {"b", nullptr}}, schema), "");
  EXPECT_NE(check_.problem({{"a", 1}, {"c", 1}}, schema), "");
  EXPECT_NE(check_.problem("a", {{"type", "string"}, {"pattern", "b"}}), "");
  EXPECT_NE(check_.problem("a", {{"type", "string"}, {"enum", {"b"}}}), "");
}

}  // namespace
}  // namespace centipede::api
