#include "control/path_choice.h"

#include <algorithm>
#include <tuple>

namespace centipede::control {
namespace {

constexpr Duration proving_time = seconds(2);
constexpr Duration rtt_noise = milliseconds(5);

std::pair<bool, uint32_t> cost(const Path& path) {
  return {path.preference().metered, path.preference().priority};
}

Duration rtt_of(const Path& path) {
  return path.rtt().smoothed().value_or(Duration::max());
}

bool better(const Path& a, const Path& b) {
  return std::tuple(cost(a), rtt_of(a), a.id()) < std::tuple(cost(b), rtt_of(b), b.id());
}

// Better by so much that moving is worth it: RTT counts only when it is lower by a fifth and by more than noise.
bool clearly_better(const Path& a, const Path& b) {
  const auto cost_a = cost(a);
  const auto cost_b = cost(b);
  if (cost_a != cost_b) return cost_a < cost_b;
  const Duration rtt_a = rtt_of(a);
  const Duration rtt_b = rtt_of(b);
  return rtt_a < rtt_b - rtt_b / 5 && rtt_b - rtt_a > rtt_noise;
}

}  // namespace

const Path* PathChoice::pick_single(const Paths& paths, Instant now) {
  next_change_ = never;
  const Path* in_use = nullptr;
  const Path* best_active = nullptr;
  const Path* best_degraded = nullptr;
  for (const auto& path : paths) {
    if (!path->is_up() || !path->preference().enabled) continue;
    if (chosen_.size() == 1 && path->id() == chosen_[0]) in_use = path.get();
    const Path*& best = path->state() == PathState::active ? best_active : best_degraded;
    if (best == nullptr || better(*path, *best)) best = path.get();
  }
  if (in_use != nullptr && in_use->state() == PathState::active) {
    const Path* proven = in_use;
    for (const auto& path : paths) {
      if (path->state() != PathState::active || !path->preference().enabled || !clearly_better(*path, *proven))
        continue;
      const Instant proven_at = path->state_since() + proving_time;
      if (now >= proven_at)
        proven = path.get();
      else
        next_change_ = std::min(next_change_, proven_at);
    }
    return proven;
  }
  if (best_active != nullptr) return best_active;
  return in_use != nullptr ? in_use : best_degraded;
}

bool PathChoice::update(Policy policy, const Paths& paths, Instant now) {
  std::vector<uint16_t> next;
  next_change_ = never;
  if (policy == Policy::backup) {
    if (const Path* path = pick_single(paths, now)) next.push_back(path->id());
  } else {
    for (const auto& path : paths)
      if (path->is_up() && path->preference().enabled) next.push_back(path->id());
  }
  if (next.empty()) {
    for (const auto& path : paths)
      if (path->was_validated() && path->preference().enabled) next.push_back(path->id());
  }
  if (next == chosen_) return false;
  chosen_ = std::move(next);
  return true;
}

bool PathChoice::contains(const Path& path) const {
  return std::ranges::find(chosen_, path.id()) != chosen_.end();
}

}  // namespace centipede::control
