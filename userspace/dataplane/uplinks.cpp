#include "dataplane/uplinks.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

#include "dataplane/setting_texts.h"
#include "dataplane/uplink_selection.h"

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

void Uplinks::set_wanted(std::vector<UplinkSettings> wanted, std::vector<std::string> excluded, Netlink& netlink,
                         Instant now) {
  wanted_ = std::move(wanted);
  excluded_ = std::move(excluded);
  refresh(netlink, now);
}

void Uplinks::refresh(Netlink& netlink, Instant now) {
  select(netlink);
  for (auto& slot : slots_) {
    if (slot) refresh(*slot, netlink, now);
  }
  list_addresses();
}

const Uplinks::Slot* Uplinks::find(std::string_view device) const {
  const auto found =
      std::ranges::find_if(slots_, [&](const auto& slot) { return slot.has_value() && slot->shown.name == device; });
  return found != slots_.end() ? &**found : nullptr;
}

std::string Uplinks::problem(std::string_view device) const {
  const Slot* slot = find(device);
  return slot == nullptr ? "it is not attached" : slot->io ? std::string() : slot->problem;
}

// Every device that is wanted, whether there is room for it or not: the named ones first, in their order.
std::vector<Uplinks::Choice> Uplinks::choose(Netlink& netlink) {
  std::vector<Choice> chosen;
  for (size_t entry = 0; entry < wanted_.size(); ++entry) {
    if (!is_pattern(wanted_[entry].name)) chosen.push_back({wanted_[entry].name, entry});
  }
  if (chosen.size() == wanted_.size()) return chosen;
  const auto devices = netlink.devices();
  if (devices) {
    list_problem_.clear();
    append_matching(chosen, *devices);
    return chosen;
  }
  if (list_problem_ != devices.error().text)
    changes_.log.push_back({"", devices.error().text + ": patterns find nothing new"});
  list_problem_ = devices.error().text;
  for (const auto& slot : slots_) {
    if (!slot || slot->pattern.empty()) continue;
    const UplinkSettings* entry = entry_for(wanted_, excluded_, slot->shown.name);
    if (entry != nullptr) chosen.push_back({slot->shown.name, static_cast<size_t>(entry - wanted_.data())});
  }
  return chosen;
}

// One that is down joins once it is up; what has a row keeps it unless another has more use for it.
void Uplinks::append_matching(std::vector<Choice>& chosen, const std::vector<DeviceName>& devices) const {
  struct Candidate {
    bool down;
    bool is_new;
    int ifindex;
    Choice choice;
  };
  std::vector<Candidate> candidates;
  for (const DeviceName& device : devices) {
    if (device.loopback || device.tun || !valid_device_name(device.name)) continue;
    const UplinkSettings* entry = entry_for(wanted_, excluded_, device.name);
    if (entry == nullptr || entry->name == device.name) continue;
    const bool is_new = find(device.name) == nullptr;
    if (!device.up && is_new) continue;
    candidates.push_back(
        {!device.up, is_new, device.ifindex, {device.name, static_cast<size_t>(entry - wanted_.data())}});
  }
  std::ranges::sort(candidates, {}, [](const auto& one) { return std::tuple(one.down, one.is_new, one.ifindex); });
  for (Candidate& candidate : candidates)
    chosen.push_back(std::move(candidate.choice));
}

void Uplinks::tell_left_out(const std::vector<Choice>& chosen, size_t kept) {
  std::set<std::string> now_left_out;
  for (size_t i = kept; i < chosen.size(); ++i) {
    if (!left_out_.contains(chosen[i].device)) {
      tell(chosen[i].device, "a tunnel has at most " + std::to_string(CP_MAX_UPLINKS) +
                                 "; it joins when another leaves (exclude_uplinks keeps devices out)");
    }
    now_left_out.insert(chosen[i].device);
  }
  left_out_ = std::move(now_left_out);
}

