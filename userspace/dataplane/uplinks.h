// The table of uplinks: which devices the tunnel is to use, which of them exist now, and the UplinkIo of each. It
// follows the kernel's links and addresses: a device that vanishes loses its UplinkIo, one that appears (again) gets a
// new one, and the controller is told of every change, the XDP program of every address. Nothing here takes more than
// the one uplink it concerns. Threading: the control thread.
//
// Which devices: those that the settings name have a row each, there or not. The devices that patterns take
// (uplink_selection.h) get the rows that are left, and have them while they exist. Loopback and TUN devices, which
// tunnels like this one are made of, match no pattern. Who finds no row is told of once, and joins when one is free.
#pragma once

#include <centipede/abi.h>

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "control/settings.h"
#include "dataplane/netlink.h"
#include "dataplane/tunnel_config.h"
#include "dataplane/tunnel_status.h"
#include "dataplane/uplink_io.h"

namespace centipede {

// Why nothing can be sent over a device in this state, whatever the settings; empty: it can be tried.
[[nodiscard]] std::string why_unusable(const std::string& device, const std::optional<LinkState>& link);

class Uplinks {
 public:
  struct Setup {
    uint16_t port = 0;
    unsigned workers = 1;
    ReceiveMode mode = ReceiveMode::automatic;
    unsigned busy_poll_us = 0;
    uint32_t mark = 0;  // SO_MARK of what is sent
    XdpProgram* program = nullptr;
    std::string no_program_reason;
  };
  struct Line {
    std::string device;  // empty: about none alone
    std::string text;    // names it too
  };
  // What has changed since the last call.
  struct Changes {
    std::vector<control::Uplink> updated;
    std::vector<control::UplinkId> removed;
    std::vector<Line> log;
    bool sockets = false;  // an UplinkIo came or went: publish a plan
  };
  using SocketTable = std::array<std::shared_ptr<UplinkIo>, CP_MAX_UPLINKS>;

  explicit Uplinks(const Setup& setup) : setup_(setup) {}
  ~Uplinks();
  Uplinks(const Uplinks&) = delete;
  Uplinks& operator=(const Uplinks&) = delete;

  // What is wanted from now on, already judged by check_uplinks(). A device that is wanted before and after keeps its
  // row and its UplinkIo. One that does not exist or cannot be opened joins when that changes: problem() tells.
  void set_wanted(std::vector<UplinkSettings> wanted, std::vector<std::string> excluded, Netlink& netlink, Instant now);

  // Compares every device with the kernel's tables.
  void refresh(Netlink& netlink, Instant now);

  // Has a row.
  [[nodiscard]] bool attached(std::string_view device) const { return find(device) != nullptr; }
  // Why nothing can be sent over it; empty: it has its sockets.
  [[nodiscard]] std::string problem(std::string_view device) const;
  // When a device that could not be opened wants another try; `never` if none does.
  [[nodiscard]] Instant next_retry() const;

  [[nodiscard]] Changes take_changes();
  [[nodiscard]] SocketTable sockets() const;
  [[nodiscard]] UplinkIo* io(control::UplinkId id) const {
    return id < slots_.size() && slots_[id] ? slots_[id]->io.get() : nullptr;
  }
  [[nodiscard]] std::vector<UplinkStatus> status() const;
  // Those that can send now.
  [[nodiscard]] std::vector<std::string> usable_devices() const;
  // Of the devices that are there; 0: none.
  [[nodiscard]] unsigned smallest_mtu() const;

 private:
  struct Slot {
    control::Uplink shown;  // as the controller knows it
    uint32_t priority = 0;  // as it shall know it
    bool metered = false;
    uint64_t rate_bps = 0;
    std::string pattern;  // that took it; empty: it was named
    std::shared_ptr<UplinkIo> io;
    unsigned mtu = 0;
    std::string problem;  // why there is no io though the device is there
    Instant retry_at = never;
    Duration retry_after = milliseconds(100);
  };
  // A device, and the entry of wanted_ that takes it.
  struct Choice {
    std::string device;
    size_t entry;
  };
  [[nodiscard]] const Slot* find(std::string_view device) const;
  [[nodiscard]] std::vector<Choice> choose(Netlink& netlink);
  void append_matching(std::vector<Choice>& chosen, const std::vector<DeviceName>& devices) const;
  void tell_left_out(const std::vector<Choice>& chosen, size_t kept);
  void select(Netlink& netlink);
  void drop(std::optional<Slot>& slot, const std::string& why);
  void apply_settings(Slot& slot, size_t entry) const;
  void refresh(Slot& slot, Netlink& netlink, Instant now);
  void open(Slot& slot, const LinkState& link, Instant now);
  void close(Slot& slot);
  void show(Slot& slot, const LinkState* link);
  void list_addresses();
  void tell(const std::string& device, const std::string& what);

  Setup setup_;
  std::vector<UplinkSettings> wanted_;
  std::vector<std::string> excluded_;
  std::set<std::string> left_out_;  // told of already
  std::string list_problem_;        // why the kernel's devices are not known
  std::array<std::optional<Slot>, CP_MAX_UPLINKS> slots_;
  Changes changes_;
  std::string address_problem_;  // why the XDP program does not know all addresses
};

}  // namespace centipede
