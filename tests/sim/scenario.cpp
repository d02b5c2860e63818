#include "scenario.h"

#include <algorithm>
#include <cstdlib>

namespace centipede::sim {
namespace {

using control::Uplink;
using control::UplinkId;

constexpr Duration step = milliseconds(100);
// The longest backoff with its jitter, and a handshake.
constexpr Duration heal_bound = seconds(38);

class Scenario {
 public:
  explicit Scenario(uint64_t seed) : network_(seed, timing(seed), 2 + seed % 3, 2) {}

  Outcome play() {
    build();
    const Instant faults_end = network_.now() + seconds(40 + static_cast<int64_t>(random().below(60)));
    Instant next_fault = network_.now() + seconds(1);
    while (network_.now() < faults_end && ledger().violations().empty()) {
      if (network_.now() >= next_fault) {
        inject();
        next_fault = network_.now() + milliseconds(200 + static_cast<int64_t>(random().below(5000)));
      }
      advance();
    }
    make_peace();
    Outcome outcome;
    outcome.healed_after = heal();
    outcome.violations = ledger().violations();
    outcome.transcript = network_.transcript();
    outcome.sent = ledger().sent();
    outcome.delivered = ledger().delivered();
    return outcome;
  }

 private:
  // Every other seed lives fast, so that rekeying, old age and wiping happen within its minute.
  static control::Timing timing(uint64_t seed) {
    control::Timing timing;
    if (seed % 2 == 0) return timing;
    timing.rekey_after = seconds(12);
    timing.reject_after = seconds(20);
    timing.overlap_min = seconds(2);
    timing.wipe_after = seconds(45);
    return timing;
  }

  SimRandom& random() { return network_.random; }
  Ledger& ledger() { return network_.ledger(); }
  uint32_t any_host() { return static_cast<uint32_t>(random().below(network_.hosts().size())); }
  static UplinkId any_uplink(SimRandom& random) { return static_cast<UplinkId>(random.below(2)); }

  static IpAddress v4(uint32_t host, UplinkId uplink, uint8_t generation) {
    const uint8_t bytes[4] = {10, uplink, generation, static_cast<uint8_t>(host + 1)};
    return IpAddress::v4(bytes);
  }
  static IpAddress v6(uint32_t host, UplinkId uplink, uint8_t generation) {
    const uint8_t bytes[16] = {0xfd, uplink, generation, 0, 0, 0, 0, 0,
                               0,    0,      0,          0, 0, 0, 0, static_cast<uint8_t>(host + 1)};
    return IpAddress::v6(bytes);
  }
  static Uplink uplink_of(uint32_t host, UplinkId id, std::vector<IpAddress> addresses) {
    return {.id = id,
            .name = "h" + std::to_string(host) + "eth" + std::to_string(id),
            .usable = true,
            .addresses = std::move(addresses),
            .priority = id};
  }
  std::vector<Endpoint> home_of(uint32_t host) {
    std::vector<Endpoint> endpoints;
    for (UplinkId id = 0; id < 2; ++id) {
      endpoints.push_back({v4(host, id, 0), sim_port});
      if (id == 1) endpoints.push_back({v6(host, id, 0), sim_port});
    }
    return endpoints;
  }

  void build() {
    for (Host& host : network_.hosts()) {
      host.fixed = host.index < 2;
      for (UplinkId id = 0; id < 2; ++id) {
        std::vector<IpAddress> addresses{v4(host.index, id, 0)};
        if (id == 1) addresses.push_back(v6(host.index, id, 0));
        network_.set_uplink(host.index, uplink_of(host.index, id, addresses));
      }
    }
    for (const auto& [key, link] : network_.links())
      quality(key, false);
    for (const Host& host : network_.hosts()) {
      for (const Host& peer : network_.hosts()) {
        if (host.index == peer.index || !(host.fixed || peer.fixed)) continue;
        const bool calls = peer.fixed || random().chance(30);
        network_.add_peer(host.index, peer.index, calls ? home_of(peer.index) : std::vector<Endpoint>{});
        if (random().chance(30)) network_.run_until(network_.now() + milliseconds(random().below(500)));
      }
    }
  }

  void advance() {
    network_.run_until(network_.now() + step);
    network_.send_data();
  }

  void quality(const SimNetwork::LinkKey& key, bool bad) {
    emulator::LinkSettings settings;
    settings.delay = milliseconds(1 + random().below(bad ? 300 : 60));
    settings.jitter = milliseconds(random().below(bad ? 100 : 5));
    settings.allow_reorder = random().chance(50);
    if (bad) {
      settings.loss = static_cast<double>(random().below(60)) / 100;
      settings.duplicate = random().chance(50) ? 0.2 : 0;
      settings.reorder = random().chance(50) ? 0.2 : 0;
      settings.corrupt = random().chance(30) ? 0.1 : 0;
      settings.corrupt_offset = 8;  // behind the simulation's own number
      settings.down = random().chance(25);
    }
    network_.configure(key, settings);
  }

  void inject() {
    const uint64_t dice = random().below(100);
    if (dice < 35)
      worsen_links();
    else if (dice < 50)
      isolate(any_host());
    else if (dice < 60)
      lose_carrier(any_host());
    else if (dice < 75)
      change_uplink(any_host());
    else if (dice < 90)
      restart(any_host());
    else
      jump_clock(any_host());
  }

