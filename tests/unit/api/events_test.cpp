// /v1/events: as a list and as a stream.
#include <gmock/gmock.h>

#include <future>

#include "api/client.h"
#include "api/event_json.h"
#include "api/paths.h"
#include "api_fixture.h"
#include "raw_client.h"
#include "temporary_folder.h"

namespace centipede::api {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;
using testing::HasSubstr;

TunnelEvent event(const std::string& text) {
  return {.level = TunnelEvent::Level::warning, .kind = "path", .peer = "office", .uplink = "eth0", .text = text};
}

using EventsTest = ApiTest;

TEST_F(EventsTest, come_as_a_list) {
  for (const char* text : {"one", "two \xff \n \"", "three"})
    tunnel_.events().post(event(text));
  const json all = ok("GET", "/v1/events?follow=0")["events"];
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[0]["number"], 1);
  EXPECT_EQ(all[0]["level"], "warning");
  EXPECT_EQ(all[0]["kind"], "path");
  EXPECT_EQ(all[0]["peer"], "office");
  EXPECT_EQ(all[0]["uplink"], "eth0");
  EXPECT_EQ(all[0]["text"], "one");
  EXPECT_GT(all[0]["time_ms"], 1'700'000'000'000);
  EXPECT_EQ(ok("GET", "/v1/events?follow=0&after=2")["events"].size(), 1U);
  EXPECT_EQ(ok("GET", "/v1/events?follow=0&after=3")["events"].size(), 0U);
  // Of an earlier daemon.
  EXPECT_EQ(ok("GET", "/v1/events?follow=0&after=4000")["events"].size(), 3U);
}

TEST_F(EventsTest, a_stream_begins_where_the_reader_says) {
  for (int i = 0; i < 5; ++i)
    tunnel_.events().post(event("x"));
  const auto begin = [&](const std::string& target, const std::string& last = "") {
    return router_.answer({.method = "GET", .target = target, .last_event_id = last}).follow_after;
  };
  EXPECT_EQ(begin("/v1/events"), 5U);
  EXPECT_EQ(begin("/v1/events?after=2"), 2U);
  EXPECT_EQ(begin("/v1/events?after=2", "4"), 4U);
  EXPECT_EQ(begin("/v1/events?follow=1&after=9"), 0U);
  EXPECT_EQ(begin("/v1/events?follow=0"), std::nullopt);
}

TEST_F(EventsTest, parameters_that_make_no_sense_are_refused) {
  for (const char* query :
       {"after=", "after=-1", "after=x", "after=1x", "after=18446744073709551616", "follow=2", "follow=", "before=1"}) {
    if (std::string_view(query) == "after=") continue;  // as if it were not there
    refused(400, "GET", std::string("/v1/events?") + query);
  }
  EXPECT_EQ(router_.answer({.method = "GET", .target = "/v1/events", .last_event_id = "x"}).status, 400);
}

