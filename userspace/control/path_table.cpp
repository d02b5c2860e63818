#include "control/path_table.h"

#include <algorithm>

namespace centipede::control {
namespace {

constexpr size_t max_paths = 16;
constexpr ptrdiff_t max_unvalidated = 8;
constexpr ptrdiff_t max_unvalidated_of_a_path = 2;  // as the peer numbers its paths
constexpr size_t max_lost = 8;
constexpr Duration unvalidated_life = seconds(10);
constexpr Duration unvalidated_grace = seconds(3);  // before a newer unvalidated path may take its place

bool reachable_in_principle(const IpAddress& local, const IpAddress& remote) {
  return local.family() == remote.family() && local.is_link_local() == remote.is_link_local();
}

// First addresses of all uplinks before second ones, and each endpoint from all uplinks before the next one, so that
// the limit on paths leaves no uplink out, however many addresses a name turns out to have.
std::vector<Route> candidates(const std::map<UplinkId, Uplink>& uplinks, const std::vector<Endpoint>& endpoints) {
  std::vector<Route> routes;
  size_t most = 0;
  for (const auto& [id, uplink] : uplinks)
    most = std::max(most, uplink.usable ? uplink.addresses.size() : 0);
  for (size_t index = 0; index < most; ++index) {
    for (const Endpoint& endpoint : endpoints) {
      for (const auto& [id, uplink] : uplinks) {
        if (!uplink.usable || index >= uplink.addresses.size()) continue;
        if (!reachable_in_principle(uplink.addresses[index], endpoint.address)) continue;
        if (routes.size() == max_paths) return routes;
        routes.push_back({id, uplink.addresses[index], endpoint});
      }
    }
  }
  return routes;
}

bool is_unvalidated(const Path& path) {
  return !path.configured() && !path.was_validated();
}

Instant last_sign_of(const Path& path) {
  return path.heard_at().value_or(path.created_at());
}

}  // namespace

std::string uplink_name(const Context& context, UplinkId uplink) {
  const auto found = context.uplinks.find(uplink);
  return found == context.uplinks.end() ? "uplink " + std::to_string(uplink) : found->second.name;
}

std::string describe(const Context& context, const Route& route) {
  return uplink_name(context, route.uplink) + " " + route.local.text() + " → " + route.remote.text();
}

bool PathTable::starts_here(const Context& context, const Route& route) {
  const auto uplink = context.uplinks.find(route.uplink);
  if (uplink == context.uplinks.end() || !uplink->second.usable) return false;
  return std::ranges::find(uplink->second.addresses, route.local) != uplink->second.addresses.end();
}

Path* PathTable::find(const Route& route) const {
  for (const auto& path : paths_)
    if (path->route() == route) return path.get();
  return nullptr;
}

template <class Condition>
PathTable::Change PathTable::drop_if(const Context& context, const char* why, Condition condition) {
  Change change;
  std::erase_if(paths_, [&](const std::unique_ptr<Path>& path) {
    if (!condition(*path)) return false;
    change.lines.push_back(
        {uplink_name(context, path->route().uplink), "path " + describe(context, path->route()) + ": " + why});
    former_copies_ += path->counters()->copies();
    return true;
  });
  return change;
}

void PathTable::remove(std::vector<std::unique_ptr<Path>>::iterator path) {
  former_copies_ += (*path)->counters()->copies();
  paths_.erase(path);
}

Path& PathTable::add(Context& context, const Route& route, bool configured, Instant now) {
  const auto taken = [&](uint16_t id) {
    return std::ranges::any_of(paths_, [&](const auto& path) { return path->id() == id; });
  };
  do
    ++last_id_;
  while (last_id_ == 0 || taken(last_id_));
  const uint64_t before = copies();
  paths_.push_back(
      std::make_unique<Path>(last_id_, route, configured, context.settings.workers, context.random(), now));
  paths_.back()->set_copies_before(before);
  return *paths_.back();
}

PathTable::Change PathTable::refresh(Context& context, const std::vector<Endpoint>& endpoints, Instant now) {
  remember_lost(context);
  Change change =
      drop_if(context, "gone with its address", [&](const Path& path) { return !starts_here(context, path.route()); });
  for (const auto& path : paths_) {
    const bool gone = std::ranges::find(endpoints, path->route().remote) == endpoints.end();
    if (path->configured() && gone) path->set_configured(false);
  }
  for (const Route& route : candidates(context.uplinks, endpoints)) {
    if (Path* known = find(route)) {
      known->set_configured(true);
      continue;
    }
    if (paths_.size() >= max_paths && !make_room(now)) break;
    add(context, route, true, now);
    change.added = true;
  }
  if (probe_lost(context, now)) change.added = true;
  return change;
}

void PathTable::remember_lost(const Context& context) {
  for (const auto& path : paths_) {
    if (path->configured() || !path->was_validated() || starts_here(context, path->route())) continue;
    const Place place{path->route().uplink, path->route().remote};
    std::erase(lost_, place);
    if (lost_.size() == max_lost) lost_.erase(lost_.begin());
    lost_.push_back(place);
  }
}

bool PathTable::probe_lost(Context& context, Instant now) {
  bool added = false;
  std::erase_if(lost_, [&](const Place& place) {
    const auto uplink = context.uplinks.find(place.uplink);
    if (uplink == context.uplinks.end() || !uplink->second.usable) return false;
    const auto& addresses = uplink->second.addresses;
    const auto local = std::ranges::find_if(
        addresses, [&](const IpAddress& address) { return reachable_in_principle(address, place.remote.address); });
    if (local == addresses.end()) return false;
    const Route route{place.uplink, *local, place.remote};
    if (find(route) != nullptr) return true;
    if (paths_.size() >= max_paths && !make_room(now)) return false;
    add(context, route, false, now).trust_remote();
    return added = true;
  });
  return added;
}

// An unvalidated path first, then the learned one that has been down for longest.
bool PathTable::make_room(Instant now) {
  const auto better_victim = [](const Path& a, const Path& b) {
    if (a.was_validated() != b.was_validated()) return !a.was_validated();
    return a.state_since() < b.state_since();
  };
  const std::unique_ptr<Path>* victim = nullptr;
  for (const auto& path : paths_) {
    if (path->configured() || path->is_up()) continue;
    if (!path->was_validated() && now - last_sign_of(*path) < unvalidated_grace) continue;
    if (victim == nullptr || better_victim(*path, **victim)) victim = &path;
  }
  if (victim == nullptr) return false;
  remove(paths_.begin() + (victim - paths_.data()));
  return true;
}

Path* PathTable::learn(Context& context, const Route& route, uint16_t peer_path_id, Instant now) {
  TokenBucket& rate = learning_rate(peer_path_id);
  if (!rate.available(now)) return nullptr;
  const auto unvalidated_of_it = [&](const auto& path) {
    return is_unvalidated(*path) && path->peer_path_id() == peer_path_id;
  };
  const auto unvalidated = [](const auto& path) { return is_unvalidated(*path); };
  const auto of_it = std::ranges::count_if(paths_, unvalidated_of_it);
  const auto of_all = std::ranges::count_if(paths_, unvalidated);
  if (of_it >= max_unvalidated_of_a_path) {
    remove(oldest(unvalidated_of_it));
  } else if (of_all >= max_unvalidated) {
    // The first address of a path comes before the second ones of others.
    if (of_it > 0 && now - last_sign_of(**oldest(unvalidated)) < unvalidated_grace) return nullptr;
    remove(oldest(unvalidated));
  } else if (paths_.size() >= max_paths && !make_room(now)) {
    if (of_it > 0 || of_all == 0) return nullptr;
    remove(oldest(unvalidated));
  }
  if (!rate.take(now)) return nullptr;
  return &add(context, route, false, now);
}

TokenBucket& PathTable::learning_rate(uint16_t peer_path_id) {
  auto row = std::ranges::find(learning_, peer_path_id, &Learning::peer_path_id);
  if (row == learning_.end()) {
    if (learning_.size() == max_paths) learning_.erase(learning_.begin());
    row = learning_.insert(learning_.end(), Learning{.peer_path_id = peer_path_id});
  }
  return row->rate;
}

// Of those that meet the condition, at least one.
template <class Condition>
std::vector<std::unique_ptr<Path>>::iterator PathTable::oldest(Condition condition) {
  return std::ranges::min_element(paths_, {},
                                  [&](const auto& path) { return condition(path) ? last_sign_of(*path) : never; });
}

PathTable::Change PathTable::drop_superseded(const Context& context, const Path& validated) {
  return drop_if(context, "left by the peer for another", [&](const Path& path) {
    return &path != &validated && !path.configured() && path.heard_at() &&
           path.peer_path_id() == validated.peer_path_id() && *path.heard_at() <= *validated.heard_at() &&
           path.peer_number() < validated.peer_number();
  });
}

PathTable::Change PathTable::expire(const Context& context, Instant now, Duration long_down) {
  const bool other_is_up = any_up();
  return drop_if(context, "forgotten", [&](const Path& path) {
    if (path.configured() || path.is_up()) return false;
    if (!path.was_validated()) return now >= last_sign_of(path) + unvalidated_life;
    return other_is_up && now >= path.state_since() + long_down;
  });
}

Instant PathTable::next_expiry(Duration long_down) const {
  const bool other_is_up = any_up();
  Instant next = never;
  for (const auto& path : paths_) {
    if (path->configured() || path->is_up()) continue;
    if (!path->was_validated())
      next = std::min(next, last_sign_of(*path) + unvalidated_life);
    else if (other_is_up)
      next = std::min(next, path->state_since() + long_down);
  }
  return next;
}

void PathTable::drop_learned() {
  std::erase_if(paths_, [this](const auto& path) {
    if (path->configured()) return false;
    former_copies_ += path->counters()->copies();
    return true;
  });
  lost_.clear();
}

uint64_t PathTable::copies() const {
  uint64_t sum = former_copies_;
  for (const auto& path : paths_)
    sum += path->counters()->copies();
  return sum;
}

bool PathTable::any_up() const {
  return std::ranges::any_of(paths_, [](const auto& path) { return path->is_up(); });
}

Duration PathTable::largest_rtt() const {
  Duration largest{};
  for (const auto& path : paths_)
    if (path->is_up()) largest = std::max(largest, path->rtt().smoothed().value_or(Duration::zero()));
  return largest;
}

}  // namespace centipede::control
