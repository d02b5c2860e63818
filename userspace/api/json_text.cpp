#include "api/json_text.h"

#include <sodium.h>

#include <set>
#include <vector>

namespace centipede::api {
namespace {

using nlohmann::json;

constexpr size_t deepest = 16;

// Looks at a text without building anything, and keeps the first thing amiss.
class Check : public nlohmann::json_sax<json> {
 public:
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(size_t) override { return deeper(); }
  bool end_object() override { return shallower(); }
  bool start_array(size_t) override { return deeper(); }
  bool end_array() override { return shallower(); }
  bool key(string_t& name) override {
    if (keys_.back().insert(name).second) return true;
    problem_ = "the body is refused: the key " + in_quotes(name) + " is in one object twice; keep one of them";
    return false;
  }
  bool parse_error(size_t position, const std::string&, const json::exception& error) override {
    // 406: a number beyond what a double holds.
    problem_ = "the body is no JSON: " + std::string(error.id == 406 ? "number too large" : "mistake") + " at byte " +
               std::to_string(position) + "; send one JSON value in UTF-8";
    return false;
  }
  [[nodiscard]] const std::string& problem() const { return problem_; }

 private:
  bool deeper() {
    keys_.emplace_back();
    if (keys_.size() <= deepest) return true;
    problem_ = "the body is refused: more than " + std::to_string(deepest) + " levels of lists and objects";
    return false;
  }
  bool shallower() {
    keys_.pop_back();
    return true;
  }
  std::vector<std::set<std::string>> keys_;  // of each list or object that is open
  std::string problem_;
};

}  // namespace

Result<json> parse_json(std::string_view text) {
  if (text.empty()) return fail("the body is empty; send a JSON object", EINVAL);
  Check check;
  if (!json::sax_parse(text, &check)) return fail(check.problem(), EINVAL);
  return json::parse(text, nullptr, false);
}

void wipe(json& value) {
  if (value.is_string()) {
    auto& text = value.get_ref<std::string&>();
    sodium_memzero(text.data(), text.size());
  } else if (value.is_structured()) {
    for (json& part : value)
      wipe(part);
  }
}

Result<SecretJson> parse_secret_json(std::string_view text) {
  auto value = parse_json(text);
  if (!value) return std::unexpected(value.error());
  return SecretJson(std::move(*value));
}

std::string text_of(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string in_quotes(std::string_view text) {
  constexpr size_t longest = 64;
  const std::string shown(text.substr(0, longest));
  // As ASCII: what is no letter or digit for sure is escaped.
  return json(shown).dump(-1, ' ', true, json::error_handler_t::replace) + (shown.size() < text.size() ? "..." : "");
}

}  // namespace centipede::api
