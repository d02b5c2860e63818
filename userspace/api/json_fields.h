// The members of one JSON object that somebody sent, read with errors that name the key's place. The first error is
// kept and what follows it changes nothing, so that one look at failure() at the end suffices.
// Ownership: refers to the JSON. Threading: one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace centipede::api {

class JsonFields {
 public:
  // `from` must be an object with no other keys than these. `where` begins the place in errors ("peers[2].").
  JsonFields(const nlohmann::json& from, std::string where, std::initializer_list<std::string_view> keys);

  // Nothing when it is absent or null.
  const nlohmann::json* find(std::string_view key);
  [[nodiscard]] bool is_null(std::string_view key) const;
  // Each leaves `into` as it is when the key is absent or null.
  void read(std::string_view key, std::string& into);
  void read(std::string_view key, bool& into);
  void read(std::string_view key, uint64_t& into, uint64_t most);
  void read(std::string_view key, std::optional<uint32_t>& into);
  void each(std::string_view key, const std::function<void(const nlohmann::json&, const std::string& where)>& take);
  void each_text(std::string_view key, const std::function<void(const std::string&, const std::string& where)>& take);

  void require(std::string_view key);
  // "<where>: <what>"
  void complain(const std::string& where, const std::string& what);
  void complain(Error error);
  [[nodiscard]] std::string place(std::string_view key) const { return where_ + std::string(key); }
  [[nodiscard]] const std::optional<Error>& failure() const { return failure_; }

 private:
  const nlohmann::json& from_;
  std::string where_;
  std::optional<Error> failure_;
};

}  // namespace centipede::api
