#include "control/peer.h"

#include <algorithm>

#include "control/peer_rules.h"

namespace centipede::control {
namespace {

constexpr unsigned calls_a_warning = 5;

}  // namespace

Peer::Peer(PeerId id, PeerSettings settings, uint64_t accepted_ns, Context& context, Now now)
    : id_(id),
      lower_key_(context.settings.identity.public_key() < settings.public_key),
      settings_(std::move(settings)),
      context_(context),
      preshared_key_(settings_.preshared_key ? settings_.preshared_key->clone() : crypto::SecretKey{}),
      sessions_(context.settings.timing),
      // It may have been a peer before, called when the clock was ahead.
      call_(context.settings.timing, std::max(context.settings.timestamp_floor_ns, context.newest_timestamp_ns),
            now.monotonic),
      answers_(accepted_ns),
      peer_keys_(crypto::receiver_keys(settings_.public_key)),
      last_contact_(now.monotonic),
      alive_at_(now.monotonic) {}

void Peer::on_added(Now now) {
  endpoints_changed(now.monotonic);
  run(now);
}

void Peer::update(PeerSettings settings, Now now) {
  const bool new_hosts = settings.host_endpoints != settings_.host_endpoints;
  const bool new_key =
      settings.preshared_key_file != settings_.preshared_key_file || !same_preshared_key(settings, settings_);
  settings_ = std::move(settings);
  if (new_key) preshared_key_ = settings_.preshared_key ? settings_.preshared_key->clone() : crypto::SecretKey{};
  if (new_hosts) {
    hosts_resolved_ = false;
    resolved_.reset();
  }
  changed_ = true;
  endpoints_changed(now.monotonic);
  run(now);
}

void Peer::set_resolved(std::vector<Endpoint> endpoints, Now now) {
  hosts_resolved_ = true;
  if (resolved_ && endpoints == *resolved_) return;
  resolved_ = std::make_unique<const std::vector<Endpoint>>(std::move(endpoints));
  endpoints_changed(now.monotonic);
  run(now);
}

void Peer::set_last_addresses(std::vector<Endpoint> endpoints, Now now) {
  last_addresses_ = std::make_unique<const std::vector<Endpoint>>(std::move(endpoints));
  endpoints_changed(now.monotonic);
  run(now);
}

bool Peer::wants_resolving() const {
  return !settings_.host_endpoints.empty() && (!hosts_resolved_ || !paths_.any_up());
}

void Peer::endpoints_changed(Instant now) {
  const PathTable::Change change = refresh_paths(now);
  report(change);
  if (change.added && (sessions_.current() == nullptr || !paths_.any_up())) call_.hurry(now);
}

PathTable::Change Peer::refresh_paths(Instant now) {
  std::vector<Endpoint> endpoints;
  for (const auto* some : {&std::as_const(settings_.endpoints), resolved_.get(), last_addresses_.get()}) {
    if (some == nullptr) continue;
    for (const Endpoint& endpoint : *some)
      if (std::ranges::find(endpoints, endpoint) == endpoints.end()) endpoints.push_back(endpoint);
  }
  PathTable::Change change = paths_.refresh(context_, endpoints, now);
  prefer_paths();
  return change;
}

void Peer::on_uplinks_changed(bool gained, Now now) {
  report(refresh_paths(now.monotonic));
  if (gained && (sessions_.current() == nullptr || !paths_.any_up())) call_.hurry(now.monotonic);
  run(now);
}

void Peer::run(Now now) {
  expire(now.monotonic);
  run_paths(now.monotonic);
  if (last_addresses_ && paths_.any_up()) {
    last_addresses_.reset();
    report(refresh_paths(now.monotonic));
  }
  expire(now.monotonic);  // with the path that just went down goes the round-trip time that an old session was kept for
  call_if_needed(now);
  if (choice_.update(settings_.policy, paths_.all(), now.monotonic)) changed_ = true;
  deadline_ = compute_deadline(now.monotonic);
}

void Peer::expire(Instant now) {
  const bool had_session = sessions_.current() != nullptr;
  SessionSlot* current = sessions_.current();
  if (current != nullptr && current->session->failed_tags() >= context_.settings.timing.drop_after_failed_tags)
    remove_sessions(sessions_.remove_up_to(current->sid()));
  remove_sessions(sessions_.expire(now, paths_.largest_rtt()));
  call_.expire(context_, now);
  report(paths_.expire(context_, now, context_.settings.timing.wipe_after));
  if (!wiped_ && now >= last_contact_ + context_.settings.timing.wipe_after) wipe(now);
  if (had_session && sessions_.current() == nullptr) session_lost(now, false);
}

void Peer::wipe(Instant now) {
  wiped_ = true;
  remove_sessions(sessions_.clear());
  call_.forget(context_);
  answers_.forget();
  if (std::exchange(last_addresses_, nullptr)) report(refresh_paths(now));
  if (!has_endpoints()) {
    paths_.drop_learned();
    changed_ = true;
  }
}

Duration Peer::longest_call_interval(Instant now) const {
  const Timing& timing = context_.settings.timing;
  const bool recent = handshakes_ != 0 && now < last_contact_ + timing.recent_contact;
  return recent ? timing.initiation_retry_recent : timing.initiation_retry_max;
}

bool Peer::can_call() const {
  return std::ranges::any_of(paths_.all(),
                             [](const auto& path) { return path->configured() || path->was_validated(); });
}

Instant Peer::dead_at() const {
  if (sessions_.current() == nullptr || paths_.any_up()) return never;
  const Pace at = pace();
  return alive_at_ + at.interval * at.down_after + 3 * handshake_rtt_;
}

bool Peer::call_wanted(Instant now) const {
  const SessionSlot* current = sessions_.current();
  if (current == nullptr || now >= current->rekey_at || dead(now)) return true;
  const Timing& timing = context_.settings.timing;
  return current->session->packets_sealed() >= timing.rekey_after_packets ||
         current->session->failed_tags() >= timing.rekey_after_failed_tags;
}

void Peer::call_if_needed(Now now) {
  if (!call_wanted(now.monotonic)) {
    call_.rest();
    return;
  }
  if (!call_.due(now.monotonic) || !can_call()) return;
  Call::Attempt* attempt =
      call_.attempt(context_, id_, settings_.public_key, longest_call_interval(now.monotonic), now);
  if (attempt == nullptr) return;
  if (++unanswered_calls_ % calls_a_warning == 0) {
    report("handshake",
           "no answer to " + std::to_string(unanswered_calls_) +
               " calls: does it run, has each side the other's public key and the same preshared key, and does UDP " +
               "get through?",
           {}, Event::Level::warning);
  }
  for (const auto& path : paths_.all()) {
    if (!path->configured() && !path->was_validated()) continue;
    send_initiation(*attempt, path->route(), now.monotonic);
  }
}

Instant Peer::compute_deadline(Instant now) const {
  Instant next = std::min({sessions_.next_expiry(paths_.largest_rtt()), call_.next_expiry(),
                           paths_.next_expiry(context_.settings.timing.wipe_after), choice_.next_change()});
  if (!wiped_) next = std::min(next, last_contact_ + context_.settings.timing.wipe_after);
  const SessionSlot* current = sessions_.current();
  const Pace at = pace();
  for (const auto& path : paths_.all()) {
    next = std::min(next, path->state_deadline(at));
    if (current != nullptr) next = std::min(next, path->next_heartbeat_at());
  }
  if (!can_call()) return next;
  if (call_wanted(now)) return std::min(next, call_.next_at());
  return std::min({next, dead_at(), current->rekey_at});
}

std::shared_ptr<const PeerForwarding> Peer::forwarding() const {
  auto forwarding = std::make_shared<PeerForwarding>();
  forwarding->id = id_;
  if (sessions_.current() != nullptr) forwarding->send_session = sessions_.current()->session;
  for (const auto& path : paths_.all()) {
    const DataPath row{path->id(), path->route().uplink, path->route().local, path->route().remote, path->counters()};
    if (choice_.contains(*path)) forwarding->send_paths.push_back(row);
    forwarding->paths.push_back(row);
  }
  return forwarding;
}

void Peer::append_sessions(std::vector<ReceiveSession>& to) const {
  for (const SessionSlot& slot : sessions_.all())
    to.push_back({id_, slot.session});
}

PeerStatus Peer::status(Instant now) const {
  PeerStatus status;
  status.id = id_;
  status.name = settings_.name;
  status.public_key = settings_.public_key;
  status.policy = settings_.policy;
  status.allowed_ips = settings_.allowed_ips;
  for (const Endpoint& endpoint : settings_.endpoints)
    status.endpoints.push_back(endpoint.text());
  for (const HostEndpoint& endpoint : settings_.host_endpoints)
    status.endpoints.push_back(endpoint.host + ":" + std::to_string(endpoint.port));
  status.preshared = settings_.preshared_key || !settings_.preshared_key_file.empty();
  if (sessions_.current() != nullptr) status.session_age = now - sessions_.current()->born;
  if (last_handshake_) status.last_handshake = now - *last_handshake_;
  status.handshakes = handshakes_;
  const Path* earliest = nullptr;
  size_t compared = 0;
  for (const auto& path : paths_.all()) {
    if (!path->is_up() || !path->transit().known()) continue;
    ++compared;
    if (earliest == nullptr || path->transit().behind(earliest->transit()) < Duration::zero()) earliest = path.get();
  }
  for (const auto& path : paths_.all()) {
    PathStatus row = status_of(*path);
    if (compared > 1 && path->is_up() && path->transit().known())
      row.late = path->transit().behind(earliest->transit());
    status.paths.push_back(std::move(row));
  }
  // Each copy that has come over another path since is the second of at most one packet that was first here.
  const uint64_t copies = paths_.copies();
  for (size_t i = 0; i < status.paths.size(); ++i) {
    PathStatus& row = status.paths[i];
    const uint64_t own = row.duplicates_early + row.duplicates_worker;
    const uint64_t elsewhere = copies - paths_.all()[i]->copies_before() - own;
    row.only_here = row.first_packets - std::min(row.first_packets, elsewhere);
  }
  return status;
}

}  // namespace centipede::control
