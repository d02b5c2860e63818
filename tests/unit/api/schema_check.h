// Checks JSON against the subset of OpenAPI 3.0's schemas that openapi.json uses; a schema with any other word is a
// finding too, so that none is taken for checked that is not.
#pragma once

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

namespace centipede::api {

class SchemaCheck {
 public:
  explicit SchemaCheck(const nlohmann::json& document) : document_(document) {}

  // What does not fit, with its place; empty when all does.
  [[nodiscard]] std::string problem(const nlohmann::json& value, const nlohmann::json& schema,
                                    const std::string& where = "$") const {
    if (schema.contains("$ref")) return problem(value, resolved(schema), where);
    for (const auto& [word, rule] : schema.items())
      if (!words().contains(word)) return where + ": the schema has the unknown word " + word;
    if (value.is_null() && schema.value("nullable", false)) return "";
    if (!schema.contains("type")) return where + ": the schema has no type";
    if (const auto found = of_type(value, schema, where); !found.empty()) return found;
    if (schema.contains("enum") && std::ranges::find(schema["enum"], value) == schema["enum"].end())
      return where + ": " + value.dump() + " is not among " + schema["enum"].dump();
    return "";
  }
  [[nodiscard]] const nlohmann::json& resolved(const nlohmann::json& schema) const {
    if (!schema.contains("$ref")) return schema;
    return document_.at(nlohmann::json::json_pointer(schema["$ref"].get<std::string>().substr(1)));
  }

 private:
  static const std::set<std::string>& words() {
    static const std::set<std::string> known{"type",    "description", "properties", "required",
                                             "items",   "nullable",    "enum",       "minimum",
                                             "maximum", "minLength",   "maxLength",  "additionalProperties"};
    return known;
  }
  [[nodiscard]] std::string of_type(const nlohmann::json& value, const nlohmann::json& schema,
                                    const std::string& where) const {
    const auto type = schema["type"].get<std::string>();
    const std::string otherwise = where + ": " + value.dump().substr(0, 100) + " is no " + type;
    if (type == "object") return value.is_object() ? object(value, schema, where) : otherwise;
    if (type == "array") return value.is_array() ? array(value, schema, where) : otherwise;
    if (type == "boolean") return value.is_boolean() ? "" : otherwise;
    if (type == "integer") return value.is_number_integer() ? number(value, schema, where) : otherwise;
    if (type == "number") return value.is_number() ? number(value, schema, where) : otherwise;
    if (type != "string") return where + ": the schema has the unknown type " + type;
    if (!value.is_string()) return otherwise;
    const size_t size = value.get_ref<const std::string&>().size();
    const bool fits = size >= schema.value("minLength", size_t{0}) && size <= schema.value("maxLength", SIZE_MAX);
    return fits ? "" : where + ": " + value.dump() + " is too short or too long";
  }
  [[nodiscard]] static std::string number(const nlohmann::json& value, const nlohmann::json& schema,
                                          const std::string& where) {
    const bool fits = (!schema.contains("minimum") || value >= schema["minimum"]) &&
                      (!schema.contains("maximum") || value <= schema["maximum"]);
    return fits ? "" : where + ": " + value.dump() + " is out of range";
  }
  [[nodiscard]] std::string array(const nlohmann::json& value, const nlohmann::json& schema,
                                  const std::string& where) const {
    if (!schema.contains("items")) return where + ": the schema has no items";
    for (size_t i = 0; i < value.size(); ++i) {
      const auto found = problem(value[i], schema["items"], where + "[" + std::to_string(i) + "]");
      if (!found.empty()) return found;
    }
    return "";
  }
  [[nodiscard]] std::string object(const nlohmann::json& value, const nlohmann::json& schema,
                                   const std::string& where) const {
    const auto none = nlohmann::json::object();
    const auto& properties = schema.contains("properties") ? schema["properties"] : none;
    for (const auto& name : schema.value("required", nlohmann::json::array()))
      if (!value.contains(name.get<std::string>())) return where + ": " + name.dump() + " is missing";
    for (const auto& [name, member] : value.items()) {
      const std::string place = where + "." + name;
      const auto more = schema.value("additionalProperties", nlohmann::json(true));
      if (properties.contains(name)) {
        if (const auto found = problem(member, properties[name], place); !found.empty()) return found;
      } else if (more.is_object()) {
        if (const auto found = problem(member, more, place); !found.empty()) return found;
      } else if (!more.get<bool>()) {
        return place + " is not in the schema";
      }
    }
    return "";
  }

  const nlohmann::json& document_;
};

}  // namespace centipede::api
