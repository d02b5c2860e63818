#include "dataplane/bpf_object.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <centipede.skel.h>
#include <centipede/abi.h>

#include <array>
#include <utility>

#include "dataplane/bpf_log.h"

namespace centipede {

void BpfObject::Destroy::operator()(centipede_bpf* skeleton) const {
  centipede_bpf__destroy(skeleton);
}

Result<BpfObject> BpfObject::load(const BpfMapSizes& sizes) {
  const BpfLog log;
  centipede_bpf* skeleton = centipede_bpf__open();
  if (skeleton == nullptr) return std::unexpected(log.error("opening the XDP program", errno));
  BpfObject object(skeleton);
  const std::array<std::pair<bpf_map*, uint64_t>, 5> sized{{
      {skeleton->maps.windows, sizes.window_words},
      {skeleton->maps.sessions, sizes.max_sessions},
      {skeleton->maps.calls, sizes.max_calls},
      {skeleton->maps.xsks, sizes.xsk_slots},
      {skeleton->maps.session_counters, uint64_t{sizes.counted_sessions} * CP_MAX_UPLINKS},
  }};
  for (const auto& [map, entries] : sized) {
    if (entries == 0 || entries > UINT32_MAX)
      return fail(std::string("the map ") + bpf_map__name(map) + " cannot have " + std::to_string(entries) +
                  " entries");
    if (const int code = bpf_map__set_max_entries(map, static_cast<uint32_t>(entries)); code != 0)
      return std::unexpected(log.error(std::string("sizing the map ") + bpf_map__name(map), code));
  }
  if (const int code = centipede_bpf__load(skeleton); code != 0) {
    Error error = log.error("loading the XDP program", code);
    if (error.code == EPERM) error.text += ": it needs CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN";
    return std::unexpected(std::move(error));
  }
  return object;
}

Result<BpfObject> BpfObject::twin() const {
  const BpfLog log;
  centipede_bpf* skeleton = centipede_bpf__open();
  if (skeleton == nullptr) return std::unexpected(log.error("opening the XDP program", errno));
  BpfObject object(skeleton);
  bpf_program__set_autoload(skeleton->progs.centipede_udp, false);
  const auto& from = skeleton_->maps;
  const auto& to = skeleton->maps;
  const std::array<std::pair<bpf_map*, bpf_map*>, 11> shared{{{to.uplinks, from.uplinks},
                                                              {to.addresses, from.addresses},
                                                              {to.sessions, from.sessions},
                                                              {to.windows, from.windows},
                                                              {to.xsks, from.xsks},
                                                              {to.counters, from.counters},
                                                              {to.session_counters, from.session_counters},
                                                              {to.shield, from.shield},
                                                              {to.calls, from.calls},
                                                              {to.sources, from.sources},
                                                              {to.unproven, from.unproven}}};
  for (const auto& [map, original] : shared)
    if (const int code = bpf_map__reuse_fd(map, bpf_map__fd(original)); code != 0)
      return std::unexpected(log.error(std::string("sharing the map ") + bpf_map__name(map), code));
  return object;
}

bpf_object* BpfObject::object() const {
  return skeleton_->obj;
}
bpf_program* BpfObject::program() const {
  return skeleton_->progs.centipede_xdp;
}
int BpfObject::program_fd() const {
  return bpf_program__fd(skeleton_->progs.centipede_xdp);
}

int BpfObject::socket_filter_fd() const {
  return bpf_program__fd(skeleton_->progs.centipede_udp);
}

BpfMapFds BpfObject::maps() const {
  const auto& maps = skeleton_->maps;
  return {.uplinks = bpf_map__fd(maps.uplinks),
          .addresses = bpf_map__fd(maps.addresses),
          .sessions = bpf_map__fd(maps.sessions),
          .windows = bpf_map__fd(maps.windows),
          .xsks = bpf_map__fd(maps.xsks),
          .counters = bpf_map__fd(maps.counters),
          .session_counters = bpf_map__fd(maps.session_counters),
          .shield = bpf_map__fd(maps.shield),
          .calls = bpf_map__fd(maps.calls),
          .sources = bpf_map__fd(maps.sources),
          .unproven = bpf_map__fd(maps.unproven)};
}

}  // namespace centipede
