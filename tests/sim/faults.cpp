#include "faults.h"

#include <algorithm>

#include "build_network.h"

namespace centipede::sim {

using control::Uplink;
using control::UplinkId;

void Faults::inject() {
  const uint64_t dice = random().below(100);
  if (dice < 35)
    worsen_links();
  else if (dice < 48)
    isolate(any_host());
  else if (dice < 58)
    lose_carrier(any_host());
  else if (dice < 72)
    change_uplink(any_host());
  else if (dice < 86)
    restart(any_host());
  else if (dice < 95)
    jump_clock(any_host());
  else
    replace_key(any_host());
}

void Faults::set_quality(SimNetwork::Link& link, bool bad) {
  emulator::LinkSettings settings;
  settings.delay = milliseconds(1 + random().below(bad ? 300 : 60));
  settings.jitter = milliseconds(random().below(bad ? 100 : 5));
  settings.allow_reorder = random().chance(50);
  if (bad) {
    settings.loss = static_cast<double>(random().below(60)) / 100;
    settings.duplicate = random().chance(50) ? 0.2 : 0;
    settings.reorder = random().chance(50) ? 0.2 : 0;
    settings.corrupt = random().chance(30) ? 0.1 : 0;
    settings.corrupt_offset = 8;  // behind the envelope
    settings.down = random().chance(25);
  }
  network_.configure(link, settings);
}

void Faults::worsen_links() {
  network_.note("FAULT some links change");
  for (SimNetwork::Link& link : network_.links())
    if (random().chance(40)) set_quality(link, random().chance(70));
}

void Faults::isolate(uint32_t host) {
  const bool both = random().chance(50);
  network_.note("FAULT host " + std::to_string(host) + (both ? " is cut off" : " is cut off in one direction"));
  for (SimNetwork::Link& link : network_.links()) {
    if (link.from != host && !(both && link.to == host)) continue;
    emulator::LinkSettings settings = link.model.settings();
    settings.down = true;
    network_.configure(link, settings);
  }
}

void Faults::lose_carrier(uint32_t host) {
  const auto known = network_.host(host).uplinks.find(any_uplink());
  if (known == network_.host(host).uplinks.end()) return;
  Uplink uplink = known->second;
  uplink.usable = !uplink.usable;
  network_.note("FAULT " + uplink.name + (uplink.usable ? " has carrier" : " loses carrier"));
  network_.set_uplink(host, uplink);
}

void Faults::change_uplink(uint32_t index) {
  const UplinkId id = any_uplink();
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

void Faults::restart(uint32_t index) {
  const bool goodbye = random().chance(40);
  network_.note("FAULT host " + std::to_string(index) + " restarts" + (goodbye ? " after a goodbye" : ""));
  network_.restart(index, goodbye);
}

void Faults::jump_clock(uint32_t index) {
  Host& host = network_.host(index);
  auto days = static_cast<int64_t>(random().below(730)) - 365;
  if (host.clock_bound) days = std::abs(days);
  host.wall_offset_ns += days * 86'400 * 1'000'000'000;
  host.furthest_wall_offset_ns = std::max(host.furthest_wall_offset_ns, host.wall_offset_ns);
  network_.note("FAULT clock of host " + std::to_string(index) + " jumps by " + std::to_string(days) + " days");
}

// On one side; the other one follows at the latest when peace comes.
void Faults::replace_key(uint32_t index) {
  KeyFiles& keys = network_.host(index).key_files;
  for (auto& [path, key] : keys.files) {
    if (random().chance(50)) continue;
    network_.note("FAULT host " + std::to_string(index) + " has another " + path);
    key = static_cast<uint8_t>(1 + random().below(3));
  }
}

void Faults::make_peace() {
  network_.note("PEACE");
  for (SimNetwork::Link& link : network_.links())
    set_quality(link, false);
  for (Host& host : network_.hosts())
    for (auto& [path, key] : host.key_files.files)
      key = 1;
  for (Host& host : network_.hosts()) {
    for (UplinkId id = 0; id < uplinks_each; ++id) {
      const auto known = host.uplinks.find(id);
      const auto has_v4 = [](const Uplink& uplink) { return std::ranges::any_of(uplink.addresses, &IpAddress::is_v4); };
      // Half of the time nobody is told that anything got better.
      if (known != host.uplinks.end() && known->second.usable && has_v4(known->second)) continue;
      network_.set_uplink(host.index, home_uplink(host.index, id));
    }
  }
}

}  // namespace centipede::sim
