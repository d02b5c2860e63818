#include <algorithm>
#include <charconv>
#include <map>

#include "cli/config_document.h"

namespace centipede::cli {
namespace {

constexpr std::array<std::string_view, 7> peer_keys{"name",        "public_key", "preshared_key", "preshared_key_file",
                                                    "allowed_ips", "endpoints",  "policy"};

// What has been seen in earlier peers, with the place, for what must be unique among them.
struct Seen {
  std::map<std::string, std::string> names;
  std::map<crypto::PublicKey, std::string> keys;
  std::map<Prefix, std::string> networks;
};

crypto::PublicKey read_public_key(const Section& section, const crypto::PublicKey& own, Seen& seen) {
  const Source& source = section.source();
  const auto text = section.text("public_key");
  if (!text)
    source.mistake(section.position(), "this peer has no public_key", "add what its `centipede pubkey` prints");
  const auto key = crypto::PublicKey::from_base64(text->text);
  if (!key) {
    source.mistake(text->at, "public_key is no valid key",
                   "it must be 44 characters of base64 for a sound key, as `centipede pubkey` prints them");
  }
  if (*key == own) {
    source.mistake(text->at, "public_key is this host's own key", "write the key of the other side");
  }
  const auto [earlier, is_new] = seen.keys.emplace(*key, source.place(text->at));
  if (!is_new)
    source.mistake(text->at, "this public_key is that of the peer at " + earlier->second, "keep one of them");
  return *key;
}

std::string read_name(const Section& section, const crypto::PublicKey& key, Seen& seen) {
  constexpr size_t longest = 64;
  const Source& source = section.source();
  const auto text = section.text("name");
  const TextItem name = text ? *text : TextItem{key.base64().substr(0, 8), section.position()};
  const auto printable = [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f; };
  if (name.text.empty() || name.text.size() > longest || !std::ranges::all_of(name.text, printable)) {
    source.mistake(name.at, "name is empty, longer than 64 bytes or not printable", "give the peer a short name");
  }
  const auto [earlier, is_new] = seen.names.emplace(name.text, source.place(name.at));
  if (!is_new) {
    source.mistake(name.at, "the name " + in_quotes(name.text) + " is that of the peer at " + earlier->second,
                   "give each peer a name of its own");
  }
  return name.text;
}

std::vector<Prefix> read_allowed_ips(const Section& section, Seen& seen) {
  Source& source = section.source();
  std::vector<Prefix> networks;
  std::set<Prefix> own;
  for (const TextItem& item : section.texts("allowed_ips")) {
    const auto prefix = Prefix::parse(item.text);
    if (!prefix) {
      source.mistake(item.at, in_quotes(item.text) + " is no network", "write \"10.10.0.2/32\" or \"fd10::/64\"");
    }
    const Prefix network = prefix->network();
    if (network != *prefix) {
      source.warn(item.at, item.text + " has bits beyond its length: taken as " + network.text());
    }
    if (!own.insert(network).second) {
      source.warn(item.at, network.text() + " is given twice for this peer");
      continue;
    }
    const auto [earlier, is_new] = seen.networks.emplace(network, source.place(item.at));
    if (!is_new) {
      source.mistake(item.at, network.text() + " is allowed to the peer at " + earlier->second + " already",
                     "give each network to one peer (a longer prefix inside it may go to another)");
    }
    networks.push_back(network);
  }
  return networks;
}

bool usable_remote(const IpAddress& address) {
  const ConstBytes raw = address.bytes();
  const bool unspecified = std::ranges::all_of(raw, [](uint8_t byte) { return byte == 0; });
  const bool multicast = address.is_v4() ? raw[0] >= 224 : raw[0] == 0xff;
  // An IPv6 link-local address means nothing without a device.
  return !unspecified && !multicast && !(address.is_v6() && address.is_link_local());
}

struct NamedEndpoint {
  std::string host;
  uint16_t port = 0;
};

// "vpn.example.org:5820": letters, digits, '-' and '.' with a letter in the last label, so that no mistyped address
// becomes a question to the name servers.
std::optional<NamedEndpoint> parse_named(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0 || colon > 253) return std::nullopt;
  const std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc{} || end != digits.data() + digits.size() || port == 0) return std::nullopt;
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const auto allowed = [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_'; };
  const std::string_view last_label = host.substr(host.rfind('.') + 1);
  const bool named = std::ranges::all_of(host, allowed) && std::ranges::any_of(last_label, letter) &&
                     host.front() != '.' && host.front() != '-' && host.find("..") == std::string_view::npos;
  if (!named) return std::nullopt;
  return NamedEndpoint{std::string(host), port};
}

std::vector<Endpoint> resolve(const TextItem& item, const NamedEndpoint& named, Source& source,
                              const Resolver& resolver) {
  const auto addresses = resolver(named.host);
  if (!addresses) {
    source.warn(item.at, addresses.error().text + ": the endpoint is left out until the file is loaded again");
    return {};
  }
  std::vector<Endpoint> endpoints;
  for (const IpAddress& address : *addresses) {
    if (usable_remote(address)) endpoints.push_back({address, named.port});
  }
  return endpoints;
}

std::vector<Endpoint> read_endpoints(const Section& section, const Resolver& resolver) {
  Source& source = section.source();
  std::vector<Endpoint> endpoints;
  std::set<Endpoint> seen;
  for (const TextItem& item : section.texts("endpoints")) {
    std::vector<Endpoint> found;
    if (const auto endpoint = Endpoint::parse(item.text)) {
      if (!usable_remote(endpoint->address)) {
        source.mistake(item.at, in_quotes(item.text) + " is no address that one can send to",
                       "write the peer's own, reachable address");
      }
      found = {*endpoint};
    } else if (const auto named = parse_named(item.text)) {
      found = resolve(item, *named, source, resolver);
    } else {
      source.mistake(item.at, in_quotes(item.text) + " is no endpoint",
                     "write \"203.0.113.5:5820\", \"[2001:db8::1]:5820\" or \"vpn.example.org:5820\"");
    }
    for (const Endpoint& endpoint : found) {
      if (seen.insert(endpoint).second) endpoints.push_back(endpoint);
    }
  }
  return endpoints;
}

control::Policy read_policy(const Section& section) {
  const auto text = section.text("policy");
  if (!text || text->text == "redundant") return control::Policy::redundant;
  if (text->text == "backup") return control::Policy::backup;
  const bool planned = text->text == "aggregate" || text->text == "adaptive";
  const std::string what =
      planned ? "policy " + in_quotes(text->text) + " is not available yet" : "unknown policy " + in_quotes(text->text);
  section.source().mistake(text->at, what, "use \"redundant\" or \"backup\"");
}

control::PeerSettings read_peer(Section& section, const crypto::PublicKey& own, const Resolver& resolver, Seen& seen,
                                bool& holds_secret) {
  control::PeerSettings peer;
  peer.public_key = read_public_key(section, own, seen);
  peer.name = read_name(section, peer.public_key, seen);
  if (const auto secret = read_secret(section, "preshared_key", holds_secret)) {
    auto read = crypto::secret_from_base64(secret->text.trimmed());
    peer.preshared_key_file = secret->file;
    if (read) {
      peer.preshared_key = std::make_shared<const crypto::SecretKey>(std::move(*read));
    } else {
      const char* key = section.has("preshared_key") ? "preshared_key" : "preshared_key_file";
      section.source().mistake(section.position(key), std::string(key) + " holds no valid key",
                               "it must be 44 characters of base64, as `centipede genpsk` prints them");
    }
  }
  peer.allowed_ips = read_allowed_ips(section, seen);
  peer.endpoints = read_endpoints(section, resolver);
  peer.policy = read_policy(section);
  return peer;
}

}  // namespace

std::vector<control::PeerSettings> read_peers(Source& source, toml::table& document, const crypto::PublicKey& own,
                                              const Resolver& resolver, bool& holds_secret) {
  toml::node* node = document.get("peer");
  if (node == nullptr) return {};
  toml::array* rows = node->as_array();
  if (rows == nullptr)
    source.mistake(node->source().begin, "peer is no list of tables", "write [[peer]] in double brackets");
  std::vector<control::PeerSettings> peers;
  Seen seen;
  for (toml::node& row : *rows) {
    if (!row.is_table()) source.mistake(row.source().begin, "this peer is no table", "begin each peer with [[peer]]");
    Section section(source, *row.as_table(), "[[peer]]", peer_keys);
    peers.push_back(read_peer(section, own, resolver, seen, holds_secret));
  }
  return peers;
}

}  // namespace centipede::cli
