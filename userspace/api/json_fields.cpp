#include "api/json_fields.h"

#include <algorithm>
#include <limits>

#include "api/json_text.h"

namespace centipede::api {

using nlohmann::json;

JsonFields::JsonFields(const json& from, std::string where, std::initializer_list<std::string_view> keys)
    : from_(from), where_(std::move(where)) {
  if (!from.is_object()) {
    const std::string what = where_.empty() ? "the body" : where_.substr(0, where_.size() - 1);
    complain(what, "is no object; write {...}");
    return;
  }
  for (const auto& [key, value] : from.items()) {
    if (std::ranges::find(keys, key) != keys.end()) continue;
    std::string known;
    for (const std::string_view name : keys)
      known += (known.empty() ? "" : ", ") + std::string(name);
    complain(where_ + in_quotes(key), "is not known; there are " + known);
  }
}

void JsonFields::complain(Error error) {
  if (!failure_) failure_ = std::move(error);
}

void JsonFields::complain(const std::string& where, const std::string& what) {
  complain(Error{where + ": " + what, EINVAL});
}

const json* JsonFields::find(std::string_view key) {
  if (failure_) return nullptr;
  const auto found = from_.find(key);
  return found == from_.end() || found->is_null() ? nullptr : &*found;
}

bool JsonFields::is_null(std::string_view key) const {
  if (failure_) return false;
  const auto found = from_.find(key);
  return found != from_.end() && found->is_null();
}

void JsonFields::require(std::string_view key) {
  if (!failure_ && find(key) == nullptr) complain(place(key), "is missing; it is needed");
}

void JsonFields::read(std::string_view key, std::string& into) {
  const json* value = find(key);
  if (value == nullptr) return;
  if (!value->is_string()) return complain(place(key), "is no text; write it in quotes");
  into = value->get<std::string>();
}

void JsonFields::read(std::string_view key, bool& into) {
  const json* value = find(key);
  if (value == nullptr) return;
  if (!value->is_boolean()) return complain(place(key), "is neither true nor false");
  into = value->get<bool>();
}

void JsonFields::read(std::string_view key, uint64_t& into, uint64_t most) {
  const json* value = find(key);
  if (value == nullptr) return;
  if (!value->is_number_unsigned() || value->get<uint64_t>() > most) {
    return complain(place(key), "is no whole number from 0 to " + std::to_string(most));
  }
  into = value->get<uint64_t>();
}

void JsonFields::read(std::string_view key, std::optional<uint32_t>& into) {
  if (find(key) == nullptr) return;
  uint64_t number = 0;
  read(key, number, std::numeric_limits<uint32_t>::max());
  if (!failure_) into = static_cast<uint32_t>(number);
}

void JsonFields::each(std::string_view key, const std::function<void(const json&, const std::string&)>& take) {
  const json* value = find(key);
  if (value == nullptr) return;
  if (!value->is_array()) return complain(place(key), "is no list; write [...]");
  for (size_t i = 0; i < value->size() && !failure_; ++i)
    take((*value)[i], place(key) + "[" + std::to_string(i) + "]");
}

void JsonFields::each_text(std::string_view key,
                           const std::function<void(const std::string&, const std::string&)>& take) {
  each(key, [&](const json& item, const std::string& where) {
    if (!item.is_string()) return complain(where, "is no text; write it in quotes");
    take(item.get_ref<const std::string&>(), where);
  });
}

}  // namespace centipede::api
