#include "api/client.h"

#include <httplib.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "api/event_json.h"
#include "api/json_text.h"
#include "api/paths.h"
#include "api/status_json.h"
#include "api/unix_socket.h"

namespace centipede::api {
namespace {

constexpr time_t answer_seconds = 15;
constexpr time_t stream_seconds = 60;  // a stream of events has a sign of life in a quarter of this
// A status is some kilobytes for each peer; more than this is no daemon of ours.
constexpr size_t answer_bytes = size_t{64} * 1024 * 1024;
constexpr size_t refusal_bytes = size_t{64} * 1024;

// The HTTP library's client over a socket that we connect.
class UnixClient : public httplib::ClientImpl {
 public:
  UnixClient(const std::string& path, time_t patience) : httplib::ClientImpl("localhost"), path_(path) {
    set_read_timeout(patience, 0);
    set_write_timeout(patience, 0);
    set_url_encode(false);
  }
  [[nodiscard]] const std::optional<centipede::Error>& connect_error() const { return connect_error_; }

 protected:
  bool create_and_connect_socket(Socket& socket, httplib::Error& error) override {
    auto connected = connect_unix(path_);
    if (!connected) {
      connect_error_ = connected.error();
      error = httplib::Error::Connection;
      return false;
    }
    socket.sock = connected->release();
    return true;
  }

 private:
  std::string path_;
  std::optional<centipede::Error> connect_error_;
};

Error refusal(const httplib::Response& response, const std::string& body, const std::string& socket_path) {
  const auto said = nlohmann::json::parse(body, nullptr, false);
  if (!said.is_object() || !said.contains("error") || !said["error"].is_string()) {
    return {"the daemon at " + socket_path + " answered with status " + std::to_string(response.status), EPROTO};
  }
  const auto code = [](int status) {
    switch (status) {
      case 400:
        return EINVAL;
      case 403:
        return EPERM;
      case 404:
        return ENXIO;
      case 409:
        return EEXIST;
      default:
        return EIO;
    }
  };
  return {said["error"].get<std::string>(), code(response.status)};
}

// Takes a piece of the body of a successful answer; false ends it.
using TakePiece = std::function<bool(std::string_view piece)>;

Result<void> exchange(const std::string& socket_path, httplib::Request request, time_t patience,
                      const TakePiece& take) {
  UnixClient client(socket_path, patience);
  if (!request.body.empty()) request.set_header("Content-Type", "application/json");
  int status = 0;
  std::string refused;
  bool taken = true;
  request.response_handler = [&status](const httplib::Response& response) {
    status = response.status;
    return true;
  };
  request.content_receiver = [&](const char* data, size_t size, uint64_t, uint64_t) {
    if (status == 200) return taken = take({data, size});
    refused.append(data, size);
    return refused.size() < refusal_bytes;
  };
  httplib::Response response;
  httplib::Error error = httplib::Error::Success;
  const bool sent = client.send(request, response, error);
  if (client.connect_error()) return std::unexpected(*client.connect_error());
  if (!taken) return {};
  if (!sent && error == httplib::Error::Read) {
    return fail("the daemon at " + socket_path + " gave no whole answer within " + std::to_string(patience) +
                    " s; what was asked of it may be carried out all the same",
                EPROTO);
  }
  if (!sent) return fail("asking the daemon at " + socket_path + ": " + httplib::to_string(error), EPROTO);
  if (response.status == 200) return {};
  return std::unexpected(refusal(response, refused, socket_path));
}

// Who may not open the tunnel's socket may perhaps read.
Result<void> ask(const std::string& socket_path, const httplib::Request& request, time_t patience,
                 const TakePiece& take) {
  auto outcome = exchange(socket_path, request, patience, take);
  const bool may_not = !outcome && outcome.error().code == EACCES;  // EPERM: the daemon's own refusal
  if (!may_not || request.method != "GET") return outcome;
  auto read = exchange(reading_socket_path(socket_path), request, patience, take);
  const bool nobody = !read && (read.error().code == ENOENT || read.error().code == ECONNREFUSED);
  return nobody ? outcome : read;
}

Result<void> without_value(const Result<std::string>& answer) {
  if (!answer) return std::unexpected(answer.error());
  return {};
}

// The list in the member of an answer that is an object.
Result<nlohmann::json> list_in(const Result<std::string>& answer, const char* member) {
  if (!answer) return std::unexpected(answer.error());
  auto said = nlohmann::json::parse(*answer, nullptr, false);
  if (said.is_object() && said.contains(member) && said[member].is_array()) return std::move(said[member]);
  return fail(std::string("the daemon's answer has no list of ") + member, EPROTO);
}

Result<PathPing> ping_from_json(const nlohmann::json& row) {
  PathPing ping;
  try {
    row.at("path").get_to(ping.path);
    row.at("uplink").get_to(ping.uplink);
    row.at("sending").get_to(ping.sending);
    const auto local = IpAddress::parse(row.at("local").get<std::string>());
    const auto remote = Endpoint::parse(row.at("remote").get<std::string>());
    if (!row.at("rtt_us").is_null()) ping.rtt = microseconds(row.at("rtt_us").get<int64_t>());
    if (local && remote) {
      ping.local = *local;
      ping.remote = *remote;
      return ping;
    }
  } catch (const nlohmann::json::exception& error) {
    return fail(std::string("the daemon's answer to ping is not as this program knows it: ") + error.what(), EPROTO);
  }
  return fail("the daemon's answer to ping names no addresses", EPROTO);
}

}  // namespace

std::string percent_encoded(std::string_view segment) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string out;
  for (const char c : segment) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain =
        (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
    if (plain) {
      out += c;
    } else {
      out += {'%', digits[byte >> 4], digits[byte & 15]};
    }
  }
  return out;
}

