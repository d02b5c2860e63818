// A configuration file of any content gives a configuration within its limits or one printable line that says where and
// why. The key files that a file may name are looked for in a folder that is not there.
#include <centipede/abi.h>

#include <set>

#include "config/config.h"
#include "dataplane/setting_texts.h"
#include "dataplane/uplink_selection.h"
#include "fuzz.h"

namespace centipede::fuzz {
namespace {

constexpr const char* path = "/nonexistent/cp0.toml";

// Goes to a terminal as it is.
bool one_printable_line(const std::string& text) {
  const auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  return !text.empty() && std::ranges::none_of(text, control);
}

template <class Range>
bool all_different(const Range& range) {
  return std::set(range.begin(), range.end()).size() == range.size();
}

void check_interface(const TunnelConfig& tunnel) {
  promise(tunnel.name == "cp0", "the interface has the file's name");
  promise(tunnel.listen_port != 0 && tunnel.workers <= CP_MAX_WORKERS, "port and workers are in range");
  promise(check_uplinks(tunnel.live, tunnel.name).has_value(), "uplinks and exclusions are as the daemon wants them");
  for (const auto& uplink : tunnel.live.uplinks) {
    promise(uplink.rate_bps == 0 || parse_rate(rate_text(uplink.rate_bps)) == uplink.rate_bps,
            "a rate can be written and read");
  }
  promise(tunnel.mtu == 0 || (tunnel.mtu >= 1280 && tunnel.mtu <= 65435), "the MTU is in range");
  promise(tunnel.window_bits >= CP_WINDOW_BITS_MIN && tunnel.window_bits <= CP_WINDOW_BITS_MAX,
          "the window is in range");
  promise(tunnel.heartbeat_ms >= 100 && tunnel.heartbeat_ms <= 60'000, "the heartbeat interval is in range");
  for (const Prefix& address : tunnel.addresses) {
    promise(address.address.bits() != 0 && address.length <= address.address.bits(), "addresses are whole");
  }
}

void check_peers(const TunnelConfig& tunnel) {
  std::set<crypto::PublicKey> keys{tunnel.identity.public_key()};
  std::set<std::string> names;
  std::set<Prefix> networks;
  for (const auto& peer : tunnel.live.peers) {
    promise(keys.insert(peer.public_key).second, "every peer has a key of its own");
    promise(one_printable_line(peer.name) && names.insert(peer.name).second, "every peer has a name of its own");
    for (const Prefix& network : peer.allowed_ips) {
      promise(network == network.network(), "allowed networks have no host bits");
      promise(networks.insert(network).second, "a network belongs to one peer, once");
    }
    promise(all_different(peer.endpoints), "endpoints are different");
    for (const Endpoint& endpoint : peer.endpoints) {
      promise(endpoint.port != 0 && Endpoint::parse(endpoint.text()) == endpoint,
              "an endpoint can be written and read");
    }
    promise(all_different(peer.host_endpoints), "named endpoints are different");
    for (const auto& host : peer.host_endpoints) {
      promise(parse_host_endpoint(text(host)) == host && !Endpoint::parse(text(host)),
              "a named endpoint can be written and read, and is no address");
    }
    std::vector<std::string> paths;
    for (const auto& one : peer.paths)
      paths.push_back(one.uplink);
    promise(paths.size() <= 64 && all_different(paths), "the settings of paths are few and of different uplinks");
  }
}

}  // namespace
}  // namespace centipede::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace centipede::fuzz;
  static const bool ready = centipede::crypto::initialise().has_value();
  promise(ready, "libsodium starts");
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto loaded = centipede::parse_config(text, path);
  if (!loaded) {
    promise(loaded.error().text.starts_with(path), "an error names the file");
    promise(one_printable_line(loaded.error().text), "an error is one printable line");
    return 0;
  }
  for (const auto& warning : loaded->warnings)
    promise(one_printable_line(warning), "a warning is one printable line");
  check_interface(loaded->tunnel);
  check_peers(loaded->tunnel);
  return 0;
}
