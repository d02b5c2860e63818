// Any request, straight into the routing: an answer with a JSON body that says what is wrong, or settings that can be
// shown, sent back and shown again as the same. The first line of the input is method and target, the rest the body.
#include <nlohmann/json.hpp>

#include "api/router.h"
#include "fake_tunnel.h"
#include "fuzz.h"

namespace centipede::fuzz {
namespace {

using nlohmann::json;

TunnelSettings settings() {
  TunnelSettings settings;
  settings.uplinks = {{.name = "eth0"}, {.name = "wl*", .priority = 5, .metered = true}};
  settings.excluded_uplinks = {"docker*"};
  control::PeerSettings office;
  office.name = "office";
  office.public_key = alice().public_key();
  office.preshared_key = std::make_shared<const crypto::SecretKey>(filled(0x33));
  office.allowed_ips = {*Prefix::parse("10.10.0.2/32")};
  office.endpoints = {*Endpoint::parse("203.0.113.5:5820")};
  office.host_endpoints = {{"vpn.example.org", 5820}};
  office.paths = {{.uplink = "wlan0", .enabled = false}};
  settings.peers = {office};
  return settings;
}

api::ApiAnswer ask(const api::Router& router, const std::string& method, const std::string& target,
                   std::string_view body, bool may_change = true) {
  auto answer = router.answer({.method = method, .target = target, .body = body, .may_change = may_change});
  if (answer.follow_after) return answer;
  if (answer.content_type != "application/json") return answer;
  const auto said = json::parse(answer.body, nullptr, false);
  promise(said.is_object(), "an answer is a JSON object");
  if (answer.status != 200) promise(said.size() == 1 && said.contains("error"), "a refusal says why");
  return answer;
}

}  // namespace
}  // namespace centipede::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace centipede;
  using namespace centipede::fuzz;
  static const TunnelSettings initial = settings();
  static const std::string secret = crypto::to_base64(initial.peers[0].preshared_key->view());
  api::FakeTunnel tunnel(initial);
  api::ApiCounters counters;
  const api::Router router({tunnel, {}, counters});
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::string_view line = input.substr(0, input.find('\n'));
  const std::string method(line.substr(0, line.find(' ')));
  const std::string target(line.size() == method.size() ? "" : line.substr(method.size() + 1));
  const std::string_view body = line.size() == size ? "" : input.substr(line.size() + 1);
  // Over the socket that only reads, nothing changes.
  const auto read = ask(router, method, target, body, false);
  promise(tunnel.changes() == 0 && !tunnel.stopped(), "a reader changes nothing");
  promise(read.status != 200 || method == "GET", "a reader gets nothing but GET");
  const auto answer = ask(router, method, target, body);
  promise(answer.body.find(secret) == std::string::npos, "preshared keys are not shown");
  promise(answer.status == 200 || tunnel.changes() == 0, "what is refused changes nothing");
  const auto shown = ask(router, "GET", "/v1/config", "").body;
  promise(ask(router, "PUT", "/v1/config", shown).status == 200, "what is shown can be sent back");
  promise(ask(router, "GET", "/v1/config", "").body == shown, "and is the same then");
  return 0;
}
