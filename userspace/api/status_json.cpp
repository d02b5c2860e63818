#include "api/status_json.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "api/counter_names.h"
#include "api/json_text.h"

namespace centipede::api {
namespace {

using nlohmann::json;

constexpr std::array policy_names{"redundant", "backup"};
constexpr std::array state_names{"probing", "active", "degraded", "down"};

template <class Owner, class Table>
json counters_json(const Owner& owner, const Table& table) {
  json out = json::object();
  for (const auto& counter : table)
    out[std::string(counter.name)] = uint64_t{owner.*counter.member};
  return out;
}

template <class T>
json texts_json(const std::vector<T>& values) {
  json out = json::array();
  for (const T& value : values)
    out.push_back(value.text());
  return out;
}

json microseconds_json(const std::optional<Duration>& value) {
  if (!value) return nullptr;
  return std::chrono::duration_cast<microseconds>(*value).count();
}

json seconds_json(const std::optional<Duration>& value) {
  if (!value) return nullptr;
  return std::chrono::duration<double>(*value).count();
}

json path_json(const control::PathStatus& path) {
  return {{"id", path.id},
          {"uplink", path.uplink},
          {"uplink_name", path.uplink_name},
          {"local", path.local.text()},
          {"remote", path.remote.text()},
          {"configured", path.configured},
          {"sending", path.sending},
          {"state", state_name(path.state)},
          {"rtt_us", microseconds_json(path.rtt)},
          {"rtt_variation_us", microseconds_json(path.rtt_variation)},
          {"loss_in", or_null(path.loss_in)},
          {"loss_out", or_null(path.loss_out)},
          {"sent_packets", path.sent_packets},
          {"sent_bytes", path.sent_bytes},
          {"send_errors", path.send_errors},
          {"first_packets", path.first_packets},
          {"first_bytes", path.first_bytes},
          {"duplicates_early", path.duplicates_early},
          {"duplicates_worker", path.duplicates_worker},
          {"only_here", path.only_here}};
}

json peer_json(const control::PeerStatus& peer) {
  json paths = json::array();
  for (const auto& path : peer.paths)
    paths.push_back(path_json(path));
  return {{"id", peer.id},
          {"name", peer.name},
          {"public_key", peer.public_key.base64()},
          {"policy", policy_name(peer.policy)},
          {"allowed_ips", texts_json(peer.allowed_ips)},
          {"session_age_s", seconds_json(peer.session_age)},
          {"last_handshake_s", seconds_json(peer.last_handshake)},
          {"handshakes", peer.handshakes},
          {"paths", std::move(paths)}};
}

json uplink_json(const UplinkStatus& uplink) {
  return {{"id", uplink.id},
          {"name", uplink.name},
          {"usable", uplink.usable},
          {"addresses", texts_json(uplink.addresses)},
          {"mode", uplink.mode},
          {"reason", uplink.reason},
          {"xsk_dropped", uplink.xsk_dropped},
          {"fill_ring_empty", uplink.fill_ring_empty},
          {"xdp", counters_json(uplink.xdp, xdp_counters)}};
}

// Reads the members of one object. The first thing amiss is kept; what follows it is not looked at.
class Reader {
 public:
  Reader(const json& from, std::optional<Error>& failure, const std::string& where)
      : from_(from), failure_(failure), where_(where) {
    if (!from.is_object()) complain("", "is no object");
  }

