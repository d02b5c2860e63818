// A small network of controllers in made-up time, wired directly: every packet takes `delay`, unless `on_packet` drops
// it, changes it or delays it more. Addresses belong to hosts; a packet goes to whoever has its destination. The
// simulation in tests/sim has lossy links; here each test decides about each packet.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "control/controller.h"

namespace centipede::control::test {

class SeededRandomness final : public Randomness {
 public:
  explicit SeededRandomness(uint64_t seed) : state_(seed) {}
  void fill(Bytes out) override {
    for (uint8_t& byte : out)
      byte = static_cast<uint8_t>(next() >> 56);
  }
  uint64_t next() {  // SplitMix64
    uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  uint64_t below(uint64_t limit) { return next() % limit; }

 private:
  uint64_t state_;
};

inline constexpr uint16_t port = 5820;

inline IpAddress ip(const std::string& text) {
  return *IpAddress::parse(text);
}
inline Endpoint at(const std::string& address, uint16_t its_port = port) {
  return {ip(address), its_port};
}

// Key pairs are costly; tests that make thousands of networks share these.
inline const crypto::Identity& identity(size_t index) {
  static std::vector<crypto::Identity> made = [] {
    (void)crypto::initialise();
    std::vector<crypto::Identity> all;
    for (uint8_t seed = 1; seed <= 4; ++seed) {
      crypto::SecretKey secret;
      secret.data()[0] = seed;
      all.push_back(crypto::Identity::from_seed(secret));
    }
    return all;
  }();
  return made[index];
}

struct Packet {
  size_t from = 0;
  Endpoint source;
  Endpoint destination;
  std::vector<uint8_t> bytes;
  Duration extra_delay{};

  [[nodiscard]] bool is(uint8_t type) const { return bytes[0] == (CP_CONTROL_BIT | type); }
  [[nodiscard]] bool is_initiation() const { return is(CP_TYPE_INITIATION); }
  [[nodiscard]] bool is_response() const { return is(CP_TYPE_RESPONSE); }
  [[nodiscard]] bool is_control_lane() const { return bytes[0] == CP_CONTROL_LANE; }
};

// Files with preshared keys, as a host finds them.
class KeyFiles final : public PresharedKeySource {
 public:
  std::optional<crypto::SecretKey> read(const std::string& path) override {
    ++reads;
    const auto file = files.find(path);
    if (file == files.end()) return std::nullopt;
    return file->second.clone();
  }
  std::map<std::string, crypto::SecretKey> files;
  int reads = 0;
};

struct Host {
  Host(size_t its_index, const Timing& timing, const GateLimits& gate, Timestamps its_kept, uint64_t seed)
      : index(its_index), randomness(seed), kept(std::move(its_kept)) {
    Settings settings{.identity = identity(its_index).clone(),
                      .params = {},
                      .workers = 1,
                      .timing = timing,
                      .gate = gate,
                      .timestamp_floor_ns = kept.sent_limit_ns,
                      .accepted_timestamps_ns = {kept.accepted.begin(), kept.accepted.end()}};
    settings.params.heartbeat_ms =
        static_cast<uint32_t>(std::chrono::duration_cast<milliseconds>(timing.heartbeat_interval).count());
    controller = std::make_unique<Controller>(std::move(settings), randomness, &key_files);
  }
  size_t index;
  SeededRandomness randomness;
  KeyFiles key_files;
  Timestamps kept;  // what is on its disk
  std::unique_ptr<Controller> controller;
  std::map<UplinkId, Uplink> uplinks;
  int64_t wall_offset_ns = 0;
  Forwarding forwarding;
  std::map<wire::SessionId, std::shared_ptr<crypto::Session>> receivable;
  std::set<wire::SessionId> calls;
  int shields = 0;  // published
  std::vector<std::string> log;
};

class Network {
 public:
  explicit Network(uint64_t seed = 1, Timing timing = {}) : timing_(timing), random(seed) {}