void Uplinks::select(Netlink& netlink) {
  std::vector<Choice> chosen = choose(netlink);
  const size_t kept = std::min(chosen.size(), slots_.size());
  tell_left_out(chosen, kept);
  chosen.resize(kept);
  for (auto& slot : slots_) {
    if (!slot) continue;
    const auto wanted = std::ranges::find(chosen, slot->shown.name, &Choice::device);
    if (wanted == chosen.end()) {
      const bool unwanted = entry_for(wanted_, excluded_, slot->shown.name) == nullptr;
      drop(slot, unwanted ? "detached" : left_out_.contains(slot->shown.name) ? "makes room" : "is gone");
    }
  }
  for (const Choice& choice : chosen) {
    auto row = std::ranges::find_if(
        slots_, [&](const auto& slot) { return slot.has_value() && slot->shown.name == choice.device; });
    if (row == slots_.end()) {
      row = std::ranges::find_if(slots_, [](const auto& slot) { return !slot.has_value(); });
      row->emplace(Slot{});
      (*row)->shown = {.id = static_cast<control::UplinkId>(row - slots_.begin()), .name = choice.device};
      (*row)->retry_after = retry_min;
    }
    apply_settings(**row, choice.entry);
  }
}

void Uplinks::apply_settings(Slot& slot, size_t entry) const {
  const UplinkSettings& settings = wanted_[entry];
  slot.priority = settings.priority.value_or(static_cast<uint32_t>(entry));
  slot.metered = settings.metered;
  slot.rate_bps = settings.rate_bps;
  slot.pattern = is_pattern(settings.name) ? settings.name : std::string();
}

void Uplinks::drop(std::optional<Slot>& slot, const std::string& why) {
  close(*slot);
  std::erase_if(changes_.updated, [&](const control::Uplink& uplink) { return uplink.id == slot->shown.id; });
  changes_.removed.push_back(slot->shown.id);
  tell(slot->shown.name, why);
  slot.reset();
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
  if (!problem.empty() && address_problem_.empty()) changes_.log.push_back({"", problem});
  address_problem_ = std::move(problem);
}

std::string why_unusable(const std::string& device, const std::optional<LinkState>& link) {
  if (!link) return "there is no such device";
  if (!link->up) return "the device is down (ip link set " + device + " up)";
  return {};
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
  if (std::string what = why_unusable(slot.shown.name, *found); !what.empty()) {
    slot.problem = std::move(what);
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
                            .mark = setup_.mark,
                            .program = setup_.program,
                            .no_program_reason = setup_.no_program_reason});
  if (!io) {
    // A device that has just come back may still be held by sockets that the workers have not let go of.
    if (slot.problem != io.error().text) tell(slot.shown.name, io.error().text);
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
  tell(slot.shown.name, "receives through " + slot.io->mode() + (reason.empty() ? "" : " (" + reason + ")"));
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
  next.priority = slot.priority;
  next.metered = slot.metered;
  const bool moved = next.usable != slot.shown.usable || next.addresses != slot.shown.addresses;
  if (!moved && next.priority == slot.shown.priority && next.metered == slot.shown.metered) return;
  if (moved) {
    std::string line = next.usable ? "usable" : "not usable";
    for (const IpAddress& address : next.addresses)
      line += " " + address.text();
    tell(next.name, line);
  }
  slot.shown = next;
  std::erase_if(changes_.updated, [&](const control::Uplink& uplink) { return uplink.id == next.id; });
  changes_.updated.push_back(std::move(next));
}

void Uplinks::tell(const std::string& device, const std::string& what) {
  changes_.log.push_back({device, "uplink " + device + ": " + what});
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

std::vector<std::string> Uplinks::usable_devices() const {
  std::vector<std::string> all;
  for (const auto& slot : slots_) {
    if (slot && slot->shown.usable && !slot->shown.addresses.empty()) all.push_back(slot->shown.name);
  }
  return all;
}

std::vector<UplinkStatus> Uplinks::status() const {
  std::vector<UplinkStatus> all;
  for (const auto& slot : slots_) {
    if (!slot) continue;
    UplinkStatus status{.id = slot->shown.id,
                        .name = slot->shown.name,
                        .usable = slot->shown.usable,
                        .priority = slot->priority,
                        .metered = slot->metered,
                        .rate_bps = slot->rate_bps,
                        .pattern = slot->pattern,
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
