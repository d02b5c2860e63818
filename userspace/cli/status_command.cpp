#include <chrono>
#include <ostream>
#include <thread>

#include "api/client.h"
#include "api/status_json.h"
#include "cli/status_text.h"
#include "cli/tunnel_commands.h"

namespace centipede::cli {
namespace {

struct Answer {
  int code = done;
  std::string text;
};

Answer ask(Host& host, const std::string& interface, const StatusOptions& options) {
  api::Client client(api::socket_path(host.runtime_directory, interface));
  Result<std::string> shown = client.status_text();
  if (shown && !options.json) {
    const auto status = api::status_from_json(*shown);
    shown = status ? Result<std::string>(status_text(*status)) : std::unexpected(status.error());
  }
  if (shown) return {done, *shown + (options.json ? "\n" : "")};
  const Error& error = shown.error();
  if (api::not_running(error)) {
    return {complain(host, failed, interface + " does not run: start it with `centipede attach -i " + interface + "`"),
            ""};
  }
  if (error.code == EACCES || error.code == EPERM) {
    return {complain(host, failed, interface + ": only root may ask its daemon: run it with sudo"), ""};
  }
  return {complain(host, failed, interface + ": " + error.text), ""};
}

int show_once(Host& host, const StatusOptions& options) {
  std::vector<std::string> tunnels{options.interface};
  if (options.interface.empty()) {
    tunnels.clear();
    for (const auto& name : api::running_tunnels(host.runtime_directory)) {
      // A killed daemon leaves its socket behind; the next attach clears it away.
      const auto reached = api::Client(api::socket_path(host.runtime_directory, name)).status_text();
      if (reached || !api::not_running(reached.error())) tunnels.push_back(name);
    }
  }
  if (tunnels.empty() && !options.json) host.out << "no tunnel runs (start one with `centipede attach`)\n";
  int code = done;
  std::string text;
  for (const auto& name : tunnels) {
    const Answer answer = ask(host, name, options);
    if (answer.code != done) code = answer.code;
    if (!text.empty() && !answer.text.empty() && !options.json) text += '\n';
    text += answer.text;
  }
  if (options.watch && host.out_is_terminal) host.out << "\x1b[H\x1b[2J";
  host.out << text << std::flush;
  return code;
}

}  // namespace

int status(Host& host, const StatusOptions& options) {
  if (!options.interface.empty() && !api::valid_interface_name(options.interface)) {
    return complain(host, wrong_usage, "\"" + options.interface + "\" is no name of an interface");
  }
  if (!options.watch) return show_once(host, options);
  int code = done;
  for (unsigned round = 1; host.out; ++round) {
    code = show_once(host, options);
    if (round == options.watch_rounds) break;
    std::this_thread::sleep_for(std::chrono::seconds(1));
  }
  return code;
}

}  // namespace centipede::cli
