#include "api/request_reader.h"

#include <gtest/gtest.h>

#include "api/json_text.h"

namespace centipede::api {
namespace {

constexpr size_t limit = 1000;

int problem_of(const std::string& bytes) {
  RequestReader reader(limit);
  reader.add(bytes);
  return reader.problem() ? reader.problem()->status : 0;
}

TEST(RequestReader, finds_the_ends_in_any_pieces) {
  const std::string request = "POST /x HTTP/1.1\r\nhost: a\r\ncontent-LENGTH:  5 \r\n\r\n{\r\n\r\n";
  for (size_t piece = 1; piece <= request.size(); ++piece) {
    RequestReader reader(limit);
    for (size_t at = 0; at < request.size(); at += piece) {
      EXPECT_FALSE(reader.whole()) << piece << ' ' << at;
      ASSERT_TRUE(reader.add(request.substr(at, piece)));
    }
    ASSERT_TRUE(reader.whole()) << piece;
    EXPECT_EQ(reader.head_size(), request.size() - 5);
    EXPECT_EQ(reader.take().text(), request);
  }
}

TEST(RequestReader, leaves_out_what_follows) {
  for (const char* rest : {"", "\r\n", "GET / HTTP/1.1\r\n\r\n"}) {
    RequestReader reader(limit);
    reader.add("POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}" + std::string(rest));
    ASSERT_TRUE(reader.whole());
    reader.add("more");
    EXPECT_EQ(reader.take().text(), "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}");
  }
}

TEST(RequestReader, what_arrives_in_many_pieces_is_kept_whole_while_its_buffer_grows) {
  SecretText text;
  text.append(std::string(1000, 's'));
  const char* before = text.text().data();
  std::string all(1000, 's');
  for (unsigned i = 0; i < 100; ++i) {
    text.append(std::string(1000, 't'));
    all.append(1000, 't');
  }
  EXPECT_EQ(text.text(), all);
  ASSERT_NE(before, text.text().data()) << "it has moved";
}

TEST(JsonText, wiping_overwrites_every_text_at_any_depth) {
  auto value = nlohmann::json::parse(R"({"a": "secret", "b": [1, {"c": "secret", "d": null}]})");
  wipe(value);
  EXPECT_EQ(value["a"], std::string(6, '\0'));
  EXPECT_EQ(value["b"][1]["c"], std::string(6, '\0'));
}

TEST(RequestReader, refuses_what_has_no_bounds) {
  EXPECT_EQ(problem_of("GET / HTTP/1.1\r\n\r\n"), 0);
  EXPECT_EQ(problem_of("\r\n\r\n"), 0);
  EXPECT_EQ(problem_of(std::string(RequestReader::longest_head + 1, 'x')), 431);
  EXPECT_EQ(problem_of("GET / HTTP/1.1\r\nX: " + std::string(RequestReader::longest_head, 'x') + "\r\n\r\n"), 431);
  const auto with = [](const std::string& header) { return problem_of("POST / HTTP/1.1\r\n" + header + "\r\n\r\n"); };
  EXPECT_EQ(with("Content-Length: 1000"), 0);
  EXPECT_EQ(with("Content-Length: 1001"), 413);
  EXPECT_EQ(with("Content-Length: 99999999999999999999999"), 413);
  for (const char* wrong : {"Content-Length:", "Content-Length: -1", "Content-Length: +1", "Content-Length: 1x",
                            "Content-Length: 0x1", "Content-Length: 1\r\nContent-Length: 2"})
    EXPECT_EQ(with(wrong), 400) << wrong;
  EXPECT_EQ(with("Content-Length: 1\r\ncontent-length: 1"), 0);
  EXPECT_EQ(with("Transfer-Encoding: chunked"), 411);
  EXPECT_EQ(with("content-encoding: gzip"), 415);
}

TEST(RequestReader, tells_once_of_a_sender_that_waits) {
  RequestReader reader(limit);
  reader.add("POST / HTTP/1.1\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n");
  EXPECT_TRUE(reader.wants_continue());
  EXPECT_FALSE(reader.wants_continue());
  RequestReader without(limit);
  without.add("POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n");
  EXPECT_FALSE(without.wants_continue()) << "there is no body to wait for";
}

}  // namespace
}  // namespace centipede::api
