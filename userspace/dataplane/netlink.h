// Links, addresses and routes through libnl-route-3: a snapshot on demand and a stream of changes. The kernel's tables
// are the truth; after every change the caller asks for the device's state again.
// Ownership: owns its sockets. Threading: one thread (the control thread); the network namespace is that of open().
// Errors: the text names the attempt and what the kernel said; the code is an errno value where there is an equal one.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/result.h"

namespace centipede {

struct LinkState {
  int ifindex = 0;
  std::string name;
  bool up = false;       // administratively
  bool carrier = false;  // IFF_LOWER_UP
  // A device on a bus (PCI, USB, virtio, ...) is behind it; false for one of software alone (veth, macvlan, bridge,
  // ...).
  bool hardware = false;
  unsigned mtu = 0;
  // Usable as a source: no tentative, deprecated or duplicate ones; IPv4 and global IPv6 (link-local left out).
  std::vector<IpAddress> addresses;
};

// A row of the kernel's list of devices.
struct DeviceName {
  int ifindex = 0;
  std::string name;
  bool up = false;  // administratively
  bool loopback = false;
  bool tun = false;  // a TUN device: the end of some tunnel
};

// The networks that stand for one in the routing table: itself, or the two halves of a default route.
[[nodiscard]] std::vector<Prefix> route_parts(const Prefix& network);

class Netlink {
 public:
  static Result<Netlink> open();
  Netlink(Netlink&&) noexcept;
  Netlink& operator=(Netlink&&) noexcept;
  ~Netlink();

  // Readable when link or address events wait. Poll it, then call drain_events(). An IPv6 address brings an event when
  // it is added and another when duplicate address detection has made it usable.
  [[nodiscard]] int event_fd() const;
  // Reads what waits; true when anything about links or addresses may have changed (also when events were lost).
  bool drain_events();

  // Nothing when there is no device of that name.
  Result<std::optional<LinkState>> link(std::string_view name);

  Result<std::vector<DeviceName>> devices();

  // An mtu of 0 leaves the device's MTU as it is.
  Result<void> set_link_up(int ifindex, unsigned mtu);
  // An address that is there already is no error. IPv6 addresses are added without duplicate address detection.
  Result<void> add_address(int ifindex, const Prefix& address);
  // scope link, metric default; replaces an equal route on the same device. A route that exists on another device is
  // an error that names it. The default route (length 0) is added as its two halves (length 1), which win over the
  // uplinks' own default routes without touching them. The tunnel's datagrams do not loop back into the tunnel: their
  // sockets are bound to an uplink, and a lookup for a bound socket sees only that device's routes.
  Result<void> add_route(int ifindex, const Prefix& network);
  // A route that is not there is no error.
  Result<void> remove_route(int ifindex, const Prefix& network);
  // Of a device that was configured before: removes its other addresses, but the link-local one that the kernel made,
  // and its routes of the kind that add_route() makes to other networks (route_parts() of what it was given).
  Result<void> remove_others(int ifindex, const std::vector<Prefix>& addresses, const std::set<Prefix>& networks);

 private:
  struct Impl;
  explicit Netlink(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace centipede
