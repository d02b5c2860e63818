#include "dataplane/xdp.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <utility>
#include <vector>

namespace centipede {
namespace {

// Rows of a per-CPU array of structures made of __u64 alone.
template <class Row>
constexpr size_t fields = sizeof(Row) / sizeof(uint64_t);

Result<size_t> cpus() {
  const int count = libbpf_num_possible_cpus();
  if (count <= 0) return fail_system("counting the CPUs", -count);
  return static_cast<size_t>(count);
}

template <class Row>
Result<Row> sum_over_cpus(int map_fd, uint32_t key, const char* attempt) {
  const auto count = cpus();
  if (!count) return std::unexpected(count.error());
  std::vector<std::array<uint64_t, fields<Row>>> rows(*count);
  if (const int code = bpf_map_lookup_elem(map_fd, &key, rows.data()); code != 0) return fail_system(attempt, -code);
  std::array<uint64_t, fields<Row>> sum{};
  for (const auto& row : rows)
    for (size_t i = 0; i < row.size(); ++i)
      sum[i] += row[i];
  return std::bit_cast<Row>(sum);
}

Result<std::span<uint64_t>> map_words(int map_fd, uint32_t words, const char* attempt) {
  void* memory = mmap(nullptr, words * sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);
  if (memory == MAP_FAILED) return fail_system(attempt);
  return std::span(static_cast<uint64_t*>(memory), words);
}

cp_address key_of(const IpAddress& address) {
  cp_address key{};
  if (address.is_v4()) key.bytes[10] = key.bytes[11] = 0xff;
  std::ranges::copy(address.bytes(), std::end(key.bytes) - address.bytes().size());
  return key;
}

// After loading, for attachments of the tunnel's last process to go. Later there is nobody whose end is awaited.
constexpr std::chrono::milliseconds patience_with_the_dead(500);

}  // namespace

Result<std::unique_ptr<XdpProgram>> XdpProgram::load(const XdpSettings& settings) {
  auto object = BpfObject::load({.window_words = settings.window_words,
                                 .max_sessions = settings.max_sessions,
                                 .counted_sessions = settings.counted_sessions,
                                 .max_calls = settings.max_calls,
                                 .xsk_slots = settings.xsk_slots});
  if (!object) return std::unexpected(object.error());
  std::unique_ptr<XdpProgram> program(new XdpProgram(std::move(*object)));
  if (auto mapped = program->map_memory(settings.window_words); !mapped) return std::unexpected(mapped.error());
  if (auto pinned = program->pin(settings.tunnel); !pinned) {
    program->pins_.reset();
    program->pin_problem_ = "the maps are not pinned: " + pinned.error().text;
  }
  program->dispatcher_ = centipede::dispatcher_possible(program->object_);
  return program;
}

XdpProgram::~XdpProgram() {
  for (const std::span<uint64_t> words : {windows_, uplinks_})
    if (!words.empty()) munmap(words.data(), words.size_bytes());
}

Result<void> XdpProgram::map_memory(uint32_t window_words) {
  auto windows = map_words(object_.maps().windows, window_words, "mapping the replay windows into memory");
  if (!windows) return std::unexpected(windows.error());
  windows_ = *windows;
  auto uplinks = map_words(object_.maps().uplinks, CP_MAX_UPLINKS, "mapping the table of uplinks into memory");
  if (!uplinks) return std::unexpected(uplinks.error());
  uplinks_ = *uplinks;
  return {};
}

Result<void> XdpProgram::pin(const std::string& tunnel) {
  auto pins = TunnelPins::create(tunnel);
  if (!pins) return std::unexpected(pins.error());
  pins_.emplace(std::move(*pins));
  const BpfMapFds maps = object_.maps();
  // Not the shield: it holds secrets.
  const std::array<std::pair<const char*, int>, 10> named{{{"uplinks", maps.uplinks},
                                                           {"addresses", maps.addresses},
                                                           {"sessions", maps.sessions},
                                                           {"windows", maps.windows},
                                                           {"xsks", maps.xsks},
                                                           {"counters", maps.counters},
                                                           {"session_counters", maps.session_counters},
                                                           {"calls", maps.calls},
                                                           {"sources", maps.sources},
                                                           {"unproven", maps.unproven}}};
  for (const auto& [name, fd] : named)
    if (auto pinned = pins_->pin_map(name, fd); !pinned) return pinned;
  return {};
}

Result<XdpAttachment> XdpProgram::attach(unsigned ifindex) {
  return XdpAttachment::attach({.object = object_,
                                .dispatcher = dispatcher_,
                                .pin_directory = pin_directory(),
                                .patience = loaded_ + patience_with_the_dead},
                               ifindex);
}

void XdpProgram::put_uplink(uint32_t row, const cp_uplink& uplink) {
  std::atomic_ref(uplinks_[row]).store(std::bit_cast<uint64_t>(uplink), std::memory_order_release);
}

Result<void> XdpProgram::set_addresses(const std::set<IpAddress>& addresses) {
  std::erase_if(addresses_, [&](const IpAddress& listed) {
    if (addresses.contains(listed)) return false;
    const cp_address key = key_of(listed);
    (void)bpf_map_delete_elem(object_.maps().addresses, &key);
    return true;
  });
  Result<void> outcome;
  for (const IpAddress& address : addresses) {
    if (addresses_.contains(address)) continue;
    const cp_address key = key_of(address);
    const uint32_t value = 0;
    if (const int code = bpf_map_update_elem(object_.maps().addresses, &key, &value, BPF_ANY); code != 0)
      outcome = fail_system("putting " + address.text() + " into the map of addresses", -code);
    else
      addresses_.insert(address);
  }
  return outcome;
}

Result<void> XdpProgram::put_session(uint64_t sid, const cp_session& session) {
  if (const int code = bpf_map_update_elem(object_.maps().sessions, &sid, &session, BPF_ANY); code != 0)
    return fail_system("putting a session into the map of sessions", -code);
  return {};
}

void XdpProgram::erase_session(uint64_t sid) {
  (void)bpf_map_delete_elem(object_.maps().sessions, &sid);
}

Result<void> XdpProgram::put_shield(const cp_shield& shield) {
  const uint32_t key = 0;
  if (const int code = bpf_map_update_elem(object_.maps().shield, &key, &shield, BPF_ANY); code != 0)
    return fail_system("writing the shield's keys and rates", -code);
  return {};
}

Result<void> XdpProgram::put_call(uint64_t sid) {
  const uint32_t value = 0;
  if (const int code = bpf_map_update_elem(object_.maps().calls, &sid, &value, BPF_ANY); code != 0)
    return fail_system("putting a call into the map of calls", -code);
  return {};
}

void XdpProgram::erase_call(uint64_t sid) {
  (void)bpf_map_delete_elem(object_.maps().calls, &sid);
}

Result<cp_counters> XdpProgram::counters(uint32_t uplink_index) const {
  return sum_over_cpus<cp_counters>(object_.maps().counters, uplink_index, "reading the XDP program's counters");
}

Result<cp_session_counters> XdpProgram::session_counters(uint32_t counter_slot, uint32_t uplink_index) const {
  return sum_over_cpus<cp_session_counters>(
      object_.maps().session_counters, counter_slot * CP_MAX_UPLINKS + uplink_index, "reading a session's counters");
}

Result<void> XdpProgram::clear_counters(uint32_t uplink_index) {
  const auto count = cpus();
  if (!count) return std::unexpected(count.error());
  const std::vector<cp_counters> zero(*count);
  if (const int code = bpf_map_update_elem(object_.maps().counters, &uplink_index, zero.data(), BPF_ANY); code != 0)
    return fail_system("clearing an uplink's counters", -code);
  return {};
}

Result<void> XdpProgram::clear_session_counters(uint32_t counter_slot) {
  const auto count = cpus();
  if (!count) return std::unexpected(count.error());
  const std::vector<cp_session_counters> zero(*count);
  for (uint32_t uplink = 0; uplink < CP_MAX_UPLINKS; ++uplink) {
    const uint32_t key = counter_slot * CP_MAX_UPLINKS + uplink;
    if (const int code = bpf_map_update_elem(object_.maps().session_counters, &key, zero.data(), BPF_ANY); code != 0)
      return fail_system("clearing a session's counters", -code);
  }
  return {};
}

}  // namespace centipede
