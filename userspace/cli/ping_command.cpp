#include <spdlog/fmt/fmt.h>

#include <chrono>
#include <map>
#include <nlohmann/json.hpp>
#include <ostream>
#include <thread>

#include "api/json_text.h"
#include "cli/running_commands.h"
#include "cli/running_tunnel.h"
#include "cli/status_text.h"

namespace centipede::cli {
namespace {

using Clock = std::chrono::steady_clock;

// What came back over one path so far.
struct Answers {
  std::string uplink;
  unsigned asked = 0;
  unsigned answered = 0;
  Duration least = Duration::max();
  Duration most{};
  Duration sum{};

  void add(const PathPing& ping) {
    uplink = ping.uplink;
    ++asked;
    if (!ping.rtt) return;
    ++answered;
    least = std::min(least, *ping.rtt);
    most = std::max(most, *ping.rtt);
    sum += *ping.rtt;
  }
  [[nodiscard]] std::string text(uint16_t path) const {
    std::string line = fmt::format("path {} over {}: {} of {} answered", path, uplink, answered, asked);
    if (answered == 0) return line;
    return line + fmt::format(", least {} mean {} most {} ms", milliseconds_text(least),
                              milliseconds_text(sum / answered), milliseconds_text(most));
  }
};

void show(Host& host, const PingOptions& options, unsigned round, const PathPing& ping) {
  if (options.json) {
    const nlohmann::json rtt =
        ping.rtt ? nlohmann::json(std::chrono::duration_cast<microseconds>(*ping.rtt).count()) : nullptr;
    host.out << api::text_of({{"round", round},
                              {"path", ping.path},
                              {"uplink", ping.uplink},
                              {"local", ping.local.text()},
                              {"remote", ping.remote.text()},
                              {"sending", ping.sending},
                              {"rtt_us", rtt}})
             << '\n';
    return;
  }
  const std::string outcome =
      ping.rtt ? milliseconds_text(*ping.rtt) + " ms" : fmt::format("no answer within {} ms", options.timeout_ms);
  host.out << fmt::format("path {} over {} to {}: {}{}\n", ping.path, ping.uplink, ping.remote.text(), outcome,
                          ping.sending ? ", carries data" : "");
}

}  // namespace

int ping(Host& host, const PingOptions& options) {
  RunningTunnelClient tunnel(host, options.interface);
  if (!tunnel.valid()) return tunnel.code();
  std::map<uint16_t, Answers> paths;
  auto due = Clock::now();
  for (unsigned round = 1; round <= options.count && host.out; ++round) {
    std::this_thread::sleep_until(due);
    due += std::chrono::milliseconds(options.interval_ms);
    const auto pings = tunnel.api().ping(options.peer, std::chrono::milliseconds(options.timeout_ms));
    if (!pings) return tunnel.tell(pings.error());
    for (const auto& answer : *pings) {
      show(host, options, round, answer);
      paths[answer.path].add(answer);
    }
    if (pings->empty())
      return complain(host, failed, "there is no path to " + options.peer + " yet: `centipede path list`");
    host.out << std::flush;
  }
  unsigned answered = 0;
  for (const auto& [path, answers] : paths) {
    if (!options.json) host.out << answers.text(path) << '\n';
    answered += answers.answered;
  }
  host.out << std::flush;
  return answered > 0 ? done : failed;
}

}  // namespace centipede::cli
