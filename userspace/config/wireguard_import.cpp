#include "config/wireguard_import.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <set>

#include "api/json_text.h"
#include "base/address.h"
#include "config/config_text.h"
#include "config/wireguard_lines.h"
#include "crypto/keys.h"
#include "dataplane/setting_texts.h"

namespace centipede {
namespace {

// Each once, in the order of the file.
struct Texts {
  std::vector<std::string> all;
  std::set<std::string> known;
  void add(const std::string& text) {
    if (known.insert(text).second) all.push_back(text);
  }
};

struct ImportedPeer {
  unsigned line = 0;
  std::string public_key;
  std::string preshared_key;
  std::vector<Prefix> allowed_ips;
  Texts endpoints;
};

struct ImportedTunnel {
  std::vector<std::string> addresses;
  std::optional<unsigned> listen_port;
  std::optional<unsigned> mtu;
  bool routes = true;
  Texts dns;
  Texts dns_search;
  std::vector<ImportedPeer> peers;
};

std::optional<unsigned> number_in(std::string_view text, unsigned most) {
  unsigned number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number > most) return std::nullopt;
  return number;
}

class Import {
 public:
  Import(std::string path, std::string tunnel) : path_(std::move(path)), tunnel_name_(std::move(tunnel)) {}

  Result<Imported> run(std::string_view text) {
    const auto lines = wireguard_lines(text);
    bool any_section = false;
    for (const WireGuardLine& line : lines) {
      Result<void> taken;
      if (!line.well_formed) {
        taken = mistake(line, "is neither a [Section] nor a Key = value", "is this a WireGuard configuration?");
      } else if (line.key.empty()) {
        taken = begin_section(line);
        any_section = true;
      } else {
        taken = take(line);
      }
      if (!taken) return std::unexpected(taken.error());
    }
    if (!any_section) {
      return fail(path_ + ": it has no [Interface] and no [Peer]; give it a WireGuard configuration such as wg0.conf",
                  EINVAL);
    }
    settle_networks();
    if (tunnel_.dns.all.empty() && !tunnel_.dns_search.all.empty()) {
      note(domain_line_, "domains without a name server to ask: left out");
    }
    return Imported{config(), std::move(notes_)};
  }

 private:
  using Taker = Result<void> (Import::*)(const WireGuardLine&);
  struct Row {
    std::string_view key;  // in lower case
    Taker taker;           // null: never carried over
    const char* why;       // then
  };
  static const std::vector<Row>& interface_rows();
  static const std::vector<Row>& peer_rows();

  std::unexpected<Error> mistake(const WireGuardLine& line, const std::string& what, const std::string& remedy) const {
    const std::string shown = line.key.empty() ? "this line" : line.key;
    return fail(fmt::format("{}:{}: {} {}; {}", path_, line.number, shown, what, remedy), EINVAL);
  }
  void note(const WireGuardLine& line, const std::string& why) {
    notes_.push_back(fmt::format("{}:{}: {}: {}", path_, line.number, line.key, why));
  }

  Result<void> begin_section(const WireGuardLine& line);
  Result<void> take(const WireGuardLine& line);
  Result<void> take_address(const WireGuardLine& line);
  Result<void> take_port(const WireGuardLine& line);
  Result<void> take_mtu(const WireGuardLine& line);
  Result<void> take_table(const WireGuardLine& line);
  Result<void> take_dns(const WireGuardLine& line);
  Result<void> take_public_key(const WireGuardLine& line);
  Result<void> take_preshared_key(const WireGuardLine& line);
  Result<void> take_allowed_ips(const WireGuardLine& line);
  Result<void> take_endpoint(const WireGuardLine& line);
  void settle_networks();
  [[nodiscard]] std::string config() const;
  [[nodiscard]] std::string peer_text(const ImportedPeer& peer, size_t number) const;

