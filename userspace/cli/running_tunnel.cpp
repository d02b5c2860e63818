#include "cli/running_tunnel.h"

#include <nlohmann/json.hpp>
#include <ostream>

#include "api/json_text.h"

namespace centipede::cli {

RunningTunnelClient::RunningTunnelClient(Host& host, std::string interface)
    : host_(host), interface_(std::move(interface)), api_(api::socket_path(host.runtime_directory, interface_)) {
  if (api::valid_interface_name(interface_)) return;
  code_ = complain(host_, wrong_usage, "\"" + interface_ + "\" is no name of an interface");
}

std::optional<std::string> RunningTunnelClient::request(const std::string& method, const std::string& target,
                                                        const std::string& body) {
  auto answer = api_.request(method, target, body);
  if (answer) return std::move(*answer);
  tell(answer.error());
  return std::nullopt;
}

std::optional<std::string> RunningTunnelClient::request(const std::string& method, const std::string& target,
                                                        const nlohmann::json& body) {
  return request(method, target, api::text_of(body));
}

std::optional<TunnelStatus> RunningTunnelClient::status() {
  auto status = api_.status();
  if (status) return std::move(*status);
  tell(status.error());
  return std::nullopt;
}

int RunningTunnelClient::tell(const Error& error) {
  code_ = tell_failure(host_, interface_, error);
  return code_;
}

int tell_failure(const Host& host, const std::string& interface, const Error& error) {
  if (api::not_running(error)) {
    return complain(host, failed,
                    interface + " does not run: start it with `centipede attach -i " + interface +
                        "`; `centipede status` lists the tunnels that run");
  }
  if (error.code == EACCES) {
    return complain(host, failed, interface + ": only root may ask its daemon: run it with sudo");
  }
  return complain(host, error.code == EINVAL ? wrong_usage : failed, interface + ": " + error.text);
}

int say(Host& host, const std::string& what) {
  host.out << what << '\n' << std::flush;
  return done;
}

std::string target(std::initializer_list<std::string_view> segments) {
  std::string path = "/v1";
  for (const std::string_view segment : segments)
    path += "/" + api::percent_encoded(segment);
  return path;
}

}  // namespace centipede::cli
