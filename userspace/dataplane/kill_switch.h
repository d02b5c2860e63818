// The kill switch: a table of nftables, `inet centipede-TUNNEL`, that lets nothing for the tunnel's networks leave this
// host any other way than into the tunnel, whether the host sends or forwards it. It belongs to the kernel and stays
// when the process ends, however it ends: that is its purpose. Only remove_kill_switch() takes it away.
//
// What goes on though a network (0.0.0.0/0, say) covers it: the tunnel's own datagrams and its queries for the names of
// its peers, which carry kill_switch_mark; loopback; DHCP, neighbour discovery and multicast listener reports, without
// which no uplink has an address. Everything else on the uplinks' local networks is stopped, too, as far as the
// tunnel's networks cover it. Packet sockets are beyond its reach.
// Threading: any one thread at a time.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/result.h"

namespace centipede {

// SO_MARK of what may pass; in decimal the default port.
inline constexpr uint32_t kill_switch_mark = 5820;

// The commands that make the table anew, in one transaction.
[[nodiscard]] std::string kill_switch_commands(std::string_view tunnel, const std::vector<Prefix>& networks);

// Sets it up, or replaces it without a gap. The error's code is EINVAL for a tunnel whose name nftables cannot take.
Result<void> set_kill_switch(std::string_view tunnel, const std::vector<Prefix>& networks);
[[nodiscard]] bool kill_switch_is_set(std::string_view tunnel);
// None there is no error.
Result<void> remove_kill_switch(std::string_view tunnel);

}  // namespace centipede
