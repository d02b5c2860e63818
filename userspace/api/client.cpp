#include "api/client.h"

#include <httplib.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "api/status_json.h"
#include "api/unix_socket.h"

namespace centipede::api {
namespace {

constexpr time_t answer_seconds = 15;
// A status is some kilobytes for each peer; more than this is no daemon of ours.
constexpr size_t answer_bytes = size_t{16} * 1024 * 1024;

// The HTTP library's client over a socket that we connect.
class UnixClient : public httplib::ClientImpl {
 public:
  explicit UnixClient(const std::string& path) : httplib::ClientImpl("localhost"), path_(path) {
    set_read_timeout(answer_seconds, 0);
    set_write_timeout(answer_seconds, 0);
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

// Sends one request; the body of a successful answer.
Result<std::string> exchange(const std::string& socket_path, const std::string& method, const std::string& target,
                             const std::string& body = {}) {
  UnixClient client(socket_path);
  httplib::Request request;
  request.method = method;
  request.path = target;
  request.body = body;
  if (!body.empty()) request.set_header("Content-Type", "application/json");
  std::string answer;
  request.content_receiver = [&answer](const char* data, size_t size, uint64_t, uint64_t) {
    if (answer.size() + size > answer_bytes) return false;
    answer.append(data, size);
    return true;
  };
  httplib::Response response;
  httplib::Error error = httplib::Error::Success;
  if (!client.send(request, response, error)) {
    if (client.connect_error()) return std::unexpected(*client.connect_error());
    return fail("asking the daemon at " + socket_path + ": " + httplib::to_string(error), EPROTO);
  }
  if (response.status == 200) return answer;
  const auto said = nlohmann::json::parse(answer, nullptr, false);
  if (said.is_object() && said.contains("error") && said["error"].is_string()) {
    return fail(said["error"].get<std::string>());
  }
  return fail("the daemon at " + socket_path + " answered with status " + std::to_string(response.status), EPROTO);
}

Result<void> without_value(const Result<std::string>& answer) {
  if (!answer) return std::unexpected(answer.error());
  return {};
}

std::string percent_encoded(std::string_view name) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string out;
  for (const char c : name) {
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

}  // namespace

bool Client::reachable() const {
  return connect_unix(path_).has_value();
}

Result<std::string> Client::status_text() {
  auto answer = exchange(path_, "GET", "/v1/status");
  while (answer && answer->ends_with('\n'))
    answer->pop_back();
  return answer;
}

Result<TunnelStatus> Client::status() {
  const auto answer = status_text();
  if (!answer) return std::unexpected(answer.error());
  return status_from_json(*answer);
}

Result<void> Client::attach_uplink(std::string_view name) {
  const nlohmann::json body = {{"name", std::string(name)}};
  const auto replace = nlohmann::json::error_handler_t::replace;
  return without_value(exchange(path_, "POST", "/v1/uplinks", body.dump(-1, ' ', false, replace)));
}

Result<void> Client::detach_uplink(std::string_view name) {
  return without_value(exchange(path_, "DELETE", "/v1/uplinks/" + percent_encoded(name)));
}

Result<void> Client::stop() {
  return without_value(exchange(path_, "POST", "/v1/stop"));
}

}  // namespace centipede::api
