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
#include <set>
#include <string>
#include <string_view>

#include "base/address.h"
#include "base/result.h"

namespace centipede {

// SO_MARK of what may pass; in decimal the default port.
inline constexpr uint32_t kill_switch_mark = 5820;

using Networks = std::set<Prefix>;

// The commands that make the table anew, and those that change its networks, each for one transaction.
[[nodiscard]] std::string kill_switch_commands(std::string_view tunnel, const Networks& networks);
[[nodiscard]] std::string kill_switch_changes(std::string_view tunnel, const Networks& before, const Networks& after);

// Sets it up, or replaces it without a gap. The error's code is EINVAL for a tunnel whose name nftables cannot take.
Result<void> set_kill_switch(std::string_view tunnel, const Networks& networks);
// At the cost of what differs, where it guards `before`; made anew where it does not. When it fails, what was in force
// is.
Result<void> change_kill_switch(std::string_view tunnel, const Networks& before, const Networks& after);
[[nodiscard]] bool kill_switch_is_set(std::string_view tunnel);
// None there is no error.
Result<void> remove_kill_switch(std::string_view tunnel);

}  // namespace centipede
