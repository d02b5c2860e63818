// Which name servers there are outside of the tunnel: what resolv.conf files say, less those that are set for the
// tunnel itself. Threading: any.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"

namespace centipede {

struct ResolverFiles {
  std::string resolv_conf = "/etc/resolv.conf";
  // Where systemd-resolved writes the servers that it asks itself.
  std::string resolved = "/run/systemd/resolve/resolv.conf";
  // Where resolvconf keeps what each interface has told it: Debian's, openresolv.
  std::vector<std::string> records = {"/run/resolvconf/interface", "/run/resolvconf/interfaces"};
};

[[nodiscard]] bool is_loopback(const IpAddress& address);

// The `nameserver` lines of a resolv.conf, in their order; what cannot be read as an address is left out. A zone
// ("fe80::1%eth0") is cut off: queries leave by one device, which is the zone.
[[nodiscard]] std::vector<IpAddress> parse_name_servers(std::string_view resolv_conf);

// Read anew at each call. Where resolv.conf names the stub of systemd-resolved (127.0.0.53 or .54), its servers count
// instead: the stub would ask them through the tunnel. Without those in `inside`; where resolvconf shows no others,
// those of its records count, or of the file that openresolv has put aside.
[[nodiscard]] std::vector<IpAddress> outside_name_servers(const ResolverFiles& files,
                                                          std::span<const IpAddress> inside);

}  // namespace centipede
