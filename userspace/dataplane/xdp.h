// The BPF programs of one tunnel, XDP and socket filter, with their maps: loads them, pins the maps but the one that
// holds secrets, maps the replay windows and the table of uplinks into memory, attaches it to devices and reads its
// counters. Where bpffs is not to be had the maps stay unpinned and pin_problem() says why. Ownership: maps and memory
// live as long as this object; windows() must not be used after it. Threading: the control thread alone, except
// windows(), whose words any worker may read and compare-and-swap.
#pragma once

#include <centipede/abi.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>

#include "base/address.h"
#include "base/result.h"
#include "dataplane/bpf_object.h"
#include "dataplane/bpffs.h"
#include "dataplane/xdp_attachment.h"

namespace centipede {

struct XdpSettings {
  std::string tunnel = "cp0";
  uint32_t window_words = 0;  // of all sessions and lanes together
  uint32_t max_sessions = 1024;
  uint32_t counted_sessions = 1024;  // session counter slots
  uint32_t max_calls = 1024;         // initiations under way
  uint32_t xsk_slots = 0;            // above every cp_xsk_slot() in use
};

class XdpProgram {
 public:
  // Removes what a dead daemon of the same tunnel left behind first.
  [[nodiscard]] static Result<std::unique_ptr<XdpProgram>> load(const XdpSettings& settings);
  XdpProgram(const XdpProgram&) = delete;
  XdpProgram& operator=(const XdpProgram&) = delete;
  ~XdpProgram();

  [[nodiscard]] Result<XdpAttachment> attach(unsigned ifindex);

  // In one step: a program that runs meanwhile finds the row as it was or as it is now. row: below CP_MAX_UPLINKS.
  void put_uplink(uint32_t row, const cp_uplink& uplink);
  void erase_uplink(uint32_t row) { put_uplink(row, {}); }
  // The uplinks' own addresses, all of them: others' datagrams pass. An error when there is no room for some: what
  // comes for those passes too.
  [[nodiscard]] Result<void> set_addresses(const std::set<IpAddress>& addresses);
  // For a new uplink in a row that another one had.
  [[nodiscard]] Result<void> clear_counters(uint32_t uplink_index);
  // The caller zeroes the session's windows, and its counters (clear_session_counters), before it puts the session in.
  [[nodiscard]] Result<void> put_session(uint64_t sid, const cp_session& session);
  void erase_session(uint64_t sid);

  // Before the first one, every handshake datagram passes. Both secrets count at once, so neither may be left zero.
  [[nodiscard]] Result<void> put_shield(const cp_shield& shield);
  // An initiation of ours under way.
  [[nodiscard]] Result<void> put_call(uint64_t sid);
  void erase_call(uint64_t sid);

  // Summed over the CPUs. Row CP_MAX_UPLINKS: frames from devices that are no uplink.
  [[nodiscard]] Result<cp_counters> counters(uint32_t uplink_index) const;
  [[nodiscard]] Result<cp_session_counters> session_counters(uint32_t counter_slot, uint32_t uplink_index) const;
  [[nodiscard]] Result<void> clear_session_counters(uint32_t counter_slot);

  // One word as in cp_window_word: generation << 32 | bits.
  [[nodiscard]] std::span<uint64_t> windows() const { return windows_; }
  [[nodiscard]] int program_fd() const { return object_.program_fd(); }
  // The early drop of the UDP sockets (bpf/socket_filter.h); needs an uplink's entry, no attachment.
  [[nodiscard]] int socket_filter_fd() const { return object_.socket_filter_fd(); }
  [[nodiscard]] int xsks_fd() const { return object_.maps().xsks; }
  [[nodiscard]] bool dispatcher_possible() const { return dispatcher_; }
  // "/sys/fs/bpf/centipede/cp0", or empty.
  [[nodiscard]] std::string pin_directory() const { return pins_ ? pins_->path() : std::string(); }
  [[nodiscard]] const std::string& pin_problem() const { return pin_problem_; }

 private:
  explicit XdpProgram(BpfObject object) : object_(std::move(object)) {}
  [[nodiscard]] Result<void> pin(const std::string& tunnel);
  [[nodiscard]] Result<void> map_memory(uint32_t window_words);

  BpfObject object_;
  std::set<IpAddress> addresses_;  // in the map
  std::optional<TunnelPins> pins_;
  std::string pin_problem_;
  bool dispatcher_ = false;
  std::chrono::steady_clock::time_point loaded_ = std::chrono::steady_clock::now();
  std::span<uint64_t> windows_;
  std::span<uint64_t> uplinks_;  // one cp_uplink each
};

}  // namespace centipede