  std::string path_;
  std::string tunnel_name_;
  ImportedTunnel tunnel_;
  std::set<IpAddress> addresses_;
  WireGuardLine domain_line_;
  bool in_peer_ = false;
  bool in_section_ = false;
  std::vector<std::string> notes_;
};

constexpr const char* for_hooks =
    "not run: call it yourself, or from a drop-in of the systemd unit (ExecStartPre=, ExecStartPost=, ExecStopPost=)";

const std::vector<Import::Row>& Import::interface_rows() {
  static const std::vector<Row> rows{
      {"privatekey", nullptr,
       "WireGuard's keys are of another kind (X25519, ours are Ed25519): make one with `centipede genkey -o FILE`"},
      {"address", &Import::take_address, nullptr},
      {"listenport", &Import::take_port, nullptr},
      {"mtu", &Import::take_mtu, nullptr},
      {"table", &Import::take_table, nullptr},
      {"dns", &Import::take_dns, nullptr},
      {"fwmark", nullptr, "not needed: our sockets are bound to their uplinks, so the tunnel never carries itself"},
      {"saveconfig", nullptr, "there is no saving at the end: `centipede export` prints the settings in force"},
      {"preup", nullptr, for_hooks},
      {"postup", nullptr, for_hooks},
      {"predown", nullptr, for_hooks},
      {"postdown", nullptr, for_hooks}};
  return rows;
}

const std::vector<Import::Row>& Import::peer_rows() {
  static const std::vector<Row> rows{
      {"publickey", &Import::take_public_key, nullptr},
      {"presharedkey", &Import::take_preshared_key, nullptr},
      {"allowedips", &Import::take_allowed_ips, nullptr},
      {"endpoint", &Import::take_endpoint, nullptr},
      {"persistentkeepalive", nullptr,
       "not needed: heartbeats keep each path open, four a second unless heartbeat_ms says otherwise"}};
  return rows;
}

Result<void> Import::begin_section(const WireGuardLine& line) {
  in_section_ = true;
  in_peer_ = line.section == "peer";
  if (in_peer_) {
    tunnel_.peers.push_back({.line = line.number});
  } else if (line.section != "interface") {
    return mistake(line, "begins a section that WireGuard does not have", "there are [Interface] and [Peer]");
  }
  return {};
}

Result<void> Import::take(const WireGuardLine& line) {
  if (!in_section_) return mistake(line, "stands before any section", "begin with [Interface]");
  const auto& rows = in_peer_ ? peer_rows() : interface_rows();
  const auto row = std::ranges::find(rows, line.lower_key, &Row::key);
  if (row == rows.end()) {
    note(line, std::string("not known in ") + (in_peer_ ? "[Peer]" : "[Interface]") + " of WireGuard: left out");
    return {};
  }
  if (row->taker != nullptr) return (this->*row->taker)(line);
  note(line, row->why);
  return {};
}

Result<void> Import::take_address(const WireGuardLine& line) {
  for (const auto& text : line.values()) {
    const auto prefix = Prefix::parse(text);
    if (!prefix || !(prefix->address.is_link_local() || usable_remote(prefix->address))) {
      return mistake(line, api::in_quotes(text) + " is no address of a host", "write 10.0.0.1/24 or fd00::1/64");
    }
    if (addresses_.insert(prefix->address).second) {
      tunnel_.addresses.push_back(prefix->text());
    } else {
      note(line, prefix->text() + " is given already: the first counts");
    }
  }
  return {};
}

Result<void> Import::take_port(const WireGuardLine& line) {
  const auto port = number_in(line.value, 65535);
  if (!port) return mistake(line, "is no port", "write 1 to 65535");
  if (*port == 0) {
    note(line, "a port by chance is not to be had: 5820 is used");
    return {};
  }
  tunnel_.listen_port = port;
  return {};
}

Result<void> Import::take_mtu(const WireGuardLine& line) {
  constexpr unsigned least = 1280;
  constexpr unsigned most = 65435;
  const auto mtu = number_in(line.value, 65535);
  if (!mtu) return mistake(line, "is no MTU", "write a number of bytes, such as 1420");
  if (*mtu < least || *mtu > most) {
    note(line, "outside 1280 to 65435: the MTU is taken from the uplinks instead");
  } else {
    tunnel_.mtu = mtu;
  }
  return {};
}

Result<void> Import::take_table(const WireGuardLine& line) {
  if (line.value == "auto" || line.value == "main") return {};
  tunnel_.routes = false;
  if (line.value != "off")
    note(line, "routes go to the main table or nowhere: routes = false, add yours to that table yourself");
  return {};
}

Result<void> Import::take_dns(const WireGuardLine& line) {
  for (const auto& text : line.values()) {
    if (const auto address = IpAddress::parse(text)) {
      if (!usable_remote(*address)) return mistake(line, text + " is no address of a name server", "write its own");
      tunnel_.dns.add(address->text());
    } else if (valid_host_name(text)) {
      tunnel_.dns_search.add(text);
      domain_line_ = line;
    } else {
      return mistake(line, api::in_quotes(text) + " is neither a name server nor a domain",
                     "write 10.0.0.53 or corp.example");
    }
  }
  return {};
}

Result<void> Import::take_public_key(const WireGuardLine& line) {
  if (!crypto::secret_from_base64(line.value))
    return mistake(line, "is no key", "WireGuard's have 44 characters of base64");
  const auto same = std::ranges::find(tunnel_.peers, line.value, &ImportedPeer::public_key);
  if (same != tunnel_.peers.end()) {
    note(line, fmt::format("the peer of line {} has this key too: join the two sections", same->line));
  }
  tunnel_.peers.back().public_key = line.value;
  note(line, "WireGuard's keys are of another kind: fill in what `centipede pubkey` prints on the other side");
  return {};
}

Result<void> Import::take_preshared_key(const WireGuardLine& line) {
  if (!crypto::secret_from_base64(line.value))
    return mistake(line, "is no key", "`wg genpsk` prints 44 characters of base64");
  tunnel_.peers.back().preshared_key = line.value;
  return {};
}

Result<void> Import::take_allowed_ips(const WireGuardLine& line) {
  for (const auto& text : line.values()) {
    const auto prefix = Prefix::parse(text);
    if (!prefix) return mistake(line, api::in_quotes(text) + " is no network", "write 10.0.0.2/32 or fd00::/64");
    tunnel_.peers.back().allowed_ips.push_back(prefix->network());
  }
  return {};
}

Result<void> Import::take_endpoint(const WireGuardLine& line) {
  const auto endpoint = Endpoint::parse(line.value);
  if (endpoint ? !usable_remote(endpoint->address) : !parse_host_endpoint(line.value)) {
    return mistake(line, api::in_quotes(line.value) + " is no endpoint",
                   "write 203.0.113.5:51820 or vpn.example.org:51820");
  }
  tunnel_.peers.back().endpoints.add(line.value);
  return {};
}

// WireGuard gives a network that several peers name to the last of them; ours may be named once.
void Import::settle_networks() {
  std::map<Prefix, size_t> owners;
  for (size_t i = 0; i < tunnel_.peers.size(); ++i) {
    for (const Prefix& network : tunnel_.peers[i].allowed_ips)
      owners[network] = i;
  }
  for (size_t i = 0; i < tunnel_.peers.size(); ++i) {
    auto& peer = tunnel_.peers[i];
    std::set<Prefix> seen;
    std::erase_if(peer.allowed_ips, [&](const Prefix& network) { return !seen.insert(network).second; });
    std::erase_if(peer.allowed_ips, [&](const Prefix& network) {
      const ImportedPeer& owner = tunnel_.peers[owners[network]];
      if (&owner == &peer) return false;
      notes_.push_back(fmt::format("{}:{}: AllowedIPs: {} goes to the peer of line {}, as WireGuard has it", path_,
                                   peer.line, network.text(), owner.line));
      return true;
    });
  }
}

std::string Import::peer_text(const ImportedPeer& peer, size_t number) const {
  std::string out = fmt::format("\n[[peer]]\nname = \"peer-{}\"\n", number);
  if (!peer.public_key.empty()) out += "# In WireGuard: " + peer.public_key + "\n";
  out += "public_key = \"FILL IN what `centipede pubkey` prints on the other side\"\n";
  if (!peer.preshared_key.empty()) out += "preshared_key = " + toml_text(peer.preshared_key) + "\n";
  std::vector<std::string> networks;
  networks.reserve(peer.allowed_ips.size());
  for (const Prefix& network : peer.allowed_ips)
    networks.push_back(network.text());
  if (!networks.empty()) out += "allowed_ips = " + toml_list(networks) + "\n";
  if (!peer.endpoints.all.empty()) out += "endpoints = " + toml_list(peer.endpoints.all) + "\n";
  return out;
}

std::string Import::config() const {
  std::string out = "# Out of " + api::in_quotes(path_) + ", a WireGuard configuration.\n[interface]\n";
  out += "private_key_file = " + toml_text(tunnel_name_ + ".key") + "    # centipede genkey -o, beside this file\n";
  if (!tunnel_.addresses.empty()) out += "address = " + toml_list(tunnel_.addresses) + "\n";
  if (tunnel_.listen_port) out += fmt::format("listen_port = {}\n", *tunnel_.listen_port);
  out += "uplinks = [\"en*\", \"eth*\", \"wl*\", \"ww*\", \"usb*\"]    # name those that shall be used\n";
  if (tunnel_.mtu) out += fmt::format("mtu = {}\n", *tunnel_.mtu);
  if (!tunnel_.routes) out += "routes = false\n";
  if (!tunnel_.dns.all.empty()) {
    out += "dns = " + toml_list(tunnel_.dns.all) + "\n";
    if (!tunnel_.dns_search.all.empty()) out += "dns_search = " + toml_list(tunnel_.dns_search.all) + "\n";
  }
  for (size_t i = 0; i < tunnel_.peers.size(); ++i)
    out += peer_text(tunnel_.peers[i], i + 1);
  return out;
}

}  // namespace

Result<Imported> import_wireguard(std::string_view text, const std::string& path, const std::string& tunnel) {
  return Import(path, tunnel).run(text);
}

}  // namespace centipede
