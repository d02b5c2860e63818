#include <chrono>
#include <map>
#include <ostream>
#include <thread>

#include "api/client.h"
#include "cli/running_tunnel.h"
#include "cli/screen.h"
#include "cli/status_text.h"
#include "cli/tunnel_commands.h"
#include "cli/watch_text.h"

namespace centipede::cli {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds watch_interval{1};

api::Client client_of(const Host& host, const std::string& interface) {
  return api::Client(api::socket_path(host.runtime_directory, interface));
}

// The one that is asked for, or all that answer. A killed daemon leaves its socket behind; the next attach clears it
// away.
std::vector<std::string> tunnels_to_show(const Host& host, const StatusOptions& options) {
  if (!options.interface.empty()) return {options.interface};
  std::vector<std::string> tunnels;
  for (const auto& name : api::running_tunnels(host.runtime_directory)) {
    if (client_of(host, name).reachable()) tunnels.push_back(name);
  }
  return tunnels;
}

int show_json(Host& host, const std::string& interface) {
  const auto answer = client_of(host, interface).status_text();
  return answer ? say(host, *answer) : tell_failure(host, interface, answer.error());
}

int show_once(Host& host, const StatusOptions& options) {
  const auto tunnels = tunnels_to_show(host, options);
  if (tunnels.empty() && !options.json) host.out << "no tunnel runs (start one with `centipede attach`)\n";
  int code = done;
  bool first = true;
  for (const auto& name : tunnels) {
    int outcome = done;
    if (options.json) {
      outcome = show_json(host, name);
    } else if (const auto status = client_of(host, name).status()) {
      host.out << (first ? "" : "\n") << status_text(*status, host.colours);
      first = false;
    } else {
      outcome = tell_failure(host, name, status.error());
    }
    if (outcome != done) code = outcome;
  }
  host.out << std::flush;
  return code;
}

// The tunnels as they were when they were drawn last, for rates.
class Watch {
 public:
  std::vector<std::string> lines(const Host& host, const StatusOptions& options, unsigned columns) {
    std::vector<std::string> all;
    std::map<std::string, Drawn> next;
    const auto tunnels = tunnels_to_show(host, options);
    for (const auto& name : tunnels) {
      if (!all.empty()) all.emplace_back();
      auto status = client_of(host, name).status();
      if (!status) {
        all.push_back(name + ": " + (api::not_running(status.error()) ? "does not run" : status.error().text));
        continue;
      }
      const auto now = Clock::now();
      const auto before = drawn_.find(name);
      const bool known = before != drawn_.end();
      const Watched watched{std::move(*status), known ? before->second.status : TunnelStatus{},
                            known ? now - before->second.at : Duration{}};
      for (auto& line : watch_lines(watched, columns, host.colours))
        all.push_back(std::move(line));
      // A window that is being resized is drawn many times a second: rates over so little time say nothing.
      const bool too_soon = known && watched.elapsed < watch_interval / 2;
      next.emplace(name, too_soon ? before->second : Drawn{watched.now, now});
    }
    if (tunnels.empty()) all.emplace_back("no tunnel runs (start one with `centipede attach`)");
    drawn_ = std::move(next);
    return all;
  }

 private:
  struct Drawn {
    TunnelStatus status;
    Clock::time_point at;
  };
  std::map<std::string, Drawn> drawn_;
};

int watch_on_terminal(Host& host, const StatusOptions& options) {
  auto screen = Screen::open(host.out);
  if (!screen) return complain(host, failed, screen.error().text);
  Watch watch;
  do {
    const ScreenSize size = terminal_size();
    (*screen)->draw(fitted(watch.lines(host, options, size.columns), size.rows));
  } while (host.out && (*screen)->wait(watch_interval));
  return done;
}

}  // namespace

int status(Host& host, const StatusOptions& options) {
  if (!options.interface.empty() && !api::valid_interface_name(options.interface)) {
    return complain(host, wrong_usage, "\"" + options.interface + "\" is no name of an interface");
  }
  if (!options.watch) return show_once(host, options);
  if (host.out_is_terminal && !options.json) return watch_on_terminal(host, options);
  // Into a file or another program: one status after the other.
  int code = show_once(host, options);
  for (unsigned round = 1; host.out && round != options.watch_rounds; ++round) {
    std::this_thread::sleep_for(watch_interval);
    code = show_once(host, options);
  }
  return code;
}

}  // namespace centipede::cli
