#include <algorithm>
#include <cmath>
#include <limits>

#include "api/counter_names.h"
#include "api/status_json.h"

namespace centipede::api {
namespace {

using nlohmann::json;

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

std::optional<control::PathState> parse_state(const std::string& text) {
  const auto found = std::ranges::find(state_names, text);
  if (found == state_names.end()) return std::nullopt;
  return static_cast<control::PathState>(found - state_names.begin());
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
  row.read("enabled", path.enabled);
  row.read("priority", path.priority);
  row.read_parsed("state", path.state, parse_state);
  row.read_duration("rtt_us", microseconds(1), path.rtt);
  row.read_duration("rtt_variation_us", microseconds(1), path.rtt_variation);
  row.read_duration("late_us", microseconds(1), path.late);
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
  row.read_parsed("policy", peer.policy, policy_named);
  row.read_list("allowed_ips", peer.allowed_ips);
  row.each("endpoints", [&](const json& endpoint, const std::string& where) {
    if (endpoint.is_string()) return peer.endpoints.push_back(endpoint.get<std::string>());
    if (!failure) failure = Error{where + " is no text", EPROTO};
  });
  row.read("preshared", peer.preshared);
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
  row.read("priority", uplink.priority);
  row.read("metered", uplink.metered);
  row.read("rate_bps", uplink.rate_bps);
  row.read("pattern", uplink.pattern);
  row.read_list("addresses", uplink.addresses);
  row.read("mode", uplink.mode);
  row.read("reason", uplink.reason);
  row.read("xsk_dropped", uplink.xsk_dropped);
  row.read("fill_ring_empty", uplink.fill_ring_empty);
  row.read_counters("xdp", uplink.xdp, xdp_counters);
  return uplink;
}

}  // namespace

Result<TunnelStatus> status_from_json(std::string_view text) {
  const json document = json::parse(text, nullptr, false);
  if (document.is_discarded()) return fail("reading the status: it is no JSON", EPROTO);
  std::optional<Error> failure;
  TunnelStatus status;
  Reader top(document, failure, "");
  std::optional<Duration> uptime;
  top.read("name", status.name);
  top.read("version", status.version);
  top.read_duration("uptime_s", seconds(1), uptime);
  status.uptime = uptime.value_or(Duration{});
  top.read_parsed("public_key", status.public_key, parse_key);
  top.read("listen_port", status.listen_port);
  top.read_list("addresses", status.addresses);
  top.read("mtu", status.mtu);
  top.read("aead", status.aead);
  top.read("keylog_allowed", status.keylog_allowed);
  top.read("windows_shrunk", status.windows_shrunk);
  top.read("sessions_waiting", status.sessions_waiting);
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