  void worsen_links() {
    network_.note("FAULT some links change");
    for (const auto& [key, link] : network_.links())
      if (random().chance(40)) quality(key, random().chance(70));
  }

  void isolate(uint32_t host) {
    const bool both = random().chance(50);
    network_.note("FAULT host " + std::to_string(host) + (both ? " is cut off" : " is cut off in one direction"));
    for (auto& [key, link] : network_.links()) {
      if (std::get<0>(key) != host && !(both && std::get<2>(key) == host)) continue;
      emulator::LinkSettings settings = link.settings();
      settings.down = true;
      network_.configure(key, settings);
    }
  }

  void lose_carrier(uint32_t host) {
    const UplinkId id = any_uplink(random());
    const auto known = network_.host(host).uplinks.find(id);
    if (known == network_.host(host).uplinks.end()) return;
    Uplink uplink = known->second;
    uplink.usable = !uplink.usable;
    network_.note("FAULT " + uplink.name + (uplink.usable ? " has carrier" : " loses carrier"));
    network_.set_uplink(host, uplink);
  }

  void change_uplink(uint32_t index) {
    const UplinkId id = any_uplink(random());
    Host& host = network_.host(index);
    if (host.uplinks.contains(id) && random().chance(40)) {
      network_.note("FAULT " + host.uplinks[id].name + " vanishes");
      network_.remove_uplink(index, id);
      return;
    }
    const auto generation = static_cast<uint8_t>(host.fixed ? 0 : random().below(200));
    std::vector<IpAddress> addresses{v4(index, id, generation)};
    if (id == 1 || (!host.fixed && random().chance(50))) addresses.push_back(v6(index, id, generation));
    if (!host.fixed && random().chance(30)) addresses.erase(addresses.begin());
    network_.note("FAULT host " + std::to_string(index) + " uplink " + std::to_string(id) + " comes with " +
                  (addresses.empty() ? std::string("no address") : addresses.front().text()));
    network_.set_uplink(index, uplink_of(index, id, addresses));
  }

  void restart(uint32_t index) {
    Host& host = network_.host(index);
    if (!host.fixed) host.wall_offset_ns = host.furthest_wall_offset_ns;
    const bool goodbye = random().chance(40);
    network_.note("FAULT host " + std::to_string(index) + " restarts" + (goodbye ? " after a goodbye" : ""));
    host.restarted = true;
    network_.restart(index, goodbye);
  }

  void jump_clock(uint32_t index) {
    Host& host = network_.host(index);
    auto days = static_cast<int64_t>(random().below(730)) - 365;
    if (!host.fixed && host.restarted) days = std::abs(days);
    host.wall_offset_ns += days * 86'400 * 1'000'000'000;
    host.furthest_wall_offset_ns = std::max(host.furthest_wall_offset_ns, host.wall_offset_ns);
    network_.note("FAULT clock of host " + std::to_string(index) + " jumps by " + std::to_string(days) + " days");
  }

  void make_peace() {
    network_.note("PEACE");
    for (const auto& [key, link] : network_.links())
      quality(key, false);
    for (Host& host : network_.hosts()) {
      for (UplinkId id = 0; id < 2; ++id) {
        auto known = host.uplinks.find(id);
        // Half of the time nobody is told that anything got better.
        if (known != host.uplinks.end() && known->second.usable && !known->second.addresses.empty()) continue;
        std::vector<IpAddress> addresses{v4(host.index, id, 0)};
        if (id == 1) addresses.push_back(v6(host.index, id, 0));
        network_.set_uplink(host.index, uplink_of(host.index, id, addresses));
      }
    }
  }

  bool all_agreed() {
    return std::ranges::all_of(network_.hosts(), [&](const Host& host) {
      return std::ranges::all_of(host.peer_ids,
                                 [&](const auto& row) { return network_.agreed(host.index, row.first); });
    });
  }

  // Until all have agreed, then ten seconds in which data must flow everywhere.
  Duration heal() {
    const Instant start = network_.now();
    while (ledger().violations().empty() && !all_agreed()) {
      if (network_.now() - start > heal_bound) {
        ledger().violation("no common session " + std::to_string(heal_bound / seconds(1)) + " s after the faults");
        return network_.now() - start;
      }
      advance();
    }
    const Duration healed = network_.now() - start;
    std::map<std::pair<uint32_t, uint32_t>, uint64_t> before;
    for (const Instant end = network_.now() + seconds(10); network_.now() < end;) {
      if (before.empty() && end - network_.now() <= seconds(3)) {
        for_each_pair([&](uint32_t a, uint32_t b) { before[{a, b}] = ledger().delivered(a, b); });
      }
      advance();
    }
    for_each_pair([&](uint32_t a, uint32_t b) {
      if (ledger().delivered(a, b) - before[{a, b}] < 25)
        ledger().violation("no data from host " + std::to_string(a) + " to host " + std::to_string(b) + " in peace");
    });
    return healed;
  }

  template <class Action>
  void for_each_pair(Action action) {
    for (const Host& host : network_.hosts())
      for (const auto& [peer, id] : host.peer_ids)
        action(host.index, peer);
  }

  SimNetwork network_;
};

}  // namespace

Outcome play(uint64_t seed) {
  return Scenario(seed).play();
}

}  // namespace centipede::sim
