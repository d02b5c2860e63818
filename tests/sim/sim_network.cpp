#include "sim_network.h"

#include <algorithm>
#include <cstdio>

#include "identities.h"

namespace centipede::sim {
namespace {

// In front of each datagram on a link, never damaged: destination, source address, source port, nothing.
constexpr size_t envelope_size = 8;
constexpr ptrdiff_t most_sessions = 4;
constexpr size_t most_paths = 16;
constexpr ptrdiff_t most_unvalidated = 8;
constexpr int most_timer_rounds = 2;

std::string name(const Host& host) {
  return "host " + std::to_string(host.index);
}

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

LinkIndex SimNetwork::link_index(uint32_t from, control::UplinkId i, uint32_t to, control::UplinkId j) const {
  return static_cast<LinkIndex>(((from * uplinks_each + i) * hosts_.size() + to) * uplinks_each + j);
}

void SimNetwork::start(uint32_t index) {
  Host& host = hosts_[index];
  host.kept = host.disk.read(now_);
  watch_.on_start(index, host.kept, now_);
  host.clock_bound = host.kept.sent_limit_ns < watch_.newest_timestamp_ns(index);
  if (host.clock_bound) host.wall_offset_ns = host.furthest_wall_offset_ns;
  control::Settings settings{.identity = identity(index).clone(),
                             .params = host.params,
                             .workers = 1,
                             .timing = host.timing,
                             .gate = host.gate,
                             .timestamp_floor_ns = host.kept.sent_limit_ns};
  host.randomness = std::make_unique<SimRandom>(random.next());
  host.controller = std::make_unique<control::Controller>(std::move(settings), *host.randomness, &host.key_files);
  host.traffic = std::make_unique<DataTraffic>(ledger_, index);
  host.forwarding = {};
  host.receivable.clear();
  host.calls.clear();
  host.peer_ids.clear();
}

void SimNetwork::note(const std::string& line) {
  if (!recorded_) return;
  const double at = static_cast<double>((now_ - Instant(seconds(1000))).count()) / 1e9;
  char stamp[32];
  std::snprintf(stamp, sizeof stamp, "%10.3f  ", at);
  transcript_.push_back(stamp + line);
}

Now SimNetwork::time(const Host& host) const {
  const int64_t wall = 1'800'000'000'000'000'000 + now_.time_since_epoch().count() + host.wall_offset_ns;
  return {now_, WallTime{static_cast<uint64_t>(wall)}};
}

SimNetwork::PlaceId SimNetwork::place_of(const IpAddress& address) {
  const auto [row, added] = place_ids_.try_emplace(address, static_cast<PlaceId>(places_.size()));
  if (added) places_.push_back({.address = address});
  return row->second;
}

void SimNetwork::mark_places(const Host& host, const control::Uplink& uplink, bool present) {
  for (const IpAddress& address : uplink.addresses)
    places_[place_of(address)] = {address, host.index, uplink.id, present && uplink.usable};
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
  for (const auto& [key, accepted_ns] : host.kept.accepted)
    if (key == settings.public_key) settings.accepted_timestamp_ns = accepted_ns;
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

void SimNetwork::configure(Link& link, const emulator::LinkSettings& settings) {
  link.model.configure(settings, now_);
}

void SimNetwork::run_until(Instant end) {
  while (violations_.empty()) {
    Instant next = wakeups_.empty() ? never : wakeups_.top().at;
    for (const Host& host : hosts_)
      next = std::min(next, host.controller->next_deadline());
    if (eavesdropper_ != nullptr) next = std::min(next, eavesdropper_->next_deadline());
    if (next > end) {
      now_ = end;
      return;
    }
    now_ = std::max(now_, next);
    run_links();
    if (eavesdropper_ != nullptr && eavesdropper_->next_deadline() <= now_) eavesdropper_->on_timer();
    for (Host& host : hosts_)
      run_timer(host);
  }
}

// What is due may make more due at once, as a path that goes down shortens the life of an old session; not for ever.
void SimNetwork::run_timer(Host& host) {
  for (int round = 0; host.controller->next_deadline() <= now_; ++round) {
    if (round == most_timer_rounds) return violation("the timer of " + name(host) + " spins");
    host.controller->on_timer(time(host));
    settle(host);
  }
}

void SimNetwork::schedule(LinkIndex index) {
  Link& link = links_[index];
  const Instant due = link.model.next_departure();
  if (due >= link.due) return;
  link.due = due;
  wakeups_.push({due, index});
}

void SimNetwork::run_links() {
  while (!wakeups_.empty() && wakeups_.top().at <= now_) {
    const Wakeup wakeup = wakeups_.top();
    wakeups_.pop();
    Link& link = links_[wakeup.link];
    if (link.due != wakeup.at) continue;
    link.due = never;
    link.model.take_due(now_, departures_, SIZE_MAX);
    for (const emulator::Departure& departure : departures_)
      deliver(link, departure.frame);
    link.model.recycle(departures_);
    schedule(wakeup.link);
  }
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
    if (host.receivable.size() != host.forwarding.sessions.size())
      violation(name(host) + " lost count of its sessions");
    for (const auto& peer : host.forwarding.peers)
      if (peer != nullptr) check(host, *peer);
  }
}

void SimNetwork::on_session_added(Host& host, const control::SessionAdded& added) {
  if (recorded_)
    note(name(host) + ": session " + hex(added.session->local_sid()) + "/" + hex(added.session->peer_sid()) +
         " begins");
  host.traffic->add(added.session);
  watch_.on_session_added(host.index, added.session, now_);
  ++host.sessions_made;
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

bool SimNetwork::unproven(const Endpoint& remote) {
  return remote.port != sim_port || places_[place_of(remote.address)].host == nobody;
}

void SimNetwork::transmit(const Host& host, const control::Route& route, ConstBytes bytes) {
  const Place from = places_[place_of(route.local)];
  const Place to = places_[place_of(route.remote.address)];
  if (!from.live || from.host != host.index || from.uplink != route.uplink) return;
  if (to.host == nobody || to.host == host.index || route.remote.port != sim_port) return;
  const LinkIndex link = link_index(host.index, route.uplink, to.host, to.uplink);
  const Envelope envelope{route.remote.address, {route.local, sim_port}};
  if (links_[link].owned && !eavesdropper_->on_datagram(link, envelope, bytes)) return;
  offer(link, envelope, bytes);
}

void SimNetwork::offer(LinkIndex link, const Envelope& envelope, ConstBytes datagram) {
  frame_.resize(envelope_size + datagram.size());
  store_be(frame_.data(), place_of(envelope.destination));
  store_be(frame_.data() + 2, place_of(envelope.source.address));
  store_be(frame_.data() + 4, envelope.source.port);
  std::ranges::copy(datagram, frame_.begin() + envelope_size);
  links_[link].model.offer(frame_, now_);
  schedule(link);
}

void SimNetwork::deliver(const Link& link, ConstBytes frame) {
  const Place destination = places_[load_be<PlaceId>(frame.data())];
  const Endpoint source{places_[load_be<PlaceId>(frame.data() + 2)].address, load_be<uint16_t>(frame.data() + 4)};
  if (!destination.live || destination.host != link.to || destination.uplink != link.to_uplink) return;
  Host& host = hosts_[link.to];
  const ConstBytes datagram = frame.subspan(envelope_size);
  if (!datagram.empty() && datagram[0] < CP_CONTROL_LANE) return host.traffic->on_datagram(datagram);
  const control::Route at{link.to_uplink, destination.address, source};
  if (host.shielded && uncalled(host, datagram)) return;
  watch_.on_arrival(host.index, at, datagram, unproven(source));
  host.controller->on_datagram(at, datagram, time(host));
  settle(host);
}

bool SimNetwork::uncalled(const Host& host, ConstBytes datagram) const {
  const wire::MessageType type = wire::classify(datagram);
  if (type == wire::MessageType::data)
    return !host.receivable.contains(load_be<uint64_t>(datagram.data() + CP_OFFSET_SID));
  if (type != wire::MessageType::response && type != wire::MessageType::cookie) return false;
  return !host.calls.contains(load_be<uint64_t>(datagram.data() + CP_OFFSET_CALL_SID));
}

void SimNetwork::send_data(uint32_t from, uint32_t to) {
  Host& host = hosts_[from];
  const control::PeerForwarding* forwarding = peer(from, to);
  if (forwarding == nullptr) return;
  const std::vector<uint8_t> datagram = host.traffic->seal(*forwarding, to, random, now_);
  if (datagram.empty()) return;
  bool first = true;
  for (const control::DataPath& path : forwarding->send_paths) {
    const control::Route route{path.uplink, path.local, path.remote};
    const bool to_nobody = unproven(path.remote);
    if (first || to_nobody) watch_.on_sent(from, route, datagram, to_nobody, now_);
    first = false;
    transmit(host, route, datagram);
  }
}

const control::PeerForwarding* SimNetwork::peer(uint32_t host, uint32_t peer) const {
  const auto id = hosts_[host].peer_ids.find(peer);
  if (id == hosts_[host].peer_ids.end() || id->second >= hosts_[host].forwarding.peers.size()) return nullptr;
  return hosts_[host].forwarding.peers[id->second].get();
}

bool SimNetwork::agreed(uint32_t a, uint32_t b) const {
  const control::PeerForwarding* at_a = peer(a, b);
  const control::PeerForwarding* at_b = peer(b, a);
  if (at_a == nullptr || at_b == nullptr || !at_a->send_session || !at_b->send_session) return false;
  return at_a->send_session->peer_sid() == at_b->send_session->local_sid() &&
         at_b->send_session->peer_sid() == at_a->send_session->local_sid();
}

}  // namespace centipede::sim
