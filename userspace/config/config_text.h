// A tunnel's settings written as a configuration file that config/config.h reads back to the same ones. Pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/config_json.h"
#include "api/interface_json.h"
#include "dataplane/tunnel_status.h"

namespace centipede {

// `status` is told in comments. What is secret is a comment that says what to fill in.
[[nodiscard]] std::string config_text(const TunnelStatus& status, const api::InterfaceSettings& interface,
                                      const api::ShownSettings& shown);

// The parts: a text in quotes, with escapes; a list of them; one [[peer]] section (`hidden_key`: there is a preshared
// key that is not shown).
[[nodiscard]] std::string toml_text(std::string_view text);
[[nodiscard]] std::string toml_list(const std::vector<std::string>& texts);
[[nodiscard]] std::string peer_section(const control::PeerSettings& peer, bool hidden_key);

}  // namespace centipede
