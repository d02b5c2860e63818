#include "dataplane/state_file.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/small_file.h"
#include "crypto/handshake.h"

namespace centipede {
namespace {

using nlohmann::json;

constexpr uint64_t format_version = 1;
constexpr size_t text_limit = size_t{16} << 20;

// Takes the text in as it is parsed: a document in memory would hide fields that stand twice.
class Reader final : public json::json_sax_t {
 public:
  explicit Reader(const crypto::PublicKey& own_key) : own_key_(own_key.base64()) {}

  [[nodiscard]] const std::string& problem() const { return problem_; }
  [[nodiscard]] SavedState take() { return std::move(state_); }

  bool start_object(size_t) override {
    if (place_ == Place::outside) {
      place_ = Place::document;
      return true;
    }
    if (place_ != Place::document || field_ != Field::peers) return wrong_type();
    place_ = Place::peers;
    return true;
  }

  bool key(string_t& name) override {
    if (place_ == Place::peers) return peer(name);
    const auto found = std::ranges::find(field_names, name);
    if (found == field_names.end()) return refuse("it has an unknown field");
    const auto index = static_cast<size_t>(found - field_names.begin());
    if (seen_[index]) return refuse(name + " is given twice");
    seen_[index] = true;
    field_ = static_cast<Field>(index);
    return true;
  }

  bool number_unsigned(number_unsigned_t number) override {
    const bool is_time = place_ == Place::peers || field_ == Field::sent_limit_ns;
    if (place_ == Place::outside || (!is_time && field_ != Field::format)) return wrong_type();
    if (is_time && number > crypto::greatest_timestamp_ns) return refuse("a timestamp in it is out of range");
    if (place_ == Place::peers) {
      state_.peers.back().accepted_ns = number;
    } else if (is_time) {
      state_.sent_limit_ns = number;
    } else if (number != format_version) {
      return refuse("its format " + std::to_string(number) + " is not known");
    }
    return true;
  }

  bool string(string_t& text) override {
    if (field_ != Field::own_key) return wrong_type();
    return text == own_key_ || refuse("it belongs to another key of ours");
  }

  bool end_object() override {
    if (place_ == Place::peers) {
      place_ = Place::document;
      return no_peer_twice();
    }
    const auto missing = std::ranges::find(seen_, false);
    return missing == seen_.end() ||
           refuse(std::string(field_names[static_cast<size_t>(missing - seen_.begin())]) + " is missing");
  }

  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) override {
    return refuse("it is no JSON text at byte " + std::to_string(position));
  }

  bool null() override { return wrong_type(); }
  bool boolean(bool) override { return wrong_type(); }
  bool number_integer(number_integer_t) override { return wrong_type(); }  // negative ones alone come here
  bool number_float(number_float_t, const string_t&) override { return wrong_type(); }
  bool binary(binary_t&) override { return wrong_type(); }
  bool start_array(size_t) override { return wrong_type(); }
  bool end_array() override { return wrong_type(); }

 private:
  enum class Place : uint8_t { outside, document, peers };
  enum class Field : uint8_t { format, own_key, peers, sent_limit_ns };
  static constexpr std::array<std::string_view, 4> field_names{"format", "own_key", "peers", "sent_limit_ns"};

  bool refuse(std::string problem) {
    problem_ = std::move(problem);
    return false;
  }

  bool wrong_type() {
    if (place_ == Place::outside) return refuse("it is no JSON object");
    const std::string where = place_ == Place::peers ? "a peer" : std::string(field_names[static_cast<size_t>(field_)]);
    return refuse(where + " has a value of the wrong type");
  }

  bool peer(const std::string& name) {
    const auto key = crypto::PublicKey::from_base64(name);
    if (!key) return refuse("a peer's key is not valid");
    state_.peers.push_back({.peer = *key, .accepted_ns = 0});
    return true;
  }

  bool no_peer_twice() {
    std::ranges::sort(state_.peers, {}, &AcceptedTimestamp::peer);
    return std::ranges::adjacent_find(state_.peers, {}, &AcceptedTimestamp::peer) == state_.peers.end() ||
           refuse("a peer is given twice");
  }

  std::string own_key_;
  SavedState state_;
  std::string problem_;
  std::array<bool, field_names.size()> seen_{};
  Place place_ = Place::outside;
  Field field_ = Field::format;
};

}  // namespace

std::string state_path(std::string_view directory, std::string_view tunnel) {
  return std::string(directory) + "/" + std::string(tunnel) + ".state";
}

std::string format_state(const SavedState& state, const crypto::PublicKey& own_key) {
  json peers = json::object();
  for (const auto& [peer, accepted_ns] : state.peers)
    peers[peer.base64()] = accepted_ns;
  const json document{{"format", format_version},
                      {"own_key", own_key.base64()},
                      {"peers", std::move(peers)},
                      {"sent_limit_ns", state.sent_limit_ns}};
  return document.dump(1) + "\n";
}

Result<SavedState> parse_state(std::string_view text, const crypto::PublicKey& own_key) {
  if (text.size() > text_limit) return fail("it is longer than 16 MiB", EFBIG);
  Reader reader(own_key);
  if (!json::sax_parse(text, &reader)) return fail(reader.problem(), EINVAL);
  return reader.take();
}

Result<SavedState> read_state(const std::string& path, const crypto::PublicKey& own_key) {
  const auto file = read_small_file(path, text_limit);
  if (!file && file.error().code == ENOENT) return SavedState{};
  if (!file) return std::unexpected(file.error());
  auto state = parse_state(file->content.text(), own_key);
  if (!state) return fail("reading " + path + ": " + state.error().text, state.error().code);
  return state;
}

OpenedState open_state(const std::string& path, const crypto::PublicKey& own_key) {
  auto state = read_state(path, own_key);
  if (state) return {.state = std::move(*state), .warning = {}};
  const std::string aside = path + ".damaged";
  const std::string outcome = std::rename(path.c_str(), aside.c_str()) == 0
                                  ? "it is kept as " + aside
                                  : system_error("it cannot be set aside as " + aside).text;
  return {.state = {}, .warning = state.error().text + "; " + outcome + ", and the tunnel starts without it"};
}

}  // namespace centipede
