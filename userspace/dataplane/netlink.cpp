#include "dataplane/netlink.h"

#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netlink/errno.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/route.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

namespace centipede {
namespace {

template <class T, void (*release)(T*)>
struct Release {
  void operator()(T* object) const { release(object); }
};
template <class T, void (*release)(T*)>
using Owned = std::unique_ptr<T, Release<T, release>>;

using Socket = Owned<nl_sock, nl_socket_free>;
using Cache = Owned<nl_cache, nl_cache_free>;
using Link = Owned<rtnl_link, rtnl_link_put>;
using LinkAddress = Owned<rtnl_addr, rtnl_addr_put>;
using Route = Owned<rtnl_route, rtnl_route_put>;
using Address = Owned<nl_addr, nl_addr_put>;

// libnl folds errno values into its own codes; these are the ones that callers tell apart.
int errno_of(int nl_error) {
  switch (nl_error < 0 ? -nl_error : nl_error) {
    case NLE_EXIST:
      return EEXIST;
    case NLE_NODEV:
      return ENODEV;
    case NLE_OBJ_NOTFOUND:
      return ENOENT;
    case NLE_PERM:
      return EPERM;
    case NLE_NOACCESS:
      return EACCES;
    case NLE_INVAL:
      return EINVAL;
    case NLE_RANGE:
      return ERANGE;
    case NLE_OPNOTSUPP:
      return EOPNOTSUPP;
    case NLE_NOMEM:
      return ENOMEM;
    default:
      return 0;
  }
}

std::unexpected<Error> fail_netlink(const std::string& attempt, int nl_error) {
  return fail(attempt + ": " + nl_geterror(nl_error), errno_of(nl_error));
}

int native_family(const IpAddress& address) {
  return address.is_v4() ? AF_INET : AF_INET6;
}

Result<Address> make_address(const Prefix& prefix) {
  const ConstBytes raw = prefix.address.bytes();
  Address made(nl_addr_build(native_family(prefix.address), raw.data(), raw.size()));
  if (!made) return fail_system("building a netlink address", ENOMEM);
  nl_addr_set_prefixlen(made.get(), static_cast<int>(prefix.length));
  return made;
}

std::optional<Prefix> prefix_of(nl_addr* address) {
  if (address == nullptr) return std::nullopt;
  const auto* raw = static_cast<const uint8_t*>(nl_addr_get_binary_addr(address));
  const unsigned length = nl_addr_get_prefixlen(address);
  if (nl_addr_get_family(address) == AF_INET && nl_addr_get_len(address) == 4)
    return Prefix{IpAddress::v4(raw), length};
  if (nl_addr_get_family(address) != AF_INET6 || nl_addr_get_len(address) != 16) return std::nullopt;
  return Prefix{IpAddress::v6(raw), length};
}

std::string device_name(int ifindex) {
  std::array<char, IF_NAMESIZE> name{};
  if (if_indextoname(static_cast<unsigned>(ifindex), name.data()) == nullptr) {
    return "device " + std::to_string(ifindex);
  }
  return name.data();
}

std::optional<IpAddress> usable_source(rtnl_addr* row) {
  constexpr unsigned unusable = IFA_F_TENTATIVE | IFA_F_DEPRECATED | IFA_F_DADFAILED;
  if ((rtnl_addr_get_flags(row) & unusable) != 0) return std::nullopt;
  nl_addr* local = rtnl_addr_get_local(row);
  if (local == nullptr) return std::nullopt;
  const auto* raw = static_cast<const uint8_t*>(nl_addr_get_binary_addr(local));
  if (nl_addr_get_family(local) == AF_INET && nl_addr_get_len(local) == 4) return IpAddress::v4(raw);
  if (nl_addr_get_family(local) != AF_INET6 || nl_addr_get_len(local) != 16) return std::nullopt;
  const IpAddress address = IpAddress::v6(raw);
  if (address.is_link_local()) return std::nullopt;
  return address;
}

Result<Route> make_route(int ifindex, const Prefix& network) {
  Route route(rtnl_route_alloc());
  rtnl_nexthop* hop = rtnl_route_nh_alloc();
  if (!route || hop == nullptr) return fail_system("building a route", ENOMEM);
  rtnl_route_nh_set_ifindex(hop, ifindex);
  rtnl_route_add_nexthop(route.get(), hop);  // takes the next hop over
  auto destination = make_address(network);
  if (!destination) return std::unexpected(destination.error());
  rtnl_route_set_family(route.get(), static_cast<uint8_t>(native_family(network.address)));
  rtnl_route_set_dst(route.get(), destination->get());
  rtnl_route_set_table(route.get(), RT_TABLE_MAIN);
  rtnl_route_set_protocol(route.get(), RTPROT_STATIC);
  rtnl_route_set_type(route.get(), RTN_UNICAST);
  rtnl_route_set_scope(route.get(), network.address.is_v4() ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE);
  return route;
}

// What stands in the way of a route: the device of an equal one, and whether it goes through a gateway.
struct ExistingRoute {
  int ifindex = 0;
  bool gateway = false;
};

Result<std::vector<ExistingRoute>> equal_routes(nl_sock* socket, const Prefix& network) {
  // The metric that a route gets when none is given; routes of another metric are no obstacle.
  const uint32_t default_metric = network.address.is_v4() ? 0 : 1024;
  nl_cache* raw = nullptr;
  if (const int error = rtnl_route_alloc_cache(socket, native_family(network.address), 0, &raw); error < 0) {
    return fail_netlink("reading the routes", error);
  }
  const Cache cache(raw);
  auto destination = make_address(network);
  if (!destination) return std::unexpected(destination.error());
  std::vector<ExistingRoute> found;
  for (nl_object* object = nl_cache_get_first(cache.get()); object != nullptr; object = nl_cache_get_next(object)) {
    auto* route = reinterpret_cast<rtnl_route*>(object);
    if (rtnl_route_get_table(route) != RT_TABLE_MAIN || rtnl_route_get_priority(route) != default_metric) continue;
    nl_addr* other = rtnl_route_get_dst(route);
    if (other == nullptr || nl_addr_cmp(other, destination->get()) != 0) continue;
    for (int i = 0; i < rtnl_route_get_nnexthops(route); ++i) {
      rtnl_nexthop* hop = rtnl_route_nexthop_n(route, i);
      found.push_back({rtnl_route_nh_get_ifindex(hop), rtnl_route_nh_get_gateway(hop) != nullptr});
    }
  }
  return found;
}

Result<Socket> connect_route_socket() {
  Socket socket(nl_socket_alloc());
  if (!socket) return fail_system("opening a netlink socket", ENOMEM);
  if (const int error = nl_connect(socket.get(), NETLINK_ROUTE); error < 0) {
    return fail_netlink("opening a netlink socket", error);
  }
  return socket;
}

// libnl has no accessor for the attribute: this looks at the kernel's answer before libnl reads it.
int look_for_parent(nl_msg* message, void* found) {
  nlmsghdr* header = nlmsg_hdr(message);
  if (header->nlmsg_type != RTM_NEWLINK) return NL_OK;
  *static_cast<bool*>(found) = nlmsg_find_attr(header, sizeof(ifinfomsg), IFLA_PARENT_DEV_NAME) != nullptr;
  return NL_OK;
}

}  // namespace

std::vector<Prefix> route_parts(const Prefix& network) {
  const Prefix whole = network.network();
  if (whole.length != 0) return {whole};
  std::array<uint8_t, 16> raw{};
  const auto half = [&](uint8_t first_byte) {
    raw[0] = first_byte;
    return Prefix{whole.address.is_v4() ? IpAddress::v4(raw.data()) : IpAddress::v6(raw.data()), 1};
  };
  return {half(0x00), half(0x80)};
}

struct Netlink::Impl {
  Socket requests;
  Socket events;

