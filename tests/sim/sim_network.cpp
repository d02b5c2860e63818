// SimNetwork: time, links and what travels on them.
#include "sim_network.h"

#include <algorithm>
#include <cstdio>

namespace centipede::sim {
namespace {

// In front of each datagram on a link, never damaged: destination, source address, source port, nothing.
constexpr size_t envelope_size = 8;
constexpr int most_timer_rounds = 2;

}  // namespace

LinkIndex SimNetwork::link_index(uint32_t from, control::UplinkId i, uint32_t to, control::UplinkId j) const {
  return static_cast<LinkIndex>(((from * uplinks_each + i) * hosts_.size() + to) * uplinks_each + j);
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
  return id == hosts_[host].peer_ids.end() ? nullptr : hosts_[host].forwarding.peers.find(id->second);
}

bool SimNetwork::agreed(uint32_t a, uint32_t b) const {
  const control::PeerForwarding* at_a = peer(a, b);
  const control::PeerForwarding* at_b = peer(b, a);
  if (at_a == nullptr || at_b == nullptr || !at_a->send_session || !at_b->send_session) return false;
  return at_a->send_session->peer_sid() == at_b->send_session->local_sid() &&
         at_b->send_session->peer_sid() == at_a->send_session->local_sid();
}

}  // namespace centipede::sim
