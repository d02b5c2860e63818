#include "dataplane/state_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "rounds.h"
#include "temporary_folder.h"

namespace centipede {
namespace {

using testing::HasSubstr;

crypto::PublicKey public_key(uint16_t seed) {
  const std::array<uint8_t, 32> bytes{static_cast<uint8_t>(seed), static_cast<uint8_t>(seed >> 8)};
  return crypto::Identity::from_seed(crypto::SecretKey(bytes)).public_key();
}

SavedState state_of(std::vector<AcceptedTimestamp> peers, uint64_t sent_limit_ns = 1'700'000'000'000'000'000) {
  std::ranges::sort(peers, {}, &AcceptedTimestamp::peer);
  return {.sent_limit_ns = sent_limit_ns, .peers = std::move(peers)};
}

class StateFileTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(crypto::initialise());
    own_ = public_key(1);
    state_ = state_of({{public_key(2), 1'700'000'000'000'000'001}, {public_key(3), 0}, {public_key(4), INT64_MAX}});
    text_ = format_state(state_, own_);
  }

  void write(const std::string& text) const { std::ofstream(path_, std::ios::binary) << text; }

  // The text is refused, with these words in one printable line.
  void refused(const std::string& text, const std::string& words) const {
    const auto state = parse_state(text, own_);
    ASSERT_FALSE(state) << text;
    EXPECT_THAT(state.error().text, HasSubstr(words)) << text;
    EXPECT_TRUE(std::ranges::all_of(state.error().text, [](char c) { return c >= ' ' && c <= '~'; }));
  }

  // The usual text with one piece replaced.
  [[nodiscard]] std::string with(const std::string& from, const std::string& to) const {
    std::string text = text_;
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return at == std::string::npos ? text : text.replace(at, from.size(), to);
  }

  TemporaryFolder folder_;
  std::string path_ = state_path(folder_.path(), "cp0");
  crypto::PublicKey own_;
  SavedState state_;
  std::string text_;
};

TEST_F(StateFileTest, what_is_written_is_read_again) {
  write(text_);
  const auto read = read_state(path_, own_);
  ASSERT_TRUE(read) << read.error().text;
  EXPECT_EQ(*read, state_);
  EXPECT_EQ(parse_state(format_state({}, own_), own_).value(), SavedState{});
  std::vector<AcceptedTimestamp> many;
  for (uint16_t i = 0; i < 1000; ++i)
    many.push_back({public_key(i), 1'700'000'000'000'000'000ULL + i});
  EXPECT_EQ(parse_state(format_state(state_of(many), own_), own_).value(), state_of(many));
}

TEST_F(StateFileTest, the_format_stays_readable) {
  const std::string text = "{\"sent_limit_ns\":7,\"peers\":{\"" + public_key(2).base64() + "\":5},\"own_key\":\"" +
                           own_.base64() + "\",\"format\":1}";
  const auto state = parse_state(text, own_);
  ASSERT_TRUE(state) << state.error().text;
  EXPECT_EQ(*state, state_of({{public_key(2), 5}}, 7));
  EXPECT_EQ(state_path("/var/lib/centipede", "cp0"), "/var/lib/centipede/cp0.state");
}

TEST_F(StateFileTest, whatever_is_not_exactly_a_state_is_refused_with_the_reason) {
  const std::string peer = "\"" + public_key(3).base64() + "\": 0";
  const std::string limit = "\"sent_limit_ns\": 1700000000000000000";
  refused("", "no JSON text at byte");
  refused("5", "no JSON object");
  refused("[]", "no JSON object");
  refused("{}", "format is missing");
  refused(text_ + "{}", "no JSON text");
  refused(with("\"format\": 1", "\"format\": 2"), "format 2 is not known");
  refused(with("\"format\": 1", "\"format\": 1, \"more\": 1"), "unknown field");
  refused(with("\"format\": 1,", ""), "format is missing");
  refused(with("\"format\": 1", "\"format\": {}"), "wrong type");
  refused(with(own_.base64(), public_key(9).base64()), "another key");
  refused(with("\"own_key\": ", "\"own_key\": [\"\"], \"x\": "), "own_key has a value of the wrong type");
  refused(with(limit, limit + ", " + limit), "sent_limit_ns is given twice");
  refused(with(peer, peer + ", " + peer), "a peer is given twice");
  refused(with(limit, "\"sent_limit_ns\": 9223372036854775808"), "out of range");
  refused(with(peer, "\"" + public_key(3).base64() + "\": 9223372036854775808"), "out of range");
  for (const char* value : {"-1", "-0", "1.0", "1e3", "1e999", "99999999999999999999", "\"1\"", "null", "true", "[]"}) {
    refused(with(limit, "\"sent_limit_ns\": " + std::string(value)), "");
    refused(with(peer, "\"" + public_key(3).base64() + "\": " + value), "");
  }
  refused(with(peer, "\"" + public_key(3).base64() + "\": {}"), "a peer has a value of the wrong type");
  refused(with(public_key(3).base64(), std::string(43, 'A') + "="), "key is not valid");
  refused(with(public_key(3).base64(), "short"), "key is not valid");
  refused(with(public_key(3).base64(), "\xff"), "no JSON text");
  refused("{\"peers\": " + std::string(1 << 20, '['), "wrong type");
  refused(std::string(1 << 20, '{'), "no JSON text");
  refused(std::string((size_t{16} << 20) + 1, ' '), "longer than 16 MiB");
}

TEST_F(StateFileTest, cut_off_at_any_byte_it_is_refused_or_whole) {
  for (size_t length = 0; length < text_.size(); ++length) {
    const auto state = parse_state(std::string_view(text_).substr(0, length), own_);
    // The last byte is the line's end, which JSON does not need.
    ASSERT_EQ(state.has_value(), length + 1 == text_.size()) << length;
    if (state) {
      EXPECT_EQ(*state, state_);
    } else {
      EXPECT_FALSE(state.error().text.empty());
    }
  }
}

