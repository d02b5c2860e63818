#include "build_network.h"

namespace centipede::sim {
namespace {

using control::UplinkId;

std::vector<Endpoint> home_of(uint32_t host) {
  std::vector<Endpoint> endpoints;
  for (UplinkId id = 0; id < uplinks_each; ++id)
    for (const IpAddress& address : home_uplink(host, id).addresses)
      endpoints.push_back({address, sim_port});
  return endpoints;
}

}  // namespace

Character::Character(uint64_t seed) {
  SimRandom random(seed ^ 0xc4a2ac7e2ULL);
  hosts = 2 + seed % 3;
  lives_fast = random.chance(50);
  attacked = random.chance(75);
  one_policy = random.chance(50);
  slow_disks = random.chance(40);
  if (lives_fast) {
    timing.rekey_after = seconds(12);
    timing.reject_after = seconds(20);
    timing.wipe_after = seconds(45);
  }
  if (random.chance(25)) timing.rekey_after_packets = 1500 + random.below(1500);
  if (random.chance(50)) gate = {milliseconds(200), 5, milliseconds(50), 40, seconds(10)};
}

IpAddress v4(uint32_t host, UplinkId uplink, uint8_t generation) {
  const uint8_t bytes[4] = {10, uplink, generation, static_cast<uint8_t>(host + 1)};
  return IpAddress::v4(bytes);
}

IpAddress v6(uint32_t host, UplinkId uplink, uint8_t generation) {
  const uint8_t bytes[16] = {0xfd, uplink, generation, 0, 0, 0, 0, 0,
                             0,    0,      0,          0, 0, 0, 0, static_cast<uint8_t>(host + 1)};
  return IpAddress::v6(bytes);
}

control::Uplink uplink_of(uint32_t host, UplinkId id, std::vector<IpAddress> addresses) {
  return {.id = id,
          .name = "h" + std::to_string(host) + "eth" + std::to_string(id),
          .usable = true,
          .addresses = std::move(addresses),
          .priority = id};
}

control::Uplink home_uplink(uint32_t host, UplinkId id) {
  std::vector<IpAddress> addresses{v4(host, id, 0)};
  if (id == 1) addresses.push_back(v6(host, id, 0));
  return uplink_of(host, id, std::move(addresses));
}

void build_hosts(SimNetwork& network, const Character& character) {
  SimRandom& random = network.random;
  constexpr uint32_t intervals_ms[] = {250, 250, 250, 100, 500, 1000};
  for (Host& host : network.hosts()) {
    host.fixed = host.index < 2;
    host.timing = character.timing;
    host.gate = character.gate;
    host.shielded = random.chance(50);
    host.params.lanes = static_cast<uint8_t>(1 + random.below(4));
    host.params.window_bits = CP_WINDOW_BITS_MIN;
    host.params.heartbeat_ms = random.one_of(intervals_ms);
    host.timing.heartbeat_interval = milliseconds(host.params.heartbeat_ms);
    if (character.slow_disks) host.disk.set_late(40);
    network.start(host.index);
    for (UplinkId id = 0; id < uplinks_each; ++id)
      network.set_uplink(host.index, home_uplink(host.index, id));
  }
}

void introduce_peers(SimNetwork& network, const Character& character) {
  SimRandom& random = network.random;
  for (Host& host : network.hosts()) {
    for (Host& peer : network.hosts()) {
      if (host.index == peer.index || !(host.fixed || peer.fixed)) continue;
      PeerConfig config;
      const bool calls = peer.fixed || random.chance(30);
      if (calls) config.endpoints = home_of(peer.index);
      if (!character.one_policy && random.chance(50)) config.policy = control::Policy::backup;
      // Both sides have it or neither has; the lower one says.
      const auto other_way = peer.configured.find(host.index);
      config.keyed = other_way == peer.configured.end() ? random.chance(30) : other_way->second.keyed;
      if (config.keyed) host.key_files.files[SimNetwork::key_file(peer.index)] = 1;
      network.add_peer(host.index, peer.index, std::move(config));
      if (random.chance(30)) network.run_until(network.now() + milliseconds(random.below(500)));
    }
  }
}

HonestLinks give_links_away(SimNetwork& network, Attacker& attacker) {
  SimRandom& random = network.random;
  HonestLinks honest;
  for (uint32_t a = 0; a < network.hosts().size(); ++a) {
    for (uint32_t b = a + 1; b < network.hosts().size(); ++b) {
      const std::pair kept{static_cast<UplinkId>(random.below(uplinks_each)),
                           static_cast<UplinkId>(random.below(uplinks_each))};
      honest[{a, b}] = kept;
      network.note("HONEST h" + std::to_string(a) + "eth" + std::to_string(kept.first) + " - h" + std::to_string(b) +
                   "eth" + std::to_string(kept.second));
      const bool all_others = random.chance(60);
      for (UplinkId i = 0; i < uplinks_each; ++i) {
        for (UplinkId j = 0; j < uplinks_each; ++j) {
          if (std::pair{i, j} == kept) continue;
          if (all_others || random.chance(70)) attacker.own(network.link_index(a, i, b, j));
          if (all_others || random.chance(70)) attacker.own(network.link_index(b, j, a, i));
        }
      }
    }
  }
  return honest;
}

}  // namespace centipede::sim
