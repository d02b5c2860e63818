#include "api/interface_json.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "api/json_fields.h"

namespace centipede::api {
namespace {

using nlohmann::json;

template <class T>
json texts_json(const std::vector<T>& values) {
  json out = json::array();
  for (const T& value : values)
    out.push_back(value.text());
  return out;
}

template <class Number>
void read_number(JsonFields& fields, std::string_view key, Number& into) {
  uint64_t number = 0;
  fields.require(key);
  fields.read(key, number, std::numeric_limits<Number>::max());
  into = static_cast<Number>(number);
}

template <class Choice>
void read_choice(JsonFields& fields, std::string_view key, const std::array<std::string_view, 3>& names, Choice& into) {
  std::string name;
  fields.require(key);
  fields.read(key, name);
  const auto found = std::ranges::find(names, name);
  if (found != names.end()) {
    into = static_cast<Choice>(found - names.begin());
  } else {
    fields.complain(fields.place(key), "has no known value");
  }
}

template <class T>
void read_texts(JsonFields& fields, std::string_view key, std::vector<T>& into) {
  fields.require(key);
  fields.each_text(key, [&](const std::string& text, const std::string& where) {
    const auto value = T::parse(text);
    if (!value) return fields.complain(where, "is no address");
    into.push_back(*value);
  });
}

}  // namespace

InterfaceSettings interface_settings(const TunnelConfig& config) {
  return {.private_key_file = config.private_key_file,
          .addresses = config.addresses,
          .listen_port = config.listen_port,
          .workers = config.workers,
          .mode = config.mode,
          .aead = config.aead,
          .busy_poll_us = config.busy_poll_us,
          .mtu = config.mtu,
          .window_bits = config.window_bits,
          .heartbeat_ms = config.heartbeat_ms,
          .rekey_seconds = config.rekey_seconds,
          .routes = config.routes,
          .kill_switch = config.kill_switch,
          .dns = config.dns,
          .dns_search = config.dns_search};
}

json interface_settings_json(const InterfaceSettings& settings) {
  return {{"private_key_file", settings.private_key_file},
          {"address", texts_json(settings.addresses)},
          {"listen_port", settings.listen_port},
          {"workers", settings.workers},
          {"mode", name_of(settings.mode, mode_names)},
          {"aead", name_of(settings.aead, aead_names)},
          {"busy_poll_us", settings.busy_poll_us},
          {"mtu", settings.mtu},
          {"window", uint64_t{1} << settings.window_bits},
          {"heartbeat_ms", settings.heartbeat_ms},
          {"rekey_seconds", settings.rekey_seconds},
          {"routes", settings.routes},
          {"kill_switch", settings.kill_switch},
          {"dns", texts_json(settings.dns)},
          {"dns_search", settings.dns_search}};
}

Result<InterfaceSettings> interface_settings_from_json(const json& from) {
  JsonFields fields(from, "",
                    {"private_key_file", "address", "listen_port", "workers", "mode", "aead", "busy_poll_us", "mtu",
                     "window", "heartbeat_ms", "rekey_seconds", "routes", "kill_switch", "dns", "dns_search"});
  InterfaceSettings settings;
  uint32_t window = 0;
  for (const char* key : {"private_key_file", "routes", "kill_switch", "dns_search"})
    fields.require(key);
  fields.read("private_key_file", settings.private_key_file);
  read_texts(fields, "address", settings.addresses);
  read_number(fields, "listen_port", settings.listen_port);
  read_number(fields, "workers", settings.workers);
  read_choice(fields, "mode", mode_names, settings.mode);
  read_choice(fields, "aead", aead_names, settings.aead);
  read_number(fields, "busy_poll_us", settings.busy_poll_us);
  read_number(fields, "mtu", settings.mtu);
  read_number(fields, "window", window);
  read_number(fields, "heartbeat_ms", settings.heartbeat_ms);
  read_number(fields, "rekey_seconds", settings.rekey_seconds);
  fields.read("routes", settings.routes);
  fields.read("kill_switch", settings.kill_switch);
  read_texts(fields, "dns", settings.dns);
  fields.each_text("dns_search",
                   [&](const std::string& text, const std::string&) { settings.dns_search.push_back(text); });
  if (!std::has_single_bit(window)) fields.complain(fields.place("window"), "is no power of two");
  if (fields.failure()) return std::unexpected(*fields.failure());
  settings.window_bits = static_cast<unsigned>(std::countr_zero(window));
  return settings;
}

}  // namespace centipede::api