// A few changes of one byte, a piece cut out, doubled, moved, or a token that means something to JSON.
std::string mutated(const std::string& genuine, std::mt19937& random) {
  static const std::vector<std::string> tokens{"{",   "}",    "[",    "]",  "\"",    ":",
                                               ",",   "null", "true", "-",  "1e999", "\\u0000",
                                               "0x1", "999",  "\xff", "\n", "1",     "\"format\": 1,"};
  std::string text = genuine;
  for (auto changes = 1 + random() % 3; changes > 0; --changes) {
    const size_t at = random() % (text.size() + 1);
    const size_t length = std::min<size_t>(random() % 60, text.size() - at);
    switch (random() % 5) {
      case 0:
        if (at < text.size()) text[at] = static_cast<char>(random());
        break;
      case 1:
        text.erase(at, length);
        break;
      case 2:
        text.insert(random() % (text.size() + 1), text.substr(at, length));
        break;
      case 3:
        text.insert(at, tokens[random() % tokens.size()]);
        break;
      default:
        if (at < text.size()) text[at] = static_cast<char>(text[at] ^ (1 << random() % 8));
        break;
    }
  }
  return text;
}

TEST_F(StateFileTest, a_hundred_thousand_mutated_texts_give_an_error_or_a_state) {
  std::mt19937 random(22);
  uint64_t good = 0;
  uint64_t changed = 0;
  for (uint64_t i = 0; i < test::rounds(100'000); ++i) {
    const std::string text = mutated(text_, random);
    const auto state = parse_state(text, own_);
    if (!state) {
      ASSERT_FALSE(state.error().text.empty()) << text;
      continue;
    }
    ++good;
    changed += *state == state_ ? 0 : 1;
    ASSERT_LE(state->sent_limit_ns, static_cast<uint64_t>(INT64_MAX)) << text;
    for (const auto& peer : state->peers)
      ASSERT_LE(peer.accepted_ns, static_cast<uint64_t>(INT64_MAX)) << text;
    ASSERT_EQ(parse_state(format_state(*state, own_), own_).value(), *state) << text;
  }
  EXPECT_GT(good, test::rounds(100));
  EXPECT_GT(changed, test::rounds(10));
  EXPECT_LT(good, test::rounds(50'000));
}

TEST_F(StateFileTest, without_a_file_the_state_is_empty_and_nothing_is_said) {
  EXPECT_EQ(read_state(path_, own_).value(), SavedState{});
  EXPECT_EQ(read_state(folder_.file("no/cp0.state"), own_).value(), SavedState{});
  const auto opened = open_state(path_, own_);
  EXPECT_EQ(opened.state, SavedState{});
  EXPECT_EQ(opened.warning, "");
}

TEST_F(StateFileTest, a_sound_file_opens_and_stays) {
  write(text_);
  const auto opened = open_state(path_, own_);
  EXPECT_EQ(opened.state, state_);
  EXPECT_EQ(opened.warning, "");
  EXPECT_TRUE(std::filesystem::exists(path_));
}

TEST_F(StateFileTest, a_damaged_file_is_set_aside_with_a_warning_and_locks_nobody_out) {
  write("older damage");
  std::filesystem::rename(path_, path_ + ".damaged");
  write(text_.substr(0, text_.size() / 2));
  const auto opened = open_state(path_, own_);
  EXPECT_EQ(opened.state, SavedState{});
  EXPECT_THAT(opened.warning, HasSubstr("reading " + path_ + ": it is no JSON text at byte"));
  EXPECT_THAT(opened.warning, HasSubstr("kept as " + path_ + ".damaged"));
  EXPECT_FALSE(std::filesystem::exists(path_));
  EXPECT_EQ(std::filesystem::file_size(path_ + ".damaged"), text_.size() / 2);
  EXPECT_EQ(open_state(path_, own_).warning, "") << "the next start finds nothing";
}

TEST_F(StateFileTest, a_file_of_another_identity_is_set_aside) {
  write(text_);
  const auto opened = open_state(path_, public_key(9));
  EXPECT_EQ(opened.state, SavedState{});
  EXPECT_THAT(opened.warning, HasSubstr("another key of ours"));
  EXPECT_TRUE(std::filesystem::exists(path_ + ".damaged"));
}

TEST_F(StateFileTest, what_is_no_file_of_a_sensible_size_is_set_aside) {
  ASSERT_EQ(mkdir(path_.c_str(), 0700), 0);
  EXPECT_THAT(open_state(path_, own_).warning, HasSubstr("is a folder"));
  EXPECT_TRUE(std::filesystem::is_directory(path_ + ".damaged"));
  ASSERT_EQ(rmdir((path_ + ".damaged").c_str()), 0);
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  EXPECT_THAT(open_state(path_, own_).warning, HasSubstr("no regular file"));
  write("");
  ASSERT_EQ(truncate(path_.c_str(), (off_t{16} << 20) + 1), 0);
  EXPECT_THAT(open_state(path_, own_).warning, HasSubstr("longer than"));
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(StateFileTest, a_damaged_file_that_cannot_be_set_aside_is_told_of_and_ignored) {
  write("damage");
  ASSERT_EQ(mkdir((path_ + ".damaged").c_str(), 0700), 0);
  const auto opened = open_state(path_, own_);
  EXPECT_EQ(opened.state, SavedState{});
  EXPECT_THAT(opened.warning, HasSubstr("cannot be set aside"));
}

}  // namespace
}  // namespace centipede
