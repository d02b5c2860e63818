// How settings are written, the same in the configuration file, the API and on the command line: one reading of each
// kind of text. Pure functions; input may be anything.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/address.h"
#include "control/settings.h"

namespace centipede {

// "vpn.example.org:5820": letters, digits, '-', '_' and '.', with a letter in the last label, so that no mistyped
// address becomes a question to the name servers.
[[nodiscard]] std::optional<control::HostEndpoint> parse_host_endpoint(std::string_view text);
[[nodiscard]] std::string text(const control::HostEndpoint& endpoint);
// A name such as parse_host_endpoint() takes, without the port.
[[nodiscard]] bool valid_host_name(std::string_view name);

// An address that one can send to as it stands: neither unspecified, nor multicast, nor IPv6 link-local.
[[nodiscard]] bool usable_remote(const IpAddress& address);

// 1 to 64 bytes of UTF-8 without control characters.
[[nodiscard]] bool valid_peer_name(std::string_view name);

// As a terminal may get it: control characters, and bytes that are no UTF-8, as "\\xNN".
[[nodiscard]] std::string printable_utf8(std::string_view text);

// Whether the name of an uplink is a pattern for several devices.
[[nodiscard]] inline bool is_pattern(std::string_view name) {
  return name.find_first_of("*?") != std::string_view::npos;
}

// Bits a second: "20000000", "20M" (k, M, G: a thousand, a million, a billion). Nothing for 0 and above 1000G.
[[nodiscard]] std::optional<uint64_t> parse_rate(std::string_view text);
[[nodiscard]] std::string rate_text(uint64_t bits_per_second);  // as short as parse_rate() reads it back

}  // namespace centipede
