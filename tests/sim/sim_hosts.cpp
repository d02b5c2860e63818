// SimNetwork: what happens at its hosts.
#include <algorithm>

#include "identities.h"
#include "sim_network.h"

namespace centipede::sim {
namespace {

constexpr ptrdiff_t most_sessions = 5;
constexpr size_t most_paths = 16;
constexpr ptrdiff_t most_unvalidated = 8;

}  // namespace

std::string SimNetwork::key_file(uint32_t peer) {
  return "key of host " + std::to_string(peer);
}

SimNetwork::SimNetwork(uint64_t seed, size_t hosts, Duration reject_after, bool recorded)
    : random(seed), recorded_(recorded), hosts_(hosts), watch_(violations_, hosts, reject_after) {
  for (uint32_t a = 0; a < hosts; ++a) {
    hosts_[a].index = a;
    for (control::UplinkId i = 0; i < uplinks_each; ++i)
      for (uint32_t b = 0; b < hosts; ++b)
        for (control::UplinkId j = 0; j < uplinks_each; ++j)
          links_.push_back({emulator::LinkModel({}, random.next()), a, i, b, j});
  }
}

void SimNetwork::start(uint32_t index) {
  Host& host = hosts_[index];
  host.kept = host.disk.read(now_);
  watch_.on_start(index, host.kept, now_);
  host.clock_bound = host.kept.sent_limit_ns < watch_.newest_timestamp_ns(index);
  // A process does not end and start within a quantum of its timestamps.
  if (host.clock_bound)
    host.wall_offset_ns = host.furthest_wall_offset_ns += static_cast<int64_t>(crypto::timestamp_quantum_ns);
  control::Settings settings{.identity = identity(index).clone(),
                             .params = host.params,
                             .workers = 1,
                             .timing = host.timing,
                             .gate = host.gate,
                             .timestamp_floor_ns = host.kept.sent_limit_ns,
                             .accepted_timestamps_ns = {host.kept.accepted.begin(), host.kept.accepted.end()}};
  host.randomness = std::make_unique<SimRandom>(random.next());
  host.controller = std::make_unique<control::Controller>(std::move(settings), *host.randomness, &host.key_files);
  host.traffic = std::make_unique<DataTraffic>(ledger_, index);
  host.forwarding = {};
  host.receivable.clear();
  host.calls.clear();
  host.peer_ids.clear();
}

void SimNetwork::set_uplink(uint32_t index, control::Uplink uplink) {
  Host& host = hosts_[index];
  if (const auto known = host.uplinks.find(uplink.id); known != host.uplinks.end())
    mark_places(host, known->second, false);
  mark_places(host, uplink, true);
  host.uplinks[uplink.id] = uplink;
  host.controller->set_uplink(std::move(uplink), time(host));
  settle(host);
}

void SimNetwork::remove_uplink(uint32_t index, control::UplinkId id) {
  Host& host = hosts_[index];
  mark_places(host, host.uplinks.at(id), false);
  host.uplinks.erase(id);
  host.controller->remove_uplink(id, time(host));
  settle(host);
}

void SimNetwork::add_peer(uint32_t index, uint32_t peer, PeerConfig config) {
  hosts_[index].configured.insert_or_assign(peer, std::move(config));
  add_to_controller(hosts_[index], peer);
}

void SimNetwork::add_to_controller(Host& host, uint32_t peer) {
  const PeerConfig& config = host.configured.at(peer);
  control::PeerSettings settings{.name = "host" + std::to_string(peer),
                                 .public_key = identity(peer).public_key(),
                                 .preshared_key_file = config.keyed ? key_file(peer) : "",
                                 .endpoints = config.endpoints,
                                 .policy = config.policy};
  const auto id = host.controller->add_peer(std::move(settings), time(host));
  if (!id) return violation(id.error().text);
  host.peer_ids[peer] = *id;
  settle(host);
}

void SimNetwork::restart(uint32_t index, bool goodbye) {
  Host& host = hosts_[index];
  if (goodbye) {
    host.controller->close(time(host));
    settle(host);
    host.disk.write_at_once(host.controller->timestamps());
  }
  start(index);
  for (const auto& [id, uplink] : host.uplinks)
    host.controller->set_uplink(uplink, time(host));
  for (const auto& [peer, config] : host.configured)
    add_to_controller(host, peer);
}

void SimNetwork::settle(Host& host) {
  for (const control::Action& action : host.controller->take_actions())
    on_action(host, action);
}

void SimNetwork::on_action(Host& host, const control::Action& action) {
  if (const auto* send = std::get_if<control::SendDatagram>(&action)) {
    if (recorded_ && (send->bytes[0] & CP_CONTROL_BIT) != 0)
      note(name(host) + ": to " + send->route.remote.text() + " " + describe(send->bytes, 16));
    watch_.on_sent(host.index, send->route, send->bytes, unproven(send->route.remote), now_);
    transmit(host, send->route, send->bytes);
  } else if (const auto* added = std::get_if<control::SessionAdded>(&action)) {
    on_session_added(host, *added);
  } else if (const auto* removed = std::get_if<control::SessionRemoved>(&action)) {
    if (recorded_) note(name(host) + ": session " + hex(removed->local_sid) + " ends");
    host.traffic->remove(removed->local_sid);
    watch_.on_session_removed(host.index, removed->local_sid);
    host.receivable.erase(removed->local_sid);
  } else if (const auto* started = std::get_if<control::CallStarted>(&action)) {
    host.calls.insert(started->sid);
  } else if (const auto* ended = std::get_if<control::CallEnded>(&action)) {
    if (host.calls.erase(ended->sid) == 0) violation(name(host) + " ended a call that it had not started");
  } else if (std::holds_alternative<control::TimestampsChanged>(action)) {
    host.disk.write(host.controller->timestamps(), now_, random);
  } else if (std::holds_alternative<control::ShieldChanged>(action)) {
    for (const crypto::CookieSecret& secret : host.controller->shield().secrets)
      watch_.on_cookie_secret(host.index, secret);
  } else if (const auto* event = std::get_if<control::Event>(&action)) {
    note(name(host) + ": " + event->text);
  } else {
    host.forwarding = host.controller->forwarding();
    if (host.receivable.size() != host.controller->sessions().size())
      violation(name(host) + " lost count of its sessions");
    for (size_t id = 0; id < host.forwarding.peers.size(); ++id)
      if (const auto& peer = host.forwarding.peers[id]) check(host, *peer);
  }
}

void SimNetwork::on_session_added(Host& host, const control::SessionAdded& added) {
  if (recorded_)
    note(name(host) + ": session " + hex(added.session->local_sid()) + "/" + hex(added.session->peer_sid()) +
         " begins");
  host.traffic->add(added.session);
  watch_.on_session_added(host.index, added.session, now_);
  host.receivable[added.session->local_sid()] = added.peer;
  const auto of_peer = [&](const auto& row) { return row.second == added.peer; };
  if (std::ranges::count_if(host.receivable, of_peer) > most_sessions)
    violation(name(host) + " keeps too many sessions of a peer");
  check_key(host, added);
}

// Both sides had the same preshared key, or there is no session: the responder's comes first.
void SimNetwork::check_key(const Host& host, const control::SessionAdded& added) {
  const auto to = std::ranges::find_if(host.peer_ids, [&](const auto& row) { return row.second == added.peer; });
  const auto file = host.key_files.files.find(key_file(to->first));
  const uint8_t key = file == host.key_files.files.end() ? 0 : file->second;
  const auto responders = responders_keys_.find(added.session->local_sid());
  if (responders == responders_keys_.end())
    responders_keys_[added.session->peer_sid()] = key;
  else if (responders->second != key)
    violation(name(host) + " has a session under another preshared key than its peer's");
}

void SimNetwork::check(const Host& host, const control::PeerForwarding& peer) {
  if (peer.paths.size() > most_paths) violation(name(host) + " keeps too many paths");
  ptrdiff_t never_validated = 0;
  for (const control::DataPath& path : peer.paths) {
    const Place from = places_[place_of(path.local)];
    if (!from.live || from.host != host.index || from.uplink != path.uplink)
      violation(name(host) + " keeps a path of an address that is gone");
    if (unproven(path.remote)) ++never_validated;
  }
  if (never_validated > most_unvalidated) violation(name(host) + " keeps too many paths that were never validated");
}

}  // namespace centipede::sim