  Result<std::vector<IpAddress>> addresses(int ifindex);
  Result<void> add_one_route(int ifindex, const Prefix& network);
  Result<void> resolve_conflict(int ifindex, const Prefix& network, rtnl_route* route, const std::string& attempt);
  Result<void> remove_one_route(int ifindex, const Prefix& network);
};

Netlink::Netlink(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Netlink::Netlink(Netlink&&) noexcept = default;
Netlink& Netlink::operator=(Netlink&&) noexcept = default;
Netlink::~Netlink() = default;

Result<Netlink> Netlink::open() {
  auto requests = connect_route_socket();
  if (!requests) return std::unexpected(requests.error());
  auto events = connect_route_socket();
  if (!events) return std::unexpected(events.error());
  if (const int error = nl_socket_add_memberships(events->get(), RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
                                                  RTNLGRP_NONE);
      error < 0) {
    return fail_netlink("subscribing to link and address events", error);
  }
  if (const int error = nl_socket_set_nonblocking(events->get()); error < 0) {
    return fail_netlink("making the event socket non-blocking", error);
  }
  return Netlink(std::make_unique<Impl>(Impl{std::move(*requests), std::move(*events)}));
}

int Netlink::event_fd() const {
  return nl_socket_get_fd(impl_->events.get());
}

bool Netlink::drain_events() {
  bool changed = false;
  std::array<uint8_t, 4096>
      ignored;  // what changed is asked for afterwards, so a cut message is as good as a whole one
  while (true) {
    sockaddr_nl sender{};
    socklen_t length = sizeof sender;
    const ssize_t got = recvfrom(event_fd(), ignored.data(), ignored.size(), MSG_DONTWAIT,
                                 reinterpret_cast<sockaddr*>(&sender), &length);
    if (got > 0) {
      if (sender.nl_pid == 0) changed = true;  // from the kernel
      continue;
    }
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == ENOBUFS) {  // events were lost: assume the worst and go on reading
      changed = true;
      continue;
    }
    return changed;
  }
}

Result<std::vector<IpAddress>> Netlink::Impl::addresses(int ifindex) {
  nl_cache* raw = nullptr;
  if (const int error = rtnl_addr_alloc_cache(requests.get(), &raw); error < 0) {
    return fail_netlink("reading the addresses", error);
  }
  const Cache cache(raw);
  std::vector<IpAddress> found;
  for (nl_object* object = nl_cache_get_first(cache.get()); object != nullptr; object = nl_cache_get_next(object)) {
    auto* row = reinterpret_cast<rtnl_addr*>(object);
    if (rtnl_addr_get_ifindex(row) != ifindex) continue;
    const auto address = usable_source(row);
    if (address && std::ranges::find(found, *address) == found.end()) found.push_back(*address);
  }
  return found;
}

Result<std::optional<LinkState>> Netlink::link(std::string_view name) {
  if (name.empty() || name.size() >= IF_NAMESIZE) return std::nullopt;
  const std::string terminated(name);
  rtnl_link* raw = nullptr;
  LinkState state;
  nl_socket_modify_cb(impl_->requests.get(), NL_CB_MSG_IN, NL_CB_CUSTOM, look_for_parent, &state.hardware);
  const int error = rtnl_link_get_kernel(impl_->requests.get(), 0, terminated.c_str(), &raw);
  nl_socket_modify_cb(impl_->requests.get(), NL_CB_MSG_IN, NL_CB_DEFAULT, nullptr, nullptr);
  if (error < 0) {
    if (error == -NLE_NODEV || error == -NLE_OBJ_NOTFOUND) return std::nullopt;
    return fail_netlink("reading the state of " + terminated, error);
  }
  const Link link(raw);
  state.ifindex = rtnl_link_get_ifindex(link.get());
  state.name = terminated;
  const unsigned flags = rtnl_link_get_flags(link.get());
  state.up = (flags & IFF_UP) != 0;
  state.carrier = (flags & 0x10000U) != 0;  // IFF_LOWER_UP, which <net/if.h> does not have
  state.mtu = rtnl_link_get_mtu(link.get());
  auto found = impl_->addresses(state.ifindex);
  if (!found) return std::unexpected(found.error());
  state.addresses = std::move(*found);
  return state;
}

Result<std::vector<DeviceName>> Netlink::devices() {
  nl_cache* raw = nullptr;
  if (const int error = rtnl_link_alloc_cache(impl_->requests.get(), AF_UNSPEC, &raw); error < 0) {
    return fail_netlink("listing the network devices", error);
  }
  const Cache cache(raw);
  std::vector<DeviceName> all;
  for (nl_object* object = nl_cache_get_first(cache.get()); object != nullptr; object = nl_cache_get_next(object)) {
    auto* link = reinterpret_cast<rtnl_link*>(object);
    const char* name = rtnl_link_get_name(link);
    if (name == nullptr) continue;
    const char* kind = rtnl_link_get_type(link);
    const bool of_tun_driver = kind != nullptr && std::string_view(kind) == "tun";
    const unsigned flags = rtnl_link_get_flags(link);
    // The same driver makes TAP devices, which look like Ethernet.
    all.push_back({.ifindex = rtnl_link_get_ifindex(link),
                   .name = name,
                   .up = (flags & IFF_UP) != 0,
                   .loopback = (flags & IFF_LOOPBACK) != 0,
                   .tun = of_tun_driver && rtnl_link_get_arptype(link) == ARPHRD_NONE});
  }
  return all;
}

Result<void> Netlink::set_link_up(int ifindex, unsigned mtu) {
  const Link device(rtnl_link_alloc());
  const Link changes(rtnl_link_alloc());
  if (!device || !changes) return fail_system("building a link request", ENOMEM);
  rtnl_link_set_ifindex(device.get(), ifindex);
  rtnl_link_set_flags(changes.get(), IFF_UP);
  if (mtu != 0) rtnl_link_set_mtu(changes.get(), mtu);
  if (const int error = rtnl_link_change(impl_->requests.get(), device.get(), changes.get(), 0); error < 0) {
    const std::string with_mtu = mtu != 0 ? " with MTU " + std::to_string(mtu) : "";
    return fail_netlink("setting " + device_name(ifindex) + " up" + with_mtu, error);
  }
  return {};
}

Result<void> Netlink::add_address(int ifindex, const Prefix& address) {
  const LinkAddress row(rtnl_addr_alloc());
  auto local = make_address(address);
  if (!row || !local) return fail_system("building an address request", ENOMEM);
  rtnl_addr_set_ifindex(row.get(), ifindex);
  rtnl_addr_set_family(row.get(), native_family(address.address));
  rtnl_addr_set_local(row.get(), local->get());
  if (address.address.is_v6()) rtnl_addr_set_flags(row.get(), IFA_F_NODAD);
  const int error = rtnl_addr_add(impl_->requests.get(), row.get(), NLM_F_CREATE | NLM_F_REPLACE);
  if (error == 0 || error == -NLE_EXIST) return {};
  const std::string attempt = "adding address " + address.text() + " to " + device_name(ifindex);
  const bool refused_v6 = address.address.is_v6() && (error == -NLE_NOACCESS || error == -NLE_OPNOTSUPP);
  if (refused_v6) return fail(attempt + ": IPv6 is disabled (sysctl net.ipv6.conf.*.disable_ipv6)", errno_of(error));
  return fail_netlink(attempt, error);
}

Result<void> Netlink::Impl::add_one_route(int ifindex, const Prefix& network) {
  auto route = make_route(ifindex, network);
  if (!route) return std::unexpected(route.error());
  const std::string attempt = "adding the route to " + network.text() + " over " + device_name(ifindex);
  const int error = rtnl_route_add(requests.get(), route->get(), NLM_F_CREATE | NLM_F_EXCL);
  if (error == 0) return {};
  if (error == -NLE_EXIST) return resolve_conflict(ifindex, network, route->get(), attempt);
  return fail_netlink(attempt, error);
}

Result<void> Netlink::Impl::resolve_conflict(int ifindex, const Prefix& network, rtnl_route* route,
                                             const std::string& attempt) {
  const auto existing = equal_routes(requests.get(), network);
  if (!existing) return std::unexpected(existing.error());
  const auto foreign = std::ranges::find_if(*existing, [&](const auto& other) { return other.ifindex != ifindex; });
  if (foreign != existing->end()) {
    return fail(attempt + ": a route to it over " + device_name(foreign->ifindex) + " exists already", EEXIST);
  }
  // Ours from before, or the one that the kernel made with the address: nothing to do.
  if (existing->size() == 1 && !existing->front().gateway) return {};
  if (const int error = rtnl_route_add(requests.get(), route, NLM_F_CREATE | NLM_F_REPLACE); error < 0) {
    return fail_netlink(attempt, error);
  }
  return {};
}

Result<void> Netlink::Impl::remove_one_route(int ifindex, const Prefix& network) {
  auto route = make_route(ifindex, network);
  if (!route) return std::unexpected(route.error());
  const int error = rtnl_route_delete(requests.get(), route->get(), 0);
  if (error == 0 || error == -NLE_OBJ_NOTFOUND || error == -NLE_NODEV) return {};
  return fail_netlink("removing the route to " + network.text(), error);
}

Result<void> Netlink::add_route(int ifindex, const Prefix& network) {
  const auto wanted = route_parts(network);
  for (size_t i = 0; i < wanted.size(); ++i) {
    auto added = impl_->add_one_route(ifindex, wanted[i]);
    if (added) continue;
    for (size_t undone = 0; undone < i; ++undone) {
      (void)impl_->remove_one_route(ifindex, wanted[undone]);  // the first failure is the one to report
    }
    return added;
  }
  return {};
}

Result<void> Netlink::remove_route(int ifindex, const Prefix& network) {
  Result<void> outcome;
  for (const Prefix& part : route_parts(network)) {
    auto removed = impl_->remove_one_route(ifindex, part);
    if (!removed) outcome = removed;
  }
  return outcome;
}

Result<void> Netlink::remove_others(int ifindex, const std::vector<Prefix>& addresses,
                                    const std::set<Prefix>& networks) {
  nl_sock* socket = impl_->requests.get();
  nl_cache* raw = nullptr;
  if (const int error = rtnl_addr_alloc_cache(socket, &raw); error < 0) {
    return fail_netlink("reading the addresses", error);
  }
  const Cache rows(raw);
  for (nl_object* object = nl_cache_get_first(rows.get()); object != nullptr; object = nl_cache_get_next(object)) {
    auto* row = reinterpret_cast<rtnl_addr*>(object);
    if (rtnl_addr_get_ifindex(row) != ifindex || rtnl_addr_get_scope(row) == RT_SCOPE_LINK) continue;
    const auto local = prefix_of(rtnl_addr_get_local(row));
    if (!local || std::ranges::find(addresses, *local) != addresses.end()) continue;
    // NLE_NOADDR: it went together with the first address of its network.
    if (const int error = rtnl_addr_delete(socket, row, 0); error < 0 && error != -NLE_NOADDR) {
      return fail_netlink("removing address " + local->text() + " from " + device_name(ifindex), error);
    }
  }
  if (const int error = rtnl_route_alloc_cache(socket, AF_UNSPEC, 0, &raw); error < 0) {
    return fail_netlink("reading the routes", error);
  }
  const Cache routes(raw);
  for (nl_object* object = nl_cache_get_first(routes.get()); object != nullptr; object = nl_cache_get_next(object)) {
    auto* route = reinterpret_cast<rtnl_route*>(object);
    if (rtnl_route_get_table(route) != RT_TABLE_MAIN || rtnl_route_get_protocol(route) != RTPROT_STATIC) continue;
    if (rtnl_route_get_nnexthops(route) != 1) continue;
    if (rtnl_route_nh_get_ifindex(rtnl_route_nexthop_n(route, 0)) != ifindex) continue;
    const auto network = prefix_of(rtnl_route_get_dst(route));
    if (!network || networks.contains(*network)) continue;
    if (const int error = rtnl_route_delete(socket, route, 0); error < 0 && error != -NLE_OBJ_NOTFOUND) {
      return fail_netlink("removing the route to " + network->text(), error);
    }
  }
  return {};
}

}  // namespace centipede
