#include "cli/watch_text.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <map>
#include <sstream>

#include "api/status_json.h"
#include "cli/status_text.h"
#include "cli/table.h"

namespace centipede::cli {
namespace {

using PathKey = std::pair<control::PeerId, uint16_t>;
using PathsBefore = std::map<PathKey, const control::PathStatus*>;

// What was counted a second; nothing where there is nothing to compare with, or the count began anew.
std::optional<uint64_t> rate(uint64_t now, uint64_t before, Duration elapsed) {
  if (elapsed <= Duration{} || now < before) return std::nullopt;
  const double seconds = std::chrono::duration<double>(elapsed).count();
  return static_cast<uint64_t>(static_cast<double>(now - before) / seconds);
}

std::string rate_or_dash(std::optional<uint64_t> value, uint64_t factor = 1) {
  return value ? short_number(*value * factor) : "-";
}

std::string whole_percent(const std::optional<double>& value) {
  return value ? fmt::format("{:.0f}", *value * 100) : "?";
}

// The share of a peer's packets whose copy over this path came first.
std::string share(uint64_t won, uint64_t all) {
  return all == 0 ? "-" : fmt::format("{:.0f}", static_cast<double>(won) / static_cast<double>(all) * 100);
}

Table path_table() {
  using enum Table::Align;
  return Table({{"uplink", left, 8},
                {"state", left},
                {"data", left},
                {"out b/s", right},
                {"in b/s", right},
                {"won%", right},
                {"drop/s", right},
                {"rtt ms", right},
                {"late", right},
                {"loss%", right},
                {"remote", left, 7}});
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);)
    lines.push_back(line);
  return lines;
}

// Paints the state in a row that has been laid out already.
std::string with_state_painted(const std::string& line, control::PathState state, bool colours) {
  const std::string name = std::string(" ") + api::state_name(state) + " ";
  const size_t at = line.find(name);
  if (!colours || at == std::string::npos) return line;
  return line.substr(0, at) + painted(state, name, true) + line.substr(at + name.size());
}

void add_peer(std::vector<std::string>& lines, const Watched& watched, const PathsBefore& before,
              const control::PeerStatus& peer, unsigned columns, bool colours) {
  Table table = path_table();
  const auto earlier = [&](const control::PathStatus& path) {
    static const control::PathStatus none;
    const auto found = before.find({peer.id, path.id});
    return std::pair(found == before.end() ? &none : found->second,
                     found == before.end() ? Duration{} : watched.elapsed);
  };
  uint64_t first = 0;
  for (const auto& path : peer.paths)
    first += path.first_packets - std::min(path.first_packets, earlier(path).first->first_packets);
  for (const auto& path : peer.paths) {
    const auto [old, elapsed] = earlier(path);
    const uint64_t won = path.first_packets - std::min(path.first_packets, old->first_packets);
    table.add({path.uplink_name, api::state_name(path.state),
               !path.enabled  ? "off"
               : path.sending ? "sent"
                              : "-",
               rate_or_dash(rate(path.sent_bytes, old->sent_bytes, elapsed), 8),
               rate_or_dash(rate(path.first_bytes, old->first_bytes, elapsed), 8),
               elapsed > Duration{} ? share(won, first) : "-",
               rate_or_dash(rate(path.duplicates_early + path.duplicates_worker,
                                 old->duplicates_early + old->duplicates_worker, elapsed)),
               path.rtt ? milliseconds_text(*path.rtt) : "?", path.late ? milliseconds_text(*path.late) : "?",
               whole_percent(path.loss_in) + "/" + whole_percent(path.loss_out), path.remote.text()});
  }
  lines.emplace_back();
  lines.push_back(shortened(fmt::format("peer {}: {}, session {}", peer.name, api::policy_name(peer.policy),
                                        peer.session_age ? short_duration(*peer.session_age) + " old" : "none"),
                            columns));
  if (table.empty()) return lines.push_back("  no path yet");
  const auto rows = lines_of(table.text(columns, 2));
  lines.push_back(shortened(rows.front(), columns));
  for (size_t i = 1; i < rows.size(); ++i)
    lines.push_back(with_state_painted(shortened(rows[i], columns), peer.paths[i - 1].state, colours));
}

}  // namespace

std::vector<std::string> watch_lines(const Watched& watched, unsigned columns, bool colours) {
  const TunnelStatus& now = watched.now;
  const WorkerCounters& total = now.total;
  const WorkerCounters& old = watched.before.total;
  std::vector<std::string> lines;
  lines.push_back(shortened(fmt::format("{}: up {}, port {}, MTU {}, AEAD {}", now.name, short_duration(now.uptime),
                                        now.listen_port, now.mtu, now.aead),
                            columns));
  lines.push_back(shortened(fmt::format("packets/s: sealed {}, delivered {}, copies dropped by workers {}",
                                        rate_or_dash(rate(total.sealed, old.sealed, watched.elapsed)),
                                        rate_or_dash(rate(total.delivered, old.delivered, watched.elapsed)),
                                        rate_or_dash(rate(total.duplicate, old.duplicate, watched.elapsed))),
                            columns));
  PathsBefore before;
  for (const auto& peer : watched.before.peers) {
    for (const auto& path : peer.paths)
      before.emplace(PathKey{peer.id, path.id}, &path);
  }
  for (const auto& peer : now.peers)
    add_peer(lines, watched, before, peer, columns, colours);
  lines.emplace_back();
  for (const auto& uplink : now.uplinks) {
    const std::string why = uplink.reason.empty() ? "" : " (" + uplink.reason + ")";
    const std::string line =
        fmt::format("uplink {}: {}, mode {}{}{}", uplink.name, uplink.usable ? "usable" : "not usable",
                    uplink.mode.empty() ? "-" : uplink.mode, why, uplink.metered ? ", metered" : "");
    lines.push_back(shortened(line, columns));
  }
  return lines;
}

std::string fitted(const std::vector<std::string>& lines, unsigned rows) {
  const size_t room = std::max(rows, 1U);
  std::string out;
  const size_t shown = lines.size() <= room ? lines.size() : room - 1;
  for (size_t i = 0; i < shown; ++i)
    out += (i == 0 ? "" : "\n") + lines[i];
  if (shown == lines.size()) return out;
  return out + (shown == 0 ? "" : "\n") +
         fmt::format("... {} more lines: make the window higher", lines.size() - shown);
}

}  // namespace centipede::cli
