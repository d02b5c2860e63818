#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <sstream>

#include "base/file_descriptor.h"
#include "cli/doctor.h"
#include "dataplane/present_program.h"

namespace centipede::cli {
namespace {

// Drivers of mainline Linux with AF_XDP zero-copy, and further ones with native XDP. Whether this very device takes the
// program (MTU, queues, firmware) is known only when it is attached.
constexpr std::array<std::string_view, 8> zero_copy_drivers{"i40e",      "ice",     "ixgbe", "igc",
                                                            "mlx5_core", "st_gmac", "nfp",   "stmmaceth"};
constexpr std::array<std::string_view, 22> native_drivers{
    "igb",       "ixgbevf",       "mlx4_en",   "bnxt_en",   "virtio_net", "veth",   "ena",  "qede",
    "sfc",       "mvneta",        "mvpp2",     "hv_netvsc", "tun",        "gve",    "mana", "thunder-nicvf",
    "dpaa2-eth", "fsl_dpaa2_eth", "fsl_enetc", "cpsw",      "vmxnet3",    "bonding"};

std::string driver_of(const std::string& name) {
  const FileDescriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ethtool_drvinfo info{};
  info.cmd = ETHTOOL_GDRVINFO;
  ifreq request{};
  std::memcpy(request.ifr_name, name.data(), std::min(name.size(), sizeof request.ifr_name - 1));
  request.ifr_data = reinterpret_cast<char*>(&info);
  if (!socket || ioctl(socket.get(), SIOCETHTOOL, &request) != 0) return "";
  return std::string(info.driver, strnlen(info.driver, sizeof info.driver));
}

Finding receive_mode(const LinkState& link, ReceiveMode mode) {
  const std::string what = link.name + " receive mode";
  const ReceiveChoice choice = choose_receive(mode, link.hardware);
  if (!choice.try_xdp) {
    const std::string reason(choice.reason.empty() ? "the file says so" : choice.reason);
    return {Level::ok, what, "udp: " + reason, ""};
  }
  const std::string driver = driver_of(link.name);
  if (std::ranges::find(zero_copy_drivers, driver) != zero_copy_drivers.end()) {
    return {Level::ok, what, "driver " + driver + ": native/zero-copy is likely; attach decides", ""};
  }
  if (std::ranges::find(native_drivers, driver) != native_drivers.end()) {
    return {Level::ok, what, "driver " + driver + ": native is likely; attach decides", ""};
  }
  const std::string unknown =
      driver.empty() ? "the driver is not known" : "driver " + driver + " is not known for native XDP";
  if (mode == ReceiveMode::automatic) return {Level::warn, what, unknown + ": udp is likely; attach decides", ""};
  return {Level::warn, what, unknown + ": attach is likely to refuse it", "set mode = \"auto\" or \"udp\""};
}

Finding foreign_program(const LinkState& link, ReceiveMode mode) {
  const std::string what = link.name + " XDP program";
  const auto present = present_program(static_cast<unsigned>(link.ifindex));
  if (!present) return {Level::warn, what, present.error().text, ""};
  if (!*present) return {Level::ok, what, "none attached: the place is free", ""};
  const std::string& name = (*present)->name;
  const std::string text = "number " + std::to_string((*present)->id) + " (" + name + ") is attached";
  if (name.starts_with("centipede")) return {Level::ok, what, text + ": a tunnel runs here", ""};
  if (name.starts_with("xdp_dispatcher")) return {Level::ok, what, text + ": programs share the device", ""};
  if (!choose_receive(mode, link.hardware).try_xdp) return {Level::ok, what, text + ": ours is not needed here", ""};
  const std::string then = mode == ReceiveMode::xdp ? "is then refused" : "then uses UDP";
  return {Level::warn, what, text + ": it keeps ours out, and the uplink " + then,
          "load it through libxdp (xdp-loader), or detach it: ip link set " + link.name + " xdp off"};
}

// /proc/net/route: device, destination, gateway, flags, ..., mask; all numbers hexadecimal.
bool has_default_v4(const std::string& name) {
  std::ifstream routes("/proc/thread-self/net/route");
  for (std::string line; std::getline(routes, line);) {
    std::istringstream fields(line);
    std::string device;
    std::string destination;
    if (fields >> device >> destination && device == name && destination == "00000000") return true;
  }
  return false;
}

// /proc/net/ipv6_route: destination, its length, source, its length, next hop, metric, uses, references, flags, device.
bool has_default_v6(const std::string& name) {
  std::ifstream routes("/proc/thread-self/net/ipv6_route");
  for (std::string line; std::getline(routes, line);) {
    std::istringstream fields(line);
    std::array<std::string, 10> field;
    for (auto& text : field)
      fields >> text;
    const bool is_reject = field[8].size() == 8 && (std::strtoul(field[8].c_str(), nullptr, 16) & 0x200) != 0;
    if (fields && field[9] == name && field[1] == "00" && !is_reject) return true;
  }
  return false;
}

Finding default_route(const std::string& name) {
  const bool v4 = has_default_v4(name);
  const bool v6 = has_default_v6(name);
  if (v4 || v6) {
    const std::string families = v4 && v6 ? "IPv4 and IPv6" : v4 ? "IPv4" : "IPv6";
    return {Level::ok, name + " default route", families, ""};
  }
  return {Level::warn, name + " default route", "none: only peers on its own networks can be reached",
          "ip route add default via GATEWAY dev " + name + " metric 1000"};
}

Finding addresses(const LinkState& link) {
  const std::string what = link.name + " addresses";
  std::string list;
  for (const auto& address : link.addresses)
    list += (list.empty() ? "" : ", ") + address.text();
  if (!list.empty()) return {Level::ok, what, list, ""};
  return {Level::fail, what, "none that can be used: no path can start here", "give it one (DHCP, or ip addr add)"};
}

Finding mtu(const LinkState& link) {
  constexpr unsigned least = 1280 + 32 + 8 + 40;  // IPv6's least inside data header, UDP and IPv6
  const std::string what = link.name + " MTU";
  if (link.mtu >= least) return {Level::ok, what, std::to_string(link.mtu), ""};
  return {Level::warn, what, std::to_string(link.mtu) + ": packets of 1280 bytes do not fit whole",
          "ip link set " + link.name + " mtu 1500, where the link allows it"};
}

// The kernel's rule: the stricter of "all" and the device's own, where 2 (loose) beats 1 (strict).
Finding reverse_path_filter(const std::string& name) {
  const auto read = [](const std::string& device) {
    std::ifstream file("/proc/sys/net/ipv4/conf/" + device + "/rp_filter");
    int value = 0;
    return file >> value ? value : 0;
  };
  const std::string what = name + " reverse path filter";
  const int value = std::max(read("all"), read(name));
  if (value != 1) return {Level::ok, what, value == 0 ? "off" : "loose", ""};
  return {Level::warn, what,
          "strict: what arrives here from a peer is dropped when the best route to it leads elsewhere",
          "sysctl -w net/ipv4/conf/" + name + "/rp_filter=2"};
}

}  // namespace

std::vector<Finding> examine_uplink(Netlink& netlink, const std::string& name, ReceiveMode mode) {
  const auto found = netlink.link(name);
  if (!found) return {{Level::fail, "netlink", found.error().text, ""}};
  if (!*found) return {{Level::fail, name, "there is no such device", "see `ip link` for those that there are"}};
  const LinkState& link = **found;
  std::vector<Finding> findings;
  if (!link.up) {
    findings.push_back({Level::fail, name, "the device is down", "ip link set " + name + " up"});
  } else if (!link.carrier) {
    findings.push_back({Level::fail, name, "no carrier", "connect the cable or join the network"});
  } else {
    findings.push_back({Level::ok, name, "up, with carrier", ""});
  }
  findings.push_back(addresses(link));
  findings.push_back(mtu(link));
  findings.push_back(receive_mode(link, mode));
  findings.push_back(foreign_program(link, mode));
  // Devices of software pass packets on that are joined already. 6.1 does not join for ours, 6.12 does.
  const bool joins = !link.hardware || running_kernel() >= KernelVersion{6, 12};
  findings.push_back(examine_offloads(name, choose_receive(mode, link.hardware).try_xdp, joins));
  findings.push_back(default_route(name));
  findings.push_back(reverse_path_filter(name));
  return findings;
}

}  // namespace centipede::cli