  void read(const char* key, std::string& into) {
    if (const json* value = member(key, &json::is_string, "is no text")) into = value->get<std::string>();
  }
  void read(const char* key, bool& into) {
    if (const json* value = member(key, &json::is_boolean, "is no boolean")) into = value->get<bool>();
  }
  template <std::unsigned_integral T>
  void read(const char* key, T& into) {
    const json* value = member(key, &json::is_number_unsigned, "is no whole number from 0");
    if (value == nullptr) return;
    const auto number = value->get<uint64_t>();
    if (number > std::numeric_limits<T>::max()) return complain(key, "is too large");
    into = static_cast<T>(number);
  }
  void read_number(const char* key, std::optional<double>& into) {
    const json* value = member(key, nullptr, "");
    if (value == nullptr || value->is_null()) return;
    if (!value->is_number()) return complain(key, "is no number");
    into = value->get<double>();
  }
  // A number of `unit`s, or null.
  void read_duration(const char* key, Duration unit, std::optional<Duration>& into) {
    std::optional<double> number;
    read_number(key, number);
    if (!number) return;
    const double ns = *number * static_cast<double>(unit.count());
    if (!(std::abs(ns) < 9e18)) return complain(key, "is too large");
    into = Duration(std::llround(ns));
  }
  // A text that `parse` turns into a value, or nothing.
  template <class T, class Parse>
  void read_parsed(const char* key, T& into, Parse parse) {
    std::string text;
    read(key, text);
    if (failure_) return;
    const auto value = parse(text);
    if (!value) return complain(key, "has no known value");
    into = *value;
  }
  template <class T>
  void read_list(const char* key, std::vector<T>& into) {
    each(key, [&](const json& row, const std::string& where) {
      const auto value = row.is_string() ? T::parse(row.get<std::string>()) : std::nullopt;
      if (value) return into.push_back(*value);
      if (!failure_) failure_ = Error{where + " has no known value", EPROTO};
    });
  }
  template <class Owner, class Table>
  void read_counters(const char* key, Owner& into, const Table& table) {
    if (const json* value = member(key, &json::is_object, "is no object")) counters(*value, key, into, table);
  }
  template <class Owner, class Table>
  void counters(const json& from, const std::string& key, Owner& into, const Table& table) {
    Reader inner(from, failure_, where_ + key + ".");
    for (const auto& counter : table) {
      uint64_t number = 0;
      inner.read(std::string(counter.name).c_str(), number);
      into.*counter.member = number;
    }
  }
  template <class Action>
  void each(const char* key, Action action) {
    const json* list = member(key, &json::is_array, "is no list");
    if (list == nullptr) return;
    size_t index = 0;
    for (const json& row : *list) {
      const std::string where = where_ + key + "[" + std::to_string(index++) + "]";
      action(row, where);
      if (failure_) return;
    }
  }

 private:
  void complain(const std::string& key, const char* what) {
    if (!failure_) failure_ = Error{where_ + key + " " + what, EPROTO};
  }
  const json* member(const char* key, bool (json::*is)() const noexcept, const char* otherwise) {
    if (failure_) return nullptr;
    const auto found = from_.find(key);
    if (found == from_.end()) {
      complain(key, "is missing");
      return nullptr;
    }
    if (is != nullptr && !((*found).*is)()) {
      complain(key, otherwise);
      return nullptr;
    }
    return &*found;
  }

