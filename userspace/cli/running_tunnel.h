// What the commands to a running tunnel share: its name, checks of what the user typed, and telling why it did not do
// it. Threading: one thread.
#pragma once

#include <initializer_list>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "api/client.h"
#include "cli/host.h"

namespace centipede::cli {

// One running tunnel as a command asks it. Each failure is told on err, with what to do; `code` is then the exit code.
class RunningTunnelClient {
 public:
  RunningTunnelClient(Host& host, std::string interface);

  // False when the interface's name is none.
  [[nodiscard]] bool valid() const { return code_ == done; }
  [[nodiscard]] int code() const { return code_; }
  [[nodiscard]] const std::string& interface() const { return interface_; }
  [[nodiscard]] api::Client& api() { return api_; }

  // The answer, or nothing when it was told why there is none.
  std::optional<std::string> request(const std::string& method, const std::string& target,
                                     const std::string& body = {});
  std::optional<std::string> request(const std::string& method, const std::string& target, const nlohmann::json& body);
  std::optional<TunnelStatus> status();
  int tell(const Error& error);

 private:
  Host& host_;
  std::string interface_;
  api::Client api_;
  int code_ = done;
};

// Why a running tunnel did not do it, on err, with what to do; the exit code.
int tell_failure(const Host& host, const std::string& interface, const Error& error);

// One line on out; the exit code.
int say(Host& host, const std::string& what);

// "/v1/peers/office/paths": segments with what they need escaped.
[[nodiscard]] std::string target(std::initializer_list<std::string_view> segments);

}  // namespace centipede::cli
