// `centipede doctor`: what this kernel, these devices and the configuration allow, and what to do about it. It only
// looks: nothing is attached, created or changed. Each finding is one line "ok|warn|fail  what: finding — what to do".
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/host.h"
#include "dataplane/netlink.h"
#include "dataplane/receive_mode.h"
#include "dataplane/tunnel_config.h"

namespace centipede::cli {

enum class Level : uint8_t {
  ok,
  warn,  // works, but not as well as it could
  fail,  // keeps a tunnel from running
};

struct Finding {
  Level level = Level::ok;
  std::string what;
  std::string finding;
  std::string advice;  // empty when there is nothing to do
};

struct DoctorOptions {
  std::vector<std::string> uplinks;  // empty: those of the configuration
  std::string interface;
  std::string config_path;
  bool json = false;
};
// failed when any finding is Level::fail.
int doctor(Host& host, const DoctorOptions& options);

// The parts, in the order of their lines.
[[nodiscard]] std::vector<Finding> examine_system(const std::string& missing_privilege);
[[nodiscard]] std::vector<Finding> examine_uplink(Netlink& netlink, const std::string& name, ReceiveMode mode);
// `joins`: the kernel joins arriving packets for sockets that are bound to a device, as ours are.
[[nodiscard]] Finding examine_offloads(const std::string& device, bool tries_xdp, bool joins);
// What the file asks of the system beside devices and peers: state directory, name servers, kill switch.
[[nodiscard]] std::vector<Finding> examine_settings(const TunnelConfig& config);
[[nodiscard]] Finding examine_state_directory(const std::string& path);
// Names of servers, and for each uplink a route to the peers that are called.
using Resolve = std::function<Result<std::vector<IpAddress>>(const std::string& host)>;
Result<std::vector<IpAddress>> resolve_host(const std::string& host);  // getaddrinfo(3)
[[nodiscard]] std::vector<Finding> examine_peers(const std::vector<control::PeerSettings>& peers,
                                                 const std::vector<std::string>& uplinks, const Resolve& resolve);
// Whether nftables lets datagrams to the port in, on these uplinks (none: on any); the second one takes the rules as
// `nft -ja list ruleset` prints them.
[[nodiscard]] std::vector<Finding> examine_firewall(uint16_t port, const std::vector<std::string>& uplinks,
                                                    bool calls_all_peers);
[[nodiscard]] std::vector<Finding> judge_firewall(const std::string& ruleset_json, uint16_t port,
                                                  const std::vector<std::string>& uplinks, bool calls_all_peers);
// Whether a UDP socket can have the port, for both families.
[[nodiscard]] Finding examine_port(uint16_t port, bool tunnel_runs);

// One line, without its end.
[[nodiscard]] std::string finding_line(const Finding& finding);
// Major and minor of a release text such as "6.1.0-18-amd64"; zeroes for anything else.
struct KernelVersion {
  unsigned major_number = 0;
  unsigned minor_number = 0;
  auto operator<=>(const KernelVersion&) const = default;
};
[[nodiscard]] KernelVersion parse_kernel_release(const std::string& release);
[[nodiscard]] KernelVersion running_kernel();

}  // namespace centipede::cli