  const json& from_;
  std::optional<Error>& failure_;
  std::string where_;
};

std::optional<crypto::PublicKey> parse_key(const std::string& text) {
  if (text == crypto::PublicKey{}.base64()) return crypto::PublicKey{};
  return crypto::PublicKey::from_base64(text);
}

std::optional<IpAddress> parse_address_or_none(const std::string& text) {
  if (text == IpAddress{}.text()) return IpAddress{};
  return IpAddress::parse(text);
}

template <class Enum, class Names>
auto parse_enum(const Names& names) {
  return [&names](const std::string& text) -> std::optional<Enum> {
    for (size_t i = 0; i < names.size(); ++i) {
      if (text == names[i]) return static_cast<Enum>(i);
    }
    return std::nullopt;
  };
}

control::PathStatus read_path(Reader row) {
  control::PathStatus path;
  row.read("id", path.id);
  row.read("uplink", path.uplink);
  row.read("uplink_name", path.uplink_name);
  row.read_parsed("local", path.local, parse_address_or_none);
  row.read_parsed("remote", path.remote, [](const std::string& text) { return Endpoint::parse(text); });
  row.read("configured", path.configured);
  row.read("sending", path.sending);
  row.read_parsed("state", path.state, parse_enum<control::PathState>(state_names));
  row.read_duration("rtt_us", microseconds(1), path.rtt);
  row.read_duration("rtt_variation_us", microseconds(1), path.rtt_variation);
  row.read_number("loss_in", path.loss_in);
  row.read_number("loss_out", path.loss_out);
  row.read("sent_packets", path.sent_packets);
  row.read("sent_bytes", path.sent_bytes);
  row.read("send_errors", path.send_errors);
  row.read("first_packets", path.first_packets);
  row.read("first_bytes", path.first_bytes);
  row.read("duplicates_early", path.duplicates_early);
  row.read("duplicates_worker", path.duplicates_worker);
  row.read("only_here", path.only_here);
  return path;
}

control::PeerStatus read_peer(Reader row, std::optional<Error>& failure) {
  control::PeerStatus peer;
  row.read("id", peer.id);
  row.read("name", peer.name);
  row.read_parsed("public_key", peer.public_key, parse_key);
  row.read_parsed("policy", peer.policy, parse_enum<control::Policy>(policy_names));
  row.read_list("allowed_ips", peer.allowed_ips);
  row.read_duration("session_age_s", seconds(1), peer.session_age);
  row.read_duration("last_handshake_s", seconds(1), peer.last_handshake);
  row.read("handshakes", peer.handshakes);
  row.each("paths", [&](const json& path, const std::string& where) {
    peer.paths.push_back(read_path(Reader(path, failure, where + ".")));
  });
  return peer;
}

UplinkStatus read_uplink(Reader row) {
  UplinkStatus uplink;
  row.read("id", uplink.id);
  row.read("name", uplink.name);
  row.read("usable", uplink.usable);
  row.read_list("addresses", uplink.addresses);
  row.read("mode", uplink.mode);
  row.read("reason", uplink.reason);
  row.read("xsk_dropped", uplink.xsk_dropped);
  row.read("fill_ring_empty", uplink.fill_ring_empty);
  row.read_counters("xdp", uplink.xdp, xdp_counters);
  return uplink;
}

}  // namespace

const char* policy_name(control::Policy policy) {
  const auto index = static_cast<size_t>(policy);
  return index < policy_names.size() ? policy_names[index] : "unknown";
}

std::optional<control::Policy> policy_named(std::string_view name) {
  return parse_enum<control::Policy>(policy_names)(std::string(name));
}

const char* state_name(control::PathState state) {
  const auto index = static_cast<size_t>(state);
  return index < state_names.size() ? state_names[index] : "unknown";
}

std::string to_json(const TunnelStatus& status) {
  json uplinks = json::array();
  for (const auto& uplink : status.uplinks)
    uplinks.push_back(uplink_json(uplink));
  json workers = json::array();
  for (const auto& worker : status.workers)
    workers.push_back(counters_json(worker, worker_counters));
  const json all_but_peers{{"name", status.name},
                           {"public_key", status.public_key.base64()},
                           {"listen_port", status.listen_port},
                           {"addresses", texts_json(status.addresses)},
                           {"mtu", status.mtu},
                           {"aead", status.aead},
                           {"uplinks", std::move(uplinks)},
                           {"control", counters_json(status.control, control_counters)},
                           {"total", counters_json(status.total, worker_counters)},
                           {"workers", std::move(workers)}};
  return with_list(all_but_peers, "peers", status.peers, peer_json);
}

Result<TunnelStatus> status_from_json(std::string_view text) {
  const json document = json::parse(text, nullptr, false);
  if (document.is_discarded()) return fail("reading the status: it is no JSON", EPROTO);
  std::optional<Error> failure;
  TunnelStatus status;
  Reader top(document, failure, "");
  top.read("name", status.name);
  top.read_parsed("public_key", status.public_key, parse_key);
  top.read("listen_port", status.listen_port);
  top.read_list("addresses", status.addresses);
  top.read("mtu", status.mtu);
  top.read("aead", status.aead);
  top.each("uplinks", [&](const json& row, const std::string& where) {
    status.uplinks.push_back(read_uplink(Reader(row, failure, where + ".")));
  });
  top.each("peers", [&](const json& row, const std::string& where) {
    status.peers.push_back(read_peer(Reader(row, failure, where + "."), failure));
  });
  top.read_counters("control", status.control, control_counters);
  top.read_counters("total", status.total, worker_counters);
  top.each("workers", [&](const json& row, const std::string& where) {
    top.counters(row, where, status.workers.emplace_back(), worker_counters);
  });
  if (failure) return fail("reading the status: " + failure->text, failure->code);
  return status;
}

}  // namespace centipede::api