bool Client::reachable() const {
  const auto connected = connect_unix(path_);
  return connected || !not_running(connected.error());
}

Result<std::string> Client::request(const std::string& method, const std::string& target, const std::string& body) {
  httplib::Request request;
  request.method = method;
  request.path = target;
  request.body = body;
  std::string answer;
  const auto asked = ask(path_, request, answer_seconds, [&answer](std::string_view piece) {
    answer += piece;
    return answer.size() <= answer_bytes;
  });
  if (!asked) return std::unexpected(asked.error());
  if (answer.size() > answer_bytes) return fail("the daemon's answer at " + path_ + " is too long", EPROTO);
  while (answer.ends_with('\n'))
    answer.pop_back();
  return answer;
}

Result<std::string> Client::status_text() {
  return request("GET", "/v1/status");
}

Result<TunnelStatus> Client::status() {
  const auto answer = status_text();
  if (!answer) return std::unexpected(answer.error());
  return status_from_json(*answer);
}

Result<InterfaceSettings> Client::interface_settings() {
  const auto answer = request("GET", "/v1/interface");
  if (!answer) return std::unexpected(answer.error());
  const auto said = nlohmann::json::parse(*answer, nullptr, false);
  if (!said.is_object() || !said.contains("configured")) {
    return fail("the daemon does not say how it was configured: it is of another version, restart it", EPROTO);
  }
  auto settings = interface_settings_from_json(said["configured"]);
  if (!settings) return fail("reading how it was configured: " + settings.error().text, EPROTO);
  return settings;
}

Result<ShownSettings> Client::settings() {
  const auto answer = request("GET", "/v1/config");
  if (!answer) return std::unexpected(answer.error());
  return shown_settings_from_json(*answer);
}

Result<void> Client::attach_uplink(const UplinkSettings& uplink) {
  return without_value(request("POST", "/v1/uplinks", text_of(uplink_settings_json(uplink))));
}

Result<void> Client::detach_uplink(std::string_view name) {
  return without_value(request("DELETE", "/v1/uplinks/" + percent_encoded(name)));
}

Result<std::vector<std::string>> Client::reload() {
  const auto changes = list_in(request("POST", "/v1/reload"), "changes");
  if (!changes) return std::unexpected(changes.error());
  std::vector<std::string> lines;
  for (const auto& change : *changes)
    lines.push_back(change.is_string() ? change.get<std::string>() : text_of(change));
  return lines;
}

Result<std::vector<PathPing>> Client::ping(std::string_view peer, std::chrono::milliseconds time) {
  const auto rows =
      list_in(request("POST", "/v1/peers/" + percent_encoded(peer) + "/ping", text_of({{"timeout_ms", time.count()}})),
              "paths");
  if (!rows) return std::unexpected(rows.error());
  std::vector<PathPing> pings;
  for (const auto& row : *rows) {
    auto ping = ping_from_json(row);
    if (!ping) return std::unexpected(ping.error());
    pings.push_back(std::move(*ping));
  }
  return pings;
}

Result<std::vector<TunnelEvent>> Client::events(uint64_t after) {
  const auto rows = list_in(request("GET", "/v1/events?follow=0&after=" + std::to_string(after)), "events");
  if (!rows) return std::unexpected(rows.error());
  std::vector<TunnelEvent> events;
  for (const auto& row : *rows) {
    auto event = event_from_json(row);
    if (!event) return std::unexpected(event.error());
    events.push_back(std::move(*event));
  }
  return events;
}

Result<void> Client::follow_events(std::optional<uint64_t> after, const std::function<bool(const TunnelEvent&)>& take) {
  httplib::Request request;
  request.method = "GET";
  request.path = "/v1/events" + (after ? "?after=" + std::to_string(*after) : "");
  EventStreamReader reader;
  std::optional<Error> failure;
  bool ended = false;
  const auto asked = ask(path_, request, stream_seconds, [&](std::string_view piece) {
    const auto more = reader.add(piece, take);
    if (!more) failure = more.error();
    ended = more && !*more;
    return more && *more;
  });
  if (failure) return std::unexpected(*failure);
  if (ended) return {};
  if (!asked) return std::unexpected(asked.error());
  return fail("the daemon ended the stream of events: it stops, or these were read too slowly", ECONNRESET);
}

Result<void> Client::stop() {
  return without_value(request("POST", "/v1/stop"));
}

}  // namespace centipede::api
