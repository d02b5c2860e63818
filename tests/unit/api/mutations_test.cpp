// A hundred thousand requests that are nearly right: each gets an answer that is one, and the settings stay sound.
#include <gmock/gmock.h>

#include <map>
#include <random>

#include "api/http_exchange.h"
#include "api/request_reader.h"
#include "api_fixture.h"

namespace centipede::api {
namespace {

using nlohmann::json;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int rounds = 5'000;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr int rounds = 5'000;
#else
constexpr int rounds = 120'000;
#endif
#else
constexpr int rounds = 120'000;
#endif

class Mutations : public ApiTest {
 protected:
  size_t below(size_t limit) { return std::uniform_int_distribution<size_t>(0, limit - 1)(random_); }

  void mutate(std::string& text) {
    static const std::vector<std::string> pieces{"{",    "}",    "[",         "]",      "\"",   ",",      ":",
                                                 "null", "true", "-1",        "1e999",  "%00",  "%2F",    "/",
                                                 "?",    "\r\n", "\\u0000",   "\xff",   "\xc3", "after=", "99999999999",
                                                 "..",   "{}",   "\"name\":", "office", "eth0", "wl*",    "[[[[[[[["};
    for (size_t i = below(4); i > 0; --i) {
      const size_t at = text.empty() ? 0 : below(text.size());
      switch (below(5)) {
        case 0:
          text.insert(at, pieces[below(pieces.size())]);
          break;
        case 1:
          text.erase(at, below(8) + 1);
          break;
        case 2:
          if (!text.empty()) text[at] = static_cast<char>(below(256));
          break;
        case 3:
          text += text.substr(at, below(40));
          break;
        default:
          text.resize(at);
      }
    }
  }
  void restore() {
    ASSERT_TRUE(tunnel_.change([](TunnelSettings& settings) -> Result<void> {
      settings = some_settings();
      return {};
    }));
  }
  std::mt19937_64 random_{20260729};
};

TEST_F(Mutations, every_answer_is_one) {
  reload_ = []() -> Result<std::vector<std::string>> { return std::vector<std::string>{}; };
  const std::vector<std::string> targets{"/v1/config",
                                         "/v1/uplinks",
                                         "/v1/uplinks/eth0",
                                         "/v1/uplinks/wl*",
                                         "/v1/peers",
                                         "/v1/peers/office",
                                         "/v1/peers/office/paths/eth0",
                                         "/v1/peers/office/ping",
                                         "/v1/events?follow=0&after=1",
                                         "/v1/peers/a%2Fb%20phone"};
  const std::vector<std::string> bodies{
      ask("GET", "/v1/config").body,
      ask("GET", "/v1/peers/office").body,
      R"({"name": "tablet", "public_key": ")" + test_key(3).base64() + R"(", "allowed_ips": ["10.0.0.0/8"]})",
      R"({"name": "wwan0", "priority": 3, "metered": true, "rate_bps": 20000000})",
      R"({"enabled": false, "priority": null})",
      R"({"endpoints": ["vpn.example.org:5820", "192.0.2.1:1"], "policy": "redundant", "preshared_key": null})",
      R"({"timeout_ms": 1})"};
  const std::vector<std::string> methods{"GET", "PUT", "POST", "PATCH", "DELETE"};
  HttpExchange exchange(router_, counters_);
  std::map<int, int> seen;
  for (int round = 0; round < rounds; ++round) {
    if (round % 500 == 0) restore();
    std::string target = targets[below(targets.size())];
    std::string body = bodies[below(bodies.size())];
    if (below(3) == 0) mutate(target);
    if (below(6) != 0) mutate(body);  // whole ones too: only these conflict with what is there
    const std::string& method = methods[below(methods.size())];
    if (round % 10 != 0) {
      const ApiAnswer answer = ask(method, target, body);
      ++seen[answer.status];
      ASSERT_TRUE(answer.follow_after || json::accept(answer.body)) << method << ' ' << target << ' ' << body << '\n'
                                                                    << answer.body;
      ASSERT_EQ(answer.status < 400, answer.status == 200);
      continue;
    }
    // As HTTP, mutated as well.
    std::string head =
        method + " " + target + " HTTP/1.1\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n";
    if (below(2) == 0) mutate(head);
    RequestReader reader(65536);
    reader.add(head + body);
    if (!reader.whole()) continue;
    const size_t head_size = reader.head_size();
    const SecretText taken = reader.take();
    const std::string& bytes = taken.text();
    const auto answer =
        exchange.answer(std::string_view(bytes).substr(0, head_size), std::string_view(bytes).substr(head_size), true);
    ASSERT_TRUE(answer.bytes.starts_with("HTTP/1.1 ")) << bytes;
  }
  // All that remains is in order: it can be sent back and is the same.
  EXPECT_EQ(seen.count(500), 0U);
  for (const int status : {200, 400, 404, 405, 409})
    EXPECT_GT(seen[status], 0) << status;
  const json config = ok("GET", "/v1/config");
  ok("PUT", "/v1/config", config.dump());
  EXPECT_EQ(ok("GET", "/v1/config"), config);
}

}  // namespace
}  // namespace centipede::api