TEST(EventStreamReader, puts_events_together_from_any_pieces) {
  std::string stream;
  for (uint64_t number = 1; number <= 20; ++number) {
    TunnelEvent one = event("line " + std::to_string(number));
    one.number = number;
    stream += server_sent(one);
    if (number % 3 == 0) stream += server_sent_heartbeat;
  }
  for (const size_t piece : {size_t{1}, size_t{2}, size_t{7}, size_t{100}, stream.size()}) {
    EventStreamReader reader;
    std::vector<uint64_t> numbers;
    for (size_t at = 0; at < stream.size(); at += piece) {
      const auto more = reader.add(stream.substr(at, piece), [&](const TunnelEvent& one) {
        numbers.push_back(one.number);
        EXPECT_EQ(one.text, "line " + std::to_string(one.number));
        return true;
      });
      ASSERT_TRUE(more) << more.error().text;
    }
    EXPECT_EQ(numbers.size(), 20U);
  }
  EventStreamReader reader;
  EXPECT_FALSE(reader.add("data: {}\n\n", [](const TunnelEvent&) { return true; }));
  EXPECT_FALSE(EventStreamReader().add("data: no\n\n", [](const TunnelEvent&) { return true; }));
  EXPECT_FALSE(EventStreamReader().add(std::string(100'000, 'x'), [](const TunnelEvent&) { return true; }));
}

class StreamTest : public testing::Test {
 protected:
  StreamTest() : path_(folder_.file("cp0.sock")) {}

  void start(const ServerOptions& options = {}) {
    auto started = Server::start(tunnel_, path_, options);
    ASSERT_TRUE(started) << started.error().text;
    server_ = std::move(*started);
  }
  json statistics() {
    const auto answer = Client(path_).request("GET", "/v1/statistics");
    return answer ? json::parse(*answer)["api"] : json::object();
  }
  // Waits until the API's own counter has this value.
  bool counted(const char* name, uint64_t value) {
    const auto end = std::chrono::steady_clock::now() + 10s;
    while (std::chrono::steady_clock::now() < end) {
      if (statistics()[name] == value) return true;
      std::this_thread::sleep_for(5ms);
    }
    return false;
  }
  static constexpr const char* follow = "GET /v1/events HTTP/1.1\r\n\r\n";

  TemporaryFolder folder_;
  std::string path_;
  FakeTunnel tunnel_;
  std::unique_ptr<Server> server_;
};

TEST_F(StreamTest, brings_events_as_they_happen) {
  start();
  tunnel_.events().post(event("before"));
  RawClient reader(path_);
  reader.send(follow);
  ASSERT_TRUE(reader.contains("\r\n\r\n"));
  EXPECT_THAT(reader.text(), HasSubstr("HTTP/1.1 200"));
  EXPECT_THAT(reader.text(), HasSubstr("Content-Type: text/event-stream"));
  EXPECT_EQ(reader.text().find("Content-Length"), std::string::npos);
  ASSERT_TRUE(counted("event_streams", 1));
  tunnel_.events().post(event("after"));
  EXPECT_TRUE(reader.contains("\"text\":\"after\""));
  EXPECT_THAT(reader.text(), HasSubstr("id: 2\nevent: path\ndata: {"));
  EXPECT_EQ(reader.text().find("before"), std::string::npos);
}

TEST_F(StreamTest, the_reading_socket_streams_too) {
  start();
  RawClient reader(reading_socket_path(path_));
  reader.send("GET /v1/events?after=0 HTTP/1.1\r\n\r\n");
  tunnel_.events().post(event("one"));
  EXPECT_TRUE(reader.contains("\"text\":\"one\""));
}

TEST_F(StreamTest, a_client_follows_and_stops_when_it_likes) {
  start();
  for (int i = 0; i < 200; ++i)
    tunnel_.events().post(event("x"));
  std::vector<uint64_t> numbers;
  auto following = std::async(std::launch::async, [&] {
    return Client(path_).follow_events(150, [&](const TunnelEvent& one) {
      numbers.push_back(one.number);
      return one.text != "last";
    });
  });
  tunnel_.events().post(event("last"));
  const auto outcome = following.get();
  EXPECT_TRUE(outcome) << outcome.error().text;
  ASSERT_EQ(numbers.size(), 51U);
  EXPECT_EQ(numbers.front(), 151U);
  EXPECT_EQ(numbers.back(), 201U);
  const auto list = Client(path_).events(199);
  ASSERT_TRUE(list) << list.error().text;
  EXPECT_EQ(list->size(), 2U);
}

TEST_F(StreamTest, ends_with_the_server_and_says_so) {
  start();
  std::promise<void> begun;
  auto following = std::async(std::launch::async, [&] {
    return Client(path_).follow_events(0, [&](const TunnelEvent&) {
      begun.set_value();
      return true;
    });
  });
  tunnel_.events().post(event("one"));
  begun.get_future().wait();
  server_.reset();
  const auto outcome = following.get();
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ECONNRESET) << outcome.error().text;
}

TEST_F(StreamTest, gives_a_sign_of_life) {
  ServerOptions options;
  options.whole.heartbeat_time = 20ms;
  start(options);
  RawClient reader(path_);
  reader.send(follow);
  EXPECT_TRUE(reader.contains("\r\n\r\n:\n\n:\n\n"));
}

TEST_F(StreamTest, more_than_there_is_room_for_are_refused_and_leave_requests_alone) {
  ServerOptions options;
  options.whole.streams = 3;
  start(options);
  std::vector<RawClient> readers;
  for (int i = 0; i < 4; ++i) {
    readers.emplace_back(path_).send(follow);
    ASSERT_TRUE(readers.back().contains("\r\n\r\n"));
  }
  EXPECT_THAT(readers[2].text(), HasSubstr("200 OK"));
  EXPECT_THAT(readers[3].read_all(), HasSubstr("too many streams"));
  EXPECT_TRUE(Client(path_).status());
  // Who leaves makes room.
  readers.erase(readers.begin());
  ASSERT_TRUE(counted("event_streams", 2));
  RawClient next(path_);
  next.send(follow);
  ASSERT_TRUE(next.contains("\r\n\r\n"));
  EXPECT_THAT(next.text(), HasSubstr("200 OK"));
}

TEST_F(StreamTest, a_reader_too_slow_is_cut_off_counted_and_misses_numbers) {
  ServerOptions options;
  options.whole.stall_time = 1s;
  start(options);
  RawClient slow(path_);
  slow.send(follow);
  ASSERT_TRUE(slow.contains("\r\n\r\n"));
  RawClient other(path_);
  other.send(follow);
  ASSERT_TRUE(other.contains("\r\n\r\n"));
  const std::string text(2000, 'x');
  // More than the socket's buffers and the log hold.
  for (int i = 0; i < 3000; ++i) {
    tunnel_.events().post(event(text));
    if (i % 100 == 0) {
      ASSERT_TRUE(other.contains("id: " + std::to_string(i + 1) + "\n")) << "the quick one misses nothing";
    }
  }
  ASSERT_TRUE(counted("event_streams_cut", 1));
  slow.read_all();
  EXPECT_TRUE(slow.ended());
  // When it comes back, the numbers tell what it missed.
  RawClient again(path_);
  again.send("GET /v1/events HTTP/1.1\r\nLast-Event-ID: 5\r\n\r\n");
  ASSERT_TRUE(again.contains("id: "));
  const size_t at = again.text().find("id: ") + 4;
  EXPECT_EQ(std::stoul(again.text().substr(at)), 3000 - EventLog::capacity + 1);
}

}  // namespace
}  // namespace centipede::api
