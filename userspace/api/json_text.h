// JSON as it comes in and goes out. Reading is strict: UTF-8, no key twice in an object, at most 16 levels, numbers
// that fit. Threading: pure functions. Errors: EINVAL, one line.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace centipede::api {

[[nodiscard]] Result<nlohmann::json> parse_json(std::string_view text);
// Overwrites every text in it: for what may hold a key.
void wipe(nlohmann::json& value);
// What somebody sent, wiped when it goes.
class SecretJson {
 public:
  explicit SecretJson(nlohmann::json value) : value_(std::move(value)) {}
  SecretJson(SecretJson&& other) noexcept : value_(std::move(other.value_)) {}
  SecretJson& operator=(SecretJson&&) = delete;
  ~SecretJson() { wipe(value_); }
  nlohmann::json& operator*() { return value_; }

 private:
  nlohmann::json value_;
};
[[nodiscard]] Result<SecretJson> parse_secret_json(std::string_view text);
// One line; bytes that are no UTF-8 become U+FFFD.
[[nodiscard]] std::string text_of(const nlohmann::json& value);
// For an error's text: in quotes, printable, not long.
[[nodiscard]] std::string in_quotes(std::string_view text);

template <class T>
nlohmann::json or_null(const std::optional<T>& value) {
  return value ? nlohmann::json(*value) : nlohmann::json(nullptr);
}

// The object `rest` with one more member, a list: made row by row, because a tree of ten thousand rows takes tens of
// megabytes, and each thread that makes one keeps them.
template <class List, class Row>
std::string with_list(const nlohmann::json& rest, std::string_view key, const List& list, const Row& row_json) {
  std::string text = text_of(rest);
  text.pop_back();
  if (!rest.empty()) text += ',';
  text += '"';
  text += key;
  text += "\":[";
  const char* separator = "";
  for (const auto& row : list)
    text += std::exchange(separator, ",") + text_of(row_json(row));
  return text + "]}";
}

}  // namespace centipede::api
