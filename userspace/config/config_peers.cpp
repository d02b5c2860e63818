#include <algorithm>
#include <map>

#include "api/paths.h"
#include "config/config_document.h"
#include "dataplane/setting_texts.h"

namespace centipede {
namespace {

constexpr std::array<std::string_view, 8> peer_keys{"name",        "public_key", "preshared_key", "preshared_key_file",
                                                    "allowed_ips", "endpoints",  "policy",        "path"};
constexpr std::array<std::string_view, 3> path_keys{"uplink", "enabled", "priority"};

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
  const Source& source = section.source();
  const auto text = section.text("name");
  const TextItem name = text ? *text : TextItem{key.base64().substr(0, 8), section.position()};
  if (!valid_peer_name(name.text)) {
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

void read_endpoints(const Section& section, control::PeerSettings& peer) {
  const Source& source = section.source();
  std::set<Endpoint> seen;
  std::set<control::HostEndpoint> seen_hosts;
  for (const TextItem& item : section.texts("endpoints")) {
    if (const auto endpoint = Endpoint::parse(item.text)) {
      if (!usable_remote(endpoint->address)) {
        source.mistake(item.at, in_quotes(item.text) + " is no address that one can send to",
                       "write the peer's own, reachable address");
      }
      if (seen.insert(*endpoint).second) peer.endpoints.push_back(*endpoint);
    } else if (const auto host = parse_host_endpoint(item.text)) {
      if (seen_hosts.insert(*host).second) peer.host_endpoints.push_back(*host);
    } else {
      source.mistake(item.at, in_quotes(item.text) + " is no endpoint",
                     "write \"203.0.113.5:5820\", \"[2001:db8::1]:5820\" or \"vpn.example.org:5820\"");
    }
  }
}

// The [[peer.path]] tables.
std::vector<control::PathSettings> read_paths(const Section& section) {
  constexpr size_t most_paths = 64;
  Source& source = section.source();
  std::vector<control::PathSettings> paths;
  for (toml::table* row : section.tables("path")) {
    const Section path(source, *row, "[[peer.path]]", path_keys);
    const auto uplink = path.text("uplink");
    if (!uplink) source.mistake(path.position(), "this path has no uplink", "add uplink = \"eth0\"");
    if (!api::valid_interface_name(uplink->text) || is_pattern(uplink->text)) {
      source.mistake(uplink->at, in_quotes(uplink->text) + " is no name of a device", device_name_rule);
    }
    if (paths.size() == most_paths) source.mistake(uplink->at, "more than 64 paths of one peer", "leave some out");
    if (std::ranges::find(paths, uplink->text, &control::PathSettings::uplink) != paths.end()) {
      source.mistake(uplink->at, "the path over " + in_quotes(uplink->text) + " is given twice", "keep one of them");
    }
    paths.push_back({uplink->text, path.boolean("enabled").value_or(true), read_priority(path)});
  }
  return paths;
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

control::PeerSettings read_peer(Section& section, const crypto::PublicKey& own, Seen& seen, bool& holds_secret) {
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
  read_endpoints(section, peer);
  peer.policy = read_policy(section);
  peer.paths = read_paths(section);
  return peer;
}

}  // namespace

std::vector<control::PeerSettings> read_peers(Source& source, toml::table& document, const crypto::PublicKey& own,
                                              bool& holds_secret) {
  std::vector<control::PeerSettings> peers;
  Seen seen;
  for (toml::table* row : tables_of(source, document, "peer", "[[peer]]")) {
    Section section(source, *row, "[[peer]]", peer_keys);
    peers.push_back(read_peer(section, own, seen, holds_secret));
  }
  return peers;
}

}  // namespace centipede
