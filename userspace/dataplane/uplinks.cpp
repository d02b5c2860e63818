#include "dataplane/uplinks.h"

#include <algorithm>
#include <set>
#include <utility>

namespace centipede {
namespace {

constexpr Duration retry_min = milliseconds(100);
constexpr Duration retry_max = seconds(5);

}  // namespace

Uplinks::~Uplinks() {
  for (auto& slot : slots_) {
    if (slot) close(*slot);
  }
}

Result<void> Uplinks::add(std::string_view name, bool must_exist, Netlink& netlink, Instant now) {
  for (const auto& slot : slots_) {
    if (slot && slot->shown.name == name) return fail("uplink " + std::string(name) + " is attached already");
  }
  const auto free = std::ranges::find_if(slots_, [](const auto& slot) { return !slot.has_value(); });
  if (free == slots_.end()) return fail("a tunnel has at most " + std::to_string(CP_MAX_UPLINKS) + " uplinks");
  const auto id = static_cast<control::UplinkId>(free - slots_.begin());
  free->emplace(Slot{});
  Slot& slot = **free;
  slot.shown = {.id = id, .name = std::string(name), .priority = id};
  slot.retry_after = retry_min;
  refresh(slot, netlink, now);
  if (must_exist && !slot.io) {
    const std::string problem = slot.problem;
    free->reset();
    return fail("uplink " + std::string(name) + ": " + problem);
  }
  list_addresses();
  return {};
}

Result<void> Uplinks::remove(std::string_view name) {
  for (auto& slot : slots_) {
    if (!slot || slot->shown.name != name) continue;
    close(*slot);
    std::erase_if(changes_.updated, [&](const control::Uplink& uplink) { return uplink.id == slot->shown.id; });
    changes_.removed.push_back(slot->shown.id);
    changes_.log.push_back("uplink " + slot->shown.name + ": detached");
    slot.reset();
    list_addresses();
    return {};
  }
  return fail("uplink " + std::string(name) + " is not attached");
}

void Uplinks::refresh(Netlink& netlink, Instant now) {
  for (auto& slot : slots_) {
    if (slot) refresh(*slot, netlink, now);
  }
  list_addresses();
}

// One that two uplinks have stays until neither has it.
void Uplinks::list_addresses() {
  if (setup_.program == nullptr) return;
  std::set<IpAddress> all;
  for (const auto& slot : slots_) {
    if (slot) all.insert(slot->shown.addresses.begin(), slot->shown.addresses.end());
  }
  const auto listed = setup_.program->set_addresses(all);
  std::string problem = listed ? std::string() : listed.error().text + ": what comes for it is judged in user space";
  if (!problem.empty() && address_problem_.empty()) changes_.log.push_back(problem);
  address_problem_ = std::move(problem);
}

void Uplinks::refresh(Slot& slot, Netlink& netlink, Instant now) {
  const auto found = netlink.link(slot.shown.name);
  if (!found) {
    slot.problem = found.error().text;
    return;
  }
  const LinkState* link = *found ? &**found : nullptr;
  if (slot.io && (link == nullptr || !link->up || link->ifindex != slot.io->ifindex())) {
    close(slot);
    slot.retry_at = never;
    slot.retry_after = retry_min;
  }
  if (link == nullptr) {
    slot.problem = "there is no such device";
    slot.retry_at = never;
  } else if (!link->up) {
    slot.problem = "the device is down (ip link set " + slot.shown.name + " up)";
    slot.retry_at = never;
  } else if (!slot.io && (slot.retry_at == never || now >= slot.retry_at)) {
    open(slot, *link, now);
  }
  slot.mtu = link == nullptr ? 0 : link->mtu;
  show(slot, slot.io ? link : nullptr);
}

void Uplinks::open(Slot& slot, const LinkState& link, Instant now) {
  auto io = UplinkIo::open({.id = slot.shown.id,
                            .link = link,
                            .port = setup_.port,
                            .workers = setup_.workers,
                            .mode = setup_.mode,
                            .busy_poll_us = setup_.busy_poll_us,
                            .program = setup_.program,
                            .no_program_reason = setup_.no_program_reason});
  if (!io) {
    // A device that has just come back may still be held by sockets that the workers have not let go of.
    if (slot.problem != io.error().text) changes_.log.push_back("uplink " + slot.shown.name + ": " + io.error().text);
    slot.problem = io.error().text;
    slot.retry_at = now + slot.retry_after;
    slot.retry_after = std::min(slot.retry_after * 2, retry_max);
    return;
  }
  slot.io = std::move(*io);
  slot.problem.clear();
  slot.retry_at = never;
  slot.retry_after = retry_min;
  changes_.sockets = true;
  const std::string& reason = slot.io->reason();
  changes_.log.push_back("uplink " + slot.shown.name + ": receives through " + slot.io->mode() +
                         (reason.empty() ? "" : " (" + reason + ")"));
}

void Uplinks::close(Slot& slot) {
  if (!slot.io) return;
  slot.io->detach_xdp();
  slot.io.reset();
  changes_.sockets = true;
}

void Uplinks::show(Slot& slot, const LinkState* link) {
  control::Uplink next = slot.shown;
  next.usable = link != nullptr && link->up && link->carrier;
  next.addresses = link == nullptr ? std::vector<IpAddress>{} : link->addresses;
  if (next.usable == slot.shown.usable && next.addresses == slot.shown.addresses) return;
  std::string line = "uplink " + next.name + ": " + (next.usable ? "usable" : "not usable");
  for (const IpAddress& address : next.addresses)
    line += " " + address.text();
  changes_.log.push_back(std::move(line));
  slot.shown = next;
  std::erase_if(changes_.updated, [&](const control::Uplink& uplink) { return uplink.id == next.id; });
  changes_.updated.push_back(std::move(next));
}

Instant Uplinks::next_retry() const {
  Instant next = never;
  for (const auto& slot : slots_) {
    if (slot && !slot->io) next = std::min(next, slot->retry_at);
  }
  return next;
}

Uplinks::Changes Uplinks::take_changes() {
  return std::exchange(changes_, {});
}

Uplinks::SocketTable Uplinks::sockets() const {
  SocketTable table;
  for (size_t id = 0; id < slots_.size(); ++id) {
    if (slots_[id]) table[id] = slots_[id]->io;
  }
  return table;
}

std::vector<UplinkStatus> Uplinks::status() const {
  std::vector<UplinkStatus> all;
  for (const auto& slot : slots_) {
    if (!slot) continue;
    UplinkStatus status{.id = slot->shown.id,
                        .name = slot->shown.name,
                        .usable = slot->shown.usable,
                        .addresses = slot->shown.addresses,
                        .reason = slot->problem};
    if (slot->io) slot->io->fill_status(status);
    all.push_back(std::move(status));
  }
  return all;
}

unsigned Uplinks::smallest_mtu() const {
  unsigned smallest = 0;
  for (const auto& slot : slots_) {
    if (slot && slot->mtu != 0 && (smallest == 0 || slot->mtu < smallest)) smallest = slot->mtu;
  }
  return smallest;
}

}  // namespace centipede
