// The table of uplinks: which devices the tunnel is to use, which of them exist now, and the UplinkIo of each. It
// follows the kernel's links and addresses: a device that vanishes loses its UplinkIo, one that appears (again) gets a
// new one, and the controller is told of every change, the XDP program of every address. Nothing here takes more than
// the one uplink it concerns. Threading: the control thread.
#pragma once

#include <centipede/abi.h>

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "control/settings.h"
#include "dataplane/netlink.h"
#include "dataplane/tunnel_status.h"
#include "dataplane/uplink_io.h"

namespace centipede {

class Uplinks {
 public:
  struct Setup {
    uint16_t port = 0;
    unsigned workers = 1;
    ReceiveMode mode = ReceiveMode::automatic;
    unsigned busy_poll_us = 0;
    XdpProgram* program = nullptr;
    std::string no_program_reason;
  };
  // What has changed since the last call.
  struct Changes {
    std::vector<control::Uplink> updated;
    std::vector<control::UplinkId> removed;
    std::vector<std::string> log;  // one line each
    bool sockets = false;          // an UplinkIo came or went: publish a plan
  };
  using SocketTable = std::array<std::shared_ptr<UplinkIo>, CP_MAX_UPLINKS>;

  explicit Uplinks(const Setup& setup) : setup_(setup) {}
  ~Uplinks();
  Uplinks(const Uplinks&) = delete;
  Uplinks& operator=(const Uplinks&) = delete;

  // Wants a device, which need not exist yet when `must_exist` is false. Fails on a name that is in the table already
  // and on a table that is full; with must_exist also on a device that is missing or cannot be opened now.
  Result<void> add(std::string_view name, bool must_exist, Netlink& netlink, Instant now);
  Result<void> remove(std::string_view name);

  // Compares every wanted device with the kernel's tables.
  void refresh(Netlink& netlink, Instant now);
  // When a device that could not be opened wants another try; `never` if none does.
  [[nodiscard]] Instant next_retry() const;

  [[nodiscard]] Changes take_changes();
  [[nodiscard]] SocketTable sockets() const;
  [[nodiscard]] UplinkIo* io(control::UplinkId id) const {
    return id < slots_.size() && slots_[id] ? slots_[id]->io.get() : nullptr;
  }
  [[nodiscard]] std::vector<UplinkStatus> status() const;
  // Of the devices that are there; 0: none.
  [[nodiscard]] unsigned smallest_mtu() const;

 private:
  struct Slot {
    control::Uplink shown;  // as the controller knows it
    std::shared_ptr<UplinkIo> io;
    unsigned mtu = 0;
    std::string problem;  // why there is no io though the device is there
    Instant retry_at = never;
    Duration retry_after = milliseconds(100);
  };
  void refresh(Slot& slot, Netlink& netlink, Instant now);
  void open(Slot& slot, const LinkState& link, Instant now);
  void close(Slot& slot);
  void show(Slot& slot, const LinkState* link);
  void list_addresses();

  Setup setup_;
  std::array<std::optional<Slot>, CP_MAX_UPLINKS> slots_;
  Changes changes_;
  std::string address_problem_;  // why the XDP program does not know all addresses
};

}  // namespace centipede
