#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/file_descriptor.h"
#include "cli/doctor.h"

namespace centipede::cli {
namespace {

// A gateway's thousand peers call it; whoever has endpoints for more than these has the same routes to all.
constexpr size_t most_peers = 16;
constexpr size_t most_endpoints = 8;

// Whether a route of the uplink's leads there; an errno value if not. Asked of the tables themselves: a socket that is
// bound to a device and finds none would take any IPv4 address for a neighbour's.
int look_up(unsigned ifindex, const IpAddress& remote) {
  const FileDescriptor socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  struct {
    nlmsghdr header;
    rtmsg route;
    std::array<char, 64> attributes;
  } message{};
  message.route.rtm_family = remote.is_v4() ? AF_INET : AF_INET6;
  message.route.rtm_dst_len = static_cast<unsigned char>(remote.bits());
  message.route.rtm_flags = RTM_F_FIB_MATCH;
  size_t used = 0;
  const auto append = [&](unsigned short type, const void* data, size_t size) {
    const rtattr attribute{.rta_len = static_cast<unsigned short>(RTA_LENGTH(size)), .rta_type = type};
    std::memcpy(message.attributes.data() + used, &attribute, sizeof attribute);
    std::memcpy(message.attributes.data() + used + RTA_LENGTH(0), data, size);
    used += RTA_SPACE(size);
  };
  append(RTA_DST, remote.bytes().data(), remote.bytes().size());
  append(RTA_OIF, &ifindex, sizeof ifindex);
  message.header = {.nlmsg_len = static_cast<uint32_t>(NLMSG_LENGTH(sizeof message.route) + used),
                    .nlmsg_type = RTM_GETROUTE,
                    .nlmsg_flags = NLM_F_REQUEST};
  if (send(socket.get(), &message, message.header.nlmsg_len, 0) < 0) return errno;
  std::array<char, 8192> answer;
  const ssize_t got = recv(socket.get(), answer.data(), answer.size(), 0);
  if (got < 0) return errno;
  nlmsghdr head{};
  nlmsgerr refusal{};
  if (static_cast<size_t>(got) >= sizeof head) std::memcpy(&head, answer.data(), sizeof head);
  if (head.nlmsg_type == RTM_NEWROUTE) return 0;
  if (static_cast<size_t>(got) < NLMSG_HDRLEN + sizeof refusal.error) return EPROTO;
  std::memcpy(&refusal.error, answer.data() + NLMSG_HDRLEN, sizeof refusal.error);
  return refusal.error == -EHOSTUNREACH ? ENETUNREACH : -refusal.error;
}

// How the kernel sends from a socket that is bound to the uplink, as the tunnel's are.
struct Route {
  int error = 0;  // an errno value; 0: there is one
  IpAddress source;
  int mtu = 0;
};

Route route_over(const std::string& uplink, const Endpoint& remote) {
  const bool v4 = remote.address.is_v4();
  if (const int error = look_up(if_nametoindex(uplink.c_str()), remote.address); error != 0) return {.error = error};
  const FileDescriptor socket(::socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) return {.error = errno};
  if (setsockopt(socket.get(), SOL_SOCKET, SO_BINDTODEVICE, uplink.data(), static_cast<socklen_t>(uplink.size())) !=
      0) {
    return {.error = errno};
  }
  sockaddr_storage address{};
  socklen_t length = static_cast<socklen_t>(remote.to_sockaddr(address, false));
  if (connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), length) != 0) return {.error = errno};
  Route route;
  socklen_t size = sizeof route.mtu;
  if (getsockopt(socket.get(), v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_MTU : IPV6_MTU, &route.mtu, &size) != 0) {
    route.mtu = 0;
  }
  length = sizeof address;
  if (getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &length) == 0) {
    if (const auto local = Endpoint::from_sockaddr(reinterpret_cast<const sockaddr*>(&address))) {
      route.source = local->address;
    }
  }
  return route;
}

// The literal endpoints and what the names stand for; what became of the names goes into `findings`.
std::vector<Endpoint> endpoints_of(const control::PeerSettings& peer, const Resolve& resolve,
                                   std::vector<Finding>& findings) {
  std::vector<Endpoint> endpoints = peer.endpoints;
  for (const auto& host : peer.host_endpoints) {
    const std::string what = peer.name + " name " + host.host;
    const auto addresses = resolve(host.host);
    if (!addresses) {
      findings.push_back({Level::warn, what, addresses.error().text,
                          "check the name and the name servers (getent ahosts " + host.host +
                              "); the tunnel starts without and asks again"});
      continue;
    }
    std::string list;
    for (const auto& address : *addresses) {
      list += (list.empty() ? "" : ", ") + address.text();
      endpoints.push_back({address, host.port});
    }
    findings.push_back({Level::ok, what, list, ""});
  }
  if (endpoints.size() > most_endpoints) endpoints.resize(most_endpoints);
  return endpoints;
}

// The first endpoint that the uplink has a route to counts: a path needs no more.
Finding way_over(const std::string& uplink, const std::string& peer, const std::vector<Endpoint>& endpoints) {
  const std::string what = peer + " over " + uplink;
  std::string problems;
  for (const Endpoint& endpoint : endpoints) {
    const Route route = route_over(uplink, endpoint);
    if (route.error != 0) {
      problems += (problems.empty() ? "" : "; ") + system_error(endpoint.text(), route.error).text;
      continue;
    }
    return {Level::ok, what,
            endpoint.text() + " from " + route.source.text() + ", MTU of the route " + std::to_string(route.mtu), ""};
  }
  return {Level::warn, what, problems,
          "ip route add default via GATEWAY dev " + uplink + " metric 1000 (a default route for each uplink)"};
}

}  // namespace

// The daemon asks the same name servers, over each uplink.
Result<std::vector<IpAddress>> resolve_host(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(host.c_str(), nullptr, &hints, &found); error != 0) {
    return fail("resolving " + host + ": " + gai_strerror(error));
  }
  std::vector<IpAddress> addresses;
  for (const addrinfo* row = found; row != nullptr; row = row->ai_next) {
    const auto endpoint = Endpoint::from_sockaddr(row->ai_addr);
    if (endpoint && std::ranges::find(addresses, endpoint->address) == addresses.end()) {
      addresses.push_back(endpoint->address);
    }
  }
  freeaddrinfo(found);
  return addresses;
}

std::vector<Finding> examine_peers(const std::vector<control::PeerSettings>& peers,
                                   const std::vector<std::string>& uplinks, const Resolve& resolve) {
  std::vector<Finding> findings;
  size_t looked_at = 0;
  size_t left_out = 0;
  for (const auto& peer : peers) {
    if (peer.endpoints.empty() && peer.host_endpoints.empty()) continue;  // it calls us
    if (looked_at++ >= most_peers) {
      ++left_out;
      continue;
    }
    const auto endpoints = endpoints_of(peer, resolve, findings);
    if (endpoints.empty()) continue;
    for (const auto& uplink : uplinks)
      findings.push_back(way_over(uplink, peer.name, endpoints));
  }
  if (left_out != 0) {
    findings.push_back({Level::ok, "peers", std::to_string(left_out) + " more that are called were not looked at", ""});
  }
  return findings;
}

}  // namespace centipede::cli
