// The API without sockets: a router over the double of a tunnel that has some settings.
#pragma once

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "api/router.h"
#include "fake_tunnel.h"

namespace centipede::api {

inline crypto::PublicKey test_key(uint8_t number) {
  const std::array<uint8_t, 32> seed{number};
  return crypto::Identity::from_seed(crypto::SecretKey(seed)).public_key();
}

inline std::shared_ptr<const crypto::SecretKey> test_preshared_key(uint8_t number) {
  std::array<uint8_t, 32> bytes{};
  bytes.fill(number);
  return std::make_shared<const crypto::SecretKey>(crypto::SecretKey(bytes));
}

inline TunnelSettings some_settings() {
  TunnelSettings settings;
  settings.uplinks = {{.name = "eth0"}, {.name = "wl*", .priority = 5, .metered = true, .rate_bps = 20'000'000}};
  settings.excluded_uplinks = {"docker*"};
  control::PeerSettings office;
  office.name = "office";
  office.public_key = test_key(7);  // as in full_status()
  office.preshared_key = test_preshared_key(9);
  office.allowed_ips = {*Prefix::parse("10.10.0.2/32"), *Prefix::parse("fd10::/64")};
  office.endpoints = {*Endpoint::parse("203.0.113.5:5820"), *Endpoint::parse("[2001:db8::5]:5820")};
  office.host_endpoints = {{"vpn.example.org", 5820}};
  office.policy = control::Policy::backup;
  office.paths = {{.uplink = "wlan0", .enabled = false, .priority = 3}};
  control::PeerSettings phone;
  phone.name = "a/b phone";
  phone.public_key = test_key(2);
  phone.allowed_ips = {*Prefix::parse("10.10.0.3/32")};
  settings.peers = {office, phone};
  return settings;
}

class ApiTest : public testing::Test {
 protected:
  ApiTest() : tunnel_(some_settings()) {}

  ApiAnswer ask(const std::string& method, const std::string& target, const std::string& body = "") {
    return router_.answer({.method = method, .target = target, .body = body, .may_change = true});
  }
  // The answer to what must succeed.
  nlohmann::json ok(const std::string& method, const std::string& target, const std::string& body = "") {
    const ApiAnswer answer = ask(method, target, body);
    EXPECT_EQ(answer.status, 200) << method << ' ' << target << ' ' << body << ": " << answer.body;
    return nlohmann::json::parse(answer.body, nullptr, false);
  }
  // The text of what must be refused, having changed nothing.
  std::string refused(int status, const std::string& method, const std::string& target, const std::string& body = "") {
    const unsigned before = tunnel_.changes();
    const ApiAnswer answer = ask(method, target, body);
    EXPECT_EQ(answer.status, status) << method << ' ' << target << ' ' << body.substr(0, 200) << ": " << answer.body;
    EXPECT_EQ(tunnel_.changes(), before) << method << ' ' << target << ' ' << body.substr(0, 200);
    const auto said = nlohmann::json::parse(answer.body, nullptr, false);
    if (!said.is_object() || said.size() != 1 || !said.contains("error")) return "no error text: " + answer.body;
    return said["error"].get<std::string>();
  }
  control::PeerSettings peer(size_t index) { return tunnel_.settings()->peers.at(index); }

  FakeTunnel tunnel_;
  ApiCounters counters_;
  Reload reload_;
  Router router_{{tunnel_,
                  [this] { return reload_(); },
                  counters_,
                  {.mode = ReceiveMode::udp, .dns = {*IpAddress::parse("10.10.0.53")}}}};
};

}  // namespace centipede::api
