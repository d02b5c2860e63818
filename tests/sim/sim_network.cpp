#include "sim_network.h"

#include <algorithm>
#include <cstdio>

namespace centipede::sim {
namespace {

constexpr size_t flight_number_size = 8;

const crypto::Identity& identity(uint32_t index) {
  static const std::vector<crypto::Identity> made = [] {
    (void)crypto::initialise();
    std::vector<crypto::Identity> all;
    for (uint8_t seed = 1; seed <= 8; ++seed) {
      crypto::SecretKey secret;
      secret.data()[0] = seed;
      all.push_back(crypto::Identity::from_seed(secret));
    }
    return all;
  }();
  return made[index];
}

}  // namespace

uint64_t SimRandom::next() {  // SplitMix64
  uint64_t z = state_ += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

void SimRandom::fill(Bytes out) {
  for (uint8_t& byte : out)
    byte = static_cast<uint8_t>(next() >> 56);
}

SimNetwork::SimNetwork(uint64_t seed, control::Timing timing, size_t hosts, size_t uplinks_each)
    : random(seed), timing_(timing) {
  for (uint32_t index = 0; index < hosts; ++index) {
    hosts_.push_back({.index = index});
    start(hosts_.back());
  }
  for (uint32_t a = 0; a < hosts; ++a)
    for (uint32_t b = 0; b < hosts; ++b)
      for (control::UplinkId i = 0; i < uplinks_each && a != b; ++i)
        for (control::UplinkId j = 0; j < uplinks_each; ++j)
          links_.try_emplace({a, i, b, j}, emulator::LinkSettings{}, random.next());
}

void SimNetwork::start(Host& host) {
  control::Settings settings{.identity = identity(host.index).clone(), .params = {}, .workers = 1, .timing = timing_};
  host.randomness = std::make_unique<SimRandom>(random.next());
  host.controller = std::make_unique<control::Controller>(std::move(settings), *host.randomness);
  host.traffic = std::make_unique<DataTraffic>(ledger_, host.index);
  host.forwarding = {};
  host.receivable = 0;
  host.peer_ids.clear();
}

void SimNetwork::note(const std::string& line) {
  const double at = static_cast<double>((now_ - Instant(seconds(1000))).count()) / 1e9;
  char stamp[32];
  std::snprintf(stamp, sizeof stamp, "%10.3f  ", at);
  transcript_.push_back(stamp + line);
}

Now SimNetwork::time(const Host& host) const {
  const int64_t wall = 1'800'000'000'000'000'000 + now_.time_since_epoch().count() + host.wall_offset_ns;
  return {now_, WallTime{static_cast<uint64_t>(wall)}};
}

void SimNetwork::set_uplink(uint32_t index, control::Uplink uplink) {
  Host& host = hosts_[index];
  host.uplinks[uplink.id] = uplink;
  host.controller->set_uplink(std::move(uplink), time(host));
  settle(host);
}

void SimNetwork::remove_uplink(uint32_t index, control::UplinkId id) {
  Host& host = hosts_[index];
  host.uplinks.erase(id);
  host.controller->remove_uplink(id, time(host));
  settle(host);
}

void SimNetwork::add_peer(uint32_t index, uint32_t peer, std::vector<Endpoint> endpoints) {
  Host& host = hosts_[index];
  host.endpoints[peer] = endpoints;
  control::PeerSettings settings{.name = "host" + std::to_string(peer),
                                 .public_key = identity(peer).public_key(),
                                 .preshared_key = {},
                                 .allowed_ips = {},
                                 .endpoints = std::move(endpoints)};
  const auto id = host.controller->add_peer(std::move(settings), time(host));
  if (id)
    host.peer_ids[peer] = *id;
  else
    ledger_.violation(id.error().text);
  settle(host);
}

void SimNetwork::restart(uint32_t index, bool goodbye) {
  Host& host = hosts_[index];
  if (goodbye) {
    host.controller->close(time(host));
    settle(host);
  }
  start(host);
  const auto uplinks = host.uplinks;
  for (const auto& [id, uplink] : uplinks)
    set_uplink(index, uplink);
  const auto endpoints = host.endpoints;
  for (const auto& [peer, remote] : endpoints)
    add_peer(index, peer, remote);
}

void SimNetwork::configure(const LinkKey& link, const emulator::LinkSettings& settings) {
  links_.at(link).configure(settings, now_);
}

void SimNetwork::run_until(Instant end) {
  for (;;) {
    Instant next = never;
    for (const Host& host : hosts_)
      next = std::min(next, host.controller->next_deadline());
    for (const auto& [key, link] : links_)
      next = std::min(next, link.next_departure());
    if (next > end) {
      now_ = end;
      return;
    }
    now_ = std::max(now_, next);
    for (auto& [key, link] : links_) {
      if (link.next_departure() > now_) continue;
      for (const emulator::Departure& departure : link.take_due(now_))
        deliver(key, departure.frame);
    }
    for (Host& host : hosts_) {
      if (host.controller->next_deadline() > now_) continue;
      host.controller->on_timer(time(host));
      if (host.controller->next_deadline() <= now_) {
        ledger_.violation("the timer of host " + std::to_string(host.index) + " would spin");
        return;
      }
      settle(host);
    }
  }
}

void SimNetwork::settle(Host& host) {
  for (control::Action& action : host.controller->take_actions()) {
    if (const auto* send = std::get_if<control::SendDatagram>(&action)) {
      transmit(host, send->route, send->bytes);
    } else if (const auto* added = std::get_if<control::SessionAdded>(&action)) {
      host.traffic->add(added->session);
      ++host.receivable;
    } else if (const auto* removed = std::get_if<control::SessionRemoved>(&action)) {
      host.traffic->remove(removed->local_sid);
      --host.receivable;
    } else if (const auto* event = std::get_if<control::Event>(&action)) {
      note("host " + std::to_string(host.index) + ": " + event->text);
    } else {
      host.forwarding = host.controller->forwarding();
      check(host);
    }
  }
}

void SimNetwork::check(const Host& host) {
  const std::string who = "host " + std::to_string(host.index);
  if (host.receivable > 4 * host.peer_ids.size()) ledger_.violation(who + " keeps too many sessions");
  if (host.receivable != host.forwarding.sessions.size()) ledger_.violation(who + " lost count of its sessions");
  for (const auto& peer : host.forwarding.peers) {
    if (peer == nullptr) continue;
    if (peer->paths.size() > 16) ledger_.violation(who + " keeps too many paths");
    for (const control::DataPath& path : peer->paths) {
      const auto uplink = host.uplinks.find(path.uplink);
      const bool exists = uplink != host.uplinks.end() && uplink->second.usable &&
                          std::ranges::find(uplink->second.addresses, path.local) != uplink->second.addresses.end();
      if (!exists) ledger_.violation(who + " keeps a path of an address that is gone");
    }
  }
}

void SimNetwork::transmit(Host& host, const control::Route& route, ConstBytes bytes) {
  if ((bytes[0] & CP_CONTROL_BIT) == 0) ledger_.on_session_datagram(bytes);
  const auto uplink = host.uplinks.find(route.uplink);
  if (uplink == host.uplinks.end() || !uplink->second.usable) return;
  if (std::ranges::find(uplink->second.addresses, route.local) == uplink->second.addresses.end()) return;
  for (const Host& to : hosts_) {
    for (const auto& [id, theirs] : to.uplinks) {
      if (std::ranges::find(theirs.addresses, route.remote.address) == theirs.addresses.end()) continue;
      if (to.index == host.index || route.remote.port != sim_port) return;
      std::vector<uint8_t> frame(flight_number_size);
      store_be<uint64_t>(frame.data(), flights_.size());
      frame.insert(frame.end(), bytes.begin(), bytes.end());
      flights_.push_back({to.index, route.remote.address, {route.local, sim_port}});
      links_.at({host.index, route.uplink, to.index, id}).offer(frame, now_);
      return;
    }
  }
}

void SimNetwork::deliver(const LinkKey& link, const std::vector<uint8_t>& frame) {
  const Flight& flight = flights_[load_be<uint64_t>(frame.data())];
  Host& host = hosts_[flight.to_host];
  const auto uplink = host.uplinks.find(std::get<3>(link));
  if (uplink == host.uplinks.end() || !uplink->second.usable) return;
  const auto& addresses = uplink->second.addresses;
  if (std::ranges::find(addresses, flight.destination) == addresses.end()) return;
  const ConstBytes datagram = ConstBytes(frame).subspan(flight_number_size);
  const auto header = wire::parse_data_header(datagram);
  if (header && header->number.lane != CP_CONTROL_LANE) {
    host.traffic->on_datagram(datagram);
    return;
  }
  host.controller->on_datagram({uplink->first, flight.destination, flight.source}, datagram, time(host));
  settle(host);
}

void SimNetwork::send_data() {
  for (Host& host : hosts_) {
    for (const auto& [index, id] : host.peer_ids) {
      const control::PeerForwarding* to = peer(host.index, index);
      if (to == nullptr) continue;
      const std::vector<uint8_t> datagram = host.traffic->seal(*to, index);
      if (datagram.empty()) continue;
      for (const control::DataPath& path : to->send_paths)
        transmit(host, {path.uplink, path.local, path.remote}, datagram);
    }
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
