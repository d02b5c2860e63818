#include "dataplane/resolve_schedule.h"

#include <algorithm>
#include <utility>

namespace centipede {

std::vector<control::UnresolvedPeer> ResolveSchedule::due(std::vector<control::UnresolvedPeer> unresolved,
                                                          Instant now) {
  std::map<control::PeerId, Row> kept;
  std::vector<control::UnresolvedPeer> ready;
  for (control::UnresolvedPeer& one : unresolved) {
    const auto known = rows_.find(one.peer);
    const bool same = known != rows_.end() && known->second.hosts == one.hosts;
    Row& row = kept[one.peer];
    row = same ? std::move(known->second) : Row{.hosts = one.hosts, .at = now};
    if (row.at == never || row.at > now) continue;
    row.at = never;
    ready.push_back(std::move(one));
  }
  rows_ = std::move(kept);
  return ready;
}

bool ResolveSchedule::answered(control::PeerId peer, const std::vector<control::HostEndpoint>& hosts,
                               const std::string& problem, Instant now) {
  const auto found = rows_.find(peer);
  if (found == rows_.end() || found->second.hosts != hosts) return false;
  Row& row = found->second;
  row.at = std::exchange(row.again, false) ? now : now + row.pause;
  row.pause = std::min(row.pause * 2, problem.empty() ? longest : longest_after_failure);
  return std::exchange(row.problem, problem) != problem;
}

void ResolveSchedule::uplinks_changed(Instant now) {
  for (auto& [peer, row] : rows_) {
    row.pause = first_pause;
    if (row.at == never)
      row.again = true;
    else
      row.at = now;
  }
}

Instant ResolveSchedule::next() const {
  Instant next = never;
  for (const auto& [peer, row] : rows_)
    next = std::min(next, row.at);
  return next;
}

}  // namespace centipede