  size_t add_host() {
    hosts.push_back(std::make_unique<Host>(hosts.size(), timing_, gate, Timestamps{}, random.next()));
    return hosts.size() - 1;
  }
  // A process started anew: nothing is left of its memory, and its disk only if it has one.
  enum class Disk : uint8_t { lost, kept };
  void restart(size_t host, Disk disk = Disk::lost) {
    auto fresh = std::make_unique<Host>(host, timing_, gate, disk == Disk::kept ? hosts[host]->kept : Timestamps{},
                                        random.next());
    fresh->wall_offset_ns = hosts[host]->wall_offset_ns;
    const auto uplinks = hosts[host]->uplinks;
    hosts[host] = std::move(fresh);
    for (const auto& [id, uplink] : uplinks)
      set_uplink(host, uplink);
  }
  void set_uplink(size_t host, Uplink uplink) {
    hosts[host]->uplinks[uplink.id] = uplink;
    hosts[host]->controller->set_uplink(std::move(uplink), time(host));
    settle(host);
  }
  void set_uplink(size_t host, UplinkId id, std::vector<std::string> addresses, uint32_t priority = 0) {
    Uplink uplink{.id = id, .name = "eth" + std::to_string(id), .usable = true, .priority = priority};
    for (const std::string& address : addresses)
      uplink.addresses.push_back(ip(address));
    set_uplink(host, std::move(uplink));
  }
  void remove_uplink(size_t host, UplinkId id) {
    hosts[host]->uplinks.erase(id);
    hosts[host]->controller->remove_uplink(id, time(host));
    settle(host);
  }
  PeerId add_peer(size_t host, size_t peer, std::vector<Endpoint> endpoints, Policy policy = Policy::redundant) {
    PeerSettings settings{.name = "host" + std::to_string(peer),
                          .public_key = identity(peer).public_key(),
                          .preshared_key_file = hosts[host]->key_files.files.empty() ? "" : "psk",
                          .endpoints = std::move(endpoints),
                          .policy = policy};
    const auto id = hosts[host]->controller->add_peer(std::move(settings), time(host));
    EXPECT_TRUE(id.has_value());
    settle(host);
    return id.value_or(0);
  }
  void close(size_t host) {
    hosts[host]->controller->close(time(host));
    settle(host);
  }

  [[nodiscard]] Now time(size_t host) const {
    const int64_t wall = 1'800'000'000'000'000'000 + now.time_since_epoch().count() + hosts[host]->wall_offset_ns;
    return {now, WallTime{static_cast<uint64_t>(wall)}};
  }
  [[nodiscard]] Controller& controller(size_t host) { return *hosts[host]->controller; }

  void run_for(Duration span) {
    run_until(now + span, [] { return false; });
  }
  // True as soon as the condition holds; checked after every event.
  bool run_until(Instant end, const std::function<bool()>& condition) {
    while (!condition()) {
      Instant next = on_the_way_.empty() ? never : on_the_way_.begin()->first;
      for (const auto& host : hosts)
        next = std::min(next, host->controller->next_deadline());
      if (next > end) {
        now = std::max(now, end);
        return condition();
      }
      now = std::max(now, next);
      if (!on_the_way_.empty() && on_the_way_.begin()->first <= now) {
        const Packet packet = std::move(on_the_way_.begin()->second);
        on_the_way_.erase(on_the_way_.begin());
        deliver(packet);
        continue;
      }
      for (size_t host = 0; host < hosts.size(); ++host) {
        if (hosts[host]->controller->next_deadline() > now) continue;
        hosts[host]->controller->on_timer(time(host));
        if (hosts[host]->controller->next_deadline() <= now) {
          ADD_FAILURE() << "the timer would spin";
          return false;
        }
        settle(host);
      }
    }
    return true;
  }
  bool run_until(const std::function<bool()>& condition, Duration limit = seconds(60)) {
    return run_until(now + limit, condition);
  }

  // As if it had come from the network now, past on_packet.
  void deliver(const Packet& packet) {
    for (size_t host = 0; host < hosts.size(); ++host) {
      for (const auto& [id, uplink] : hosts[host]->uplinks) {
        if (!uplink.usable || packet.destination.port != port) continue;
        if (std::ranges::find(uplink.addresses, packet.destination.address) == uplink.addresses.end()) continue;
        ++delivered;
        hosts[host]->controller->on_datagram({id, packet.destination.address, packet.source}, packet.bytes, time(host));
        settle(host);
        return;
      }
    }
  }
  void settle(size_t index) {
    Host& host = *hosts[index];
    for (Action& action : host.controller->take_actions()) {
      if (auto* send = std::get_if<SendDatagram>(&action))
        transmit(host, std::move(*send));
      else if (auto* added = std::get_if<SessionAdded>(&action))
        host.receivable[added->session->local_sid()] = added->session;
      else if (auto* removed = std::get_if<SessionRemoved>(&action))
        host.receivable.erase(removed->local_sid);
      else if (auto* event = std::get_if<Event>(&action))
        host.log.push_back((event->level == Event::Level::warning ? "warning: " : "") + event->text);
      else if (auto* started = std::get_if<CallStarted>(&action))
        EXPECT_TRUE(host.calls.insert(started->sid).second);
      else if (auto* ended = std::get_if<CallEnded>(&action))
        EXPECT_EQ(host.calls.erase(ended->sid), 1U);
      else if (std::holds_alternative<TimestampsChanged>(action))
        host.kept = host.controller->timestamps();
      else if (std::holds_alternative<ShieldChanged>(action))
        ++host.shields;
      else
        host.forwarding = host.controller->forwarding();
    }
    EXPECT_LE(host.receivable.size(), 5 * std::max<size_t>(1, host.forwarding.peers.size()));
  }

  [[nodiscard]] std::shared_ptr<const PeerForwarding> peer(size_t host, PeerId id = 0) const {
    const auto& peers = hosts[host]->forwarding.peers;
    return id < peers.size() ? peers[id] : nullptr;
  }
  [[nodiscard]] std::shared_ptr<crypto::Session> session(size_t host) const {
    return peer(host) ? peer(host)->send_session : nullptr;
  }
  // Both sides send on the same session.
  [[nodiscard]] bool agreed(size_t a = 0, size_t b = 1) const {
    const auto at_a = session(a);
    const auto at_b = session(b);
    return at_a && at_b && at_a->peer_sid() == at_b->local_sid() && at_b->peer_sid() == at_a->local_sid();
  }
  [[nodiscard]] PeerStatus status(size_t host) const { return hosts[host]->controller->status(time(host)).at(0); }
  [[nodiscard]] size_t paths_in(size_t host, PathState state) const {
    const PeerStatus rows = status(host);
    return static_cast<size_t>(std::ranges::count(rows.paths, state, &PathStatus::state));
  }
  [[nodiscard]] bool logged(size_t host, const std::string& words) const {
    return std::ranges::any_of(hosts[host]->log,
                               [&](const auto& line) { return line.find(words) != std::string::npos; });
  }

  Timing timing_;
  GateLimits gate;  // of hosts that start from now on
  SeededRandomness random;
  Instant now{seconds(1000)};
  Duration delay = milliseconds(10);
  std::vector<std::unique_ptr<Host>> hosts;
  // False: lost.
  std::function<bool(Packet&)> on_packet;
  std::vector<Packet> sent;  // everything that left a host, lost or not
  bool record = false;
  uint64_t delivered = 0;

 private:
  void transmit(Host& host, SendDatagram send) {
    const auto uplink = host.uplinks.find(send.route.uplink);
    if (uplink == host.uplinks.end() || uplink->second.addresses.empty()) return;
    const IpAddress local = send.route.local ? send.route.local : uplink->second.addresses.front();
    Packet packet{.from = host.index,
                  .source = {local, port},
                  .destination = send.route.remote,
                  .bytes = std::move(send.bytes),
                  .extra_delay = {}};
    if (record) sent.push_back(packet);
    if (on_packet && !on_packet(packet)) return;
    on_the_way_.emplace(now + delay + packet.extra_delay, std::move(packet));
  }

  std::multimap<Instant, Packet> on_the_way_;
};

// Hosts 0 and 1 with one uplink each, 10.1.0.1 and 10.1.0.2; who calls whom is told by the flags.
inline void connect_two(Network& network, bool first_calls, bool second_calls, Policy policy = Policy::redundant) {
  network.add_host();
  network.add_host();
  network.set_uplink(0, 0, {"10.1.0.1"});
  network.set_uplink(1, 0, {"10.1.0.2"});
  using Endpoints = std::vector<Endpoint>;
  network.add_peer(0, 1, first_calls ? Endpoints{at("10.1.0.2")} : Endpoints{}, policy);
  network.add_peer(1, 0, second_calls ? Endpoints{at("10.1.0.1")} : Endpoints{}, policy);
}

// Hosts 0 and 1 with two uplinks each: link 0 is 10.1.0.0, link 1 is 10.2.0.0; strangers as yet.
inline void add_two_with_two_links(Network& network) {
  network.add_host();
  network.add_host();
  for (const size_t host : {size_t{0}, size_t{1}}) {
    const std::string last = std::to_string(host + 1);
    network.set_uplink(host, 0, {"10.1.0." + last}, 0);
    network.set_uplink(host, 1, {"10.2.0." + last}, 1);
  }
}

inline bool same_link(const Packet& packet) {
  return packet.source.address.bytes()[1] == packet.destination.address.bytes()[1];
}

}  // namespace centipede::control::test
