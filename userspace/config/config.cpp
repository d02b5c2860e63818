#include "config/config.h"

#include <centipede/abi.h>

#include <algorithm>
#include <bit>
#include <filesystem>

#include "api/interface_json.h"
#include "api/paths.h"
#include "config/config_document.h"

namespace centipede {
namespace {

constexpr size_t file_limit = size_t{16} << 20;  // tens of thousands of peers
constexpr std::array<std::string_view, 18> interface_keys{"private_key",  "private_key_file", "address", "listen_port",
                                                          "uplinks",      "exclude_uplinks",  "workers", "mode",
                                                          "aead",         "busy_poll_us",     "mtu",     "window",
                                                          "heartbeat_ms", "rekey_seconds",    "routes",  "kill_switch",
                                                          "dns",          "dns_search"};
constexpr std::array<std::string_view, 3> sections{"interface", "uplink", "peer"};

struct FoundIdentity {
  crypto::Identity identity;
  std::string file;
};

FoundIdentity read_identity(Section& section, bool& holds_secret) {
  const auto secret = read_secret(section, "private_key", holds_secret);
  if (!secret) {
    section.source().mistake(section.position(), "[interface] has no private_key",
                             "make one with `centipede genkey -o FILE` and name it: private_key_file = \"FILE\"");
  }
  auto identity = crypto::Identity::from_base64(secret->text.trimmed());
  if (!identity) {
    const char* key = section.has("private_key") ? "private_key" : "private_key_file";
    section.source().mistake(section.position(key), std::string(key) + " holds no valid key",
                             "it must be 44 characters of base64, as `centipede genkey` prints them");
  }
  return {std::move(*identity), secret->file};
}

std::vector<Prefix> read_addresses(const Section& section) {
  Source& source = section.source();
  std::vector<Prefix> addresses;
  std::set<IpAddress> seen;
  for (const TextItem& item : section.texts("address")) {
    const auto prefix = Prefix::parse(item.text);
    if (!prefix)
      source.mistake(item.at, in_quotes(item.text) + " is no address", "write \"10.10.0.1/24\" or \"fd10::1/64\"");
    const ConstBytes raw = prefix->address.bytes();
    const bool multicast = prefix->address.is_v4() ? raw[0] >= 224 : raw[0] == 0xff;
    if (multicast || std::ranges::all_of(raw, [](uint8_t byte) { return byte == 0; })) {
      source.mistake(item.at, in_quotes(item.text) + " is no address of a host",
                     "write the address that this host shall have");
    }
    if (!seen.insert(prefix->address).second) {
      source.mistake(item.at, prefix->address.text() + " is given twice", "keep one of them");
    }
    addresses.push_back(*prefix);
  }
  return addresses;
}

// One of three words; without the key the first.
template <class Choice>
Choice read_choice(const Section& section, std::string_view key, const std::array<std::string_view, 3>& names) {
  const auto text = section.text(key);
  if (!text) return Choice{};
  const auto found = std::ranges::find(names, text->text);
  if (found != names.end()) return static_cast<Choice>(found - names.begin());
  section.source().mistake(text->at, "unknown " + std::string(key) + " " + in_quotes(text->text),
                           "use " + in_quotes(names[0]) + ", " + in_quotes(names[1]) + " or " + in_quotes(names[2]));
}

unsigned read_mtu(const Section& section) {
  constexpr int64_t least = 1280;  // what IPv6 asks of every link
  const int64_t mtu = section.number("mtu", 0, 65435).value_or(0);
  if (mtu != 0 && mtu < least) {
    section.source().mistake(section.position("mtu"), "mtu = " + std::to_string(mtu) + " is out of range",
                             "use 1280 to 65435, or 0 to have it found");
  }
  return static_cast<unsigned>(mtu);
}

unsigned read_window_bits(const Section& section) {
  const auto window = section.number("window", 1 << CP_WINDOW_BITS_MIN, 1 << CP_WINDOW_BITS_MAX);
  if (!window) return CP_WINDOW_BITS_DEFAULT;
  const auto packets = static_cast<uint64_t>(*window);
  if (!std::has_single_bit(packets)) {
    section.source().mistake(section.position("window"), "window = " + std::to_string(packets) + " is no power of two",
                             "use " + std::to_string(std::bit_ceil(packets)));
  }
  return static_cast<unsigned>(std::countr_zero(packets));
}

TunnelConfig read_document(Source& source, toml::table& document, bool& holds_secret) {
  const std::string name = std::filesystem::path(source.path()).stem().string();
  if (!api::valid_interface_name(name)) {
    throw Mistake{source.path() + ": the file's name gives the interface's, and " + in_quotes(name) +
                  " is none; use 1 to 15 visible characters without '/', ':' and '%', then .toml"};
  }
  refuse_unknown_keys(source, document, "the file", sections);
  toml::node* node = document.get("interface");
  if (node == nullptr) source.mistake({1, 1}, "there is no [interface] section", "add one with a private_key");
  if (!node->is_table()) source.mistake(node->source().begin, "interface is no table", "write [interface]");
  Section section(source, *node->as_table(), "[interface]", interface_keys);
  auto [identity, key_file] = read_identity(section, holds_secret);
  const crypto::PublicKey own = identity.public_key();
  const TunnelConfig defaults{.identity = identity.clone()};
  FoundUplinks found = read_uplinks(section, document, name);
  const auto number = [&](std::string_view key, int64_t least, int64_t most, unsigned otherwise) {
    return static_cast<unsigned>(section.number(key, least, most).value_or(otherwise));
  };
  return TunnelConfig{
      .name = name,
      .identity = std::move(identity),
      .private_key_file = std::move(key_file),
      .addresses = read_addresses(section),
      .listen_port = static_cast<uint16_t>(number("listen_port", 1, 65535, defaults.listen_port)),
      .workers = number("workers", 0, CP_MAX_WORKERS, defaults.workers),
      .mode = read_choice<ReceiveMode>(section, "mode", api::mode_names),
      .aead = read_choice<crypto::AeadChoice>(section, "aead", api::aead_names),
      .busy_poll_us = number("busy_poll_us", 0, 1'000'000, defaults.busy_poll_us),
      .mtu = read_mtu(section),
      .window_bits = read_window_bits(section),
      .heartbeat_ms = number("heartbeat_ms", 100, 60000, defaults.heartbeat_ms),
      .rekey_seconds = number("rekey_seconds", 5, 120, defaults.rekey_seconds),
      .routes = section.boolean("routes").value_or(defaults.routes),
      .kill_switch = section.boolean("kill_switch").value_or(defaults.kill_switch),
      .dns = read_name_servers(section),
      .dns_search = read_search_domains(section),
      .live = {.uplinks = std::move(found.uplinks),
               .excluded_uplinks = std::move(found.excluded),
               .peers = read_peers(source, document, own, holds_secret)},
  };
}

Result<LoadedConfig> parse_text(std::string_view text, const std::string& path, bool open_to_others) {
  Source source(path);
  try {
    bool holds_secret = false;
    toml::table document = toml::parse(text, path);
    LoadedConfig loaded{read_document(source, document, holds_secret), {}};
    if (holds_secret && open_to_others) {
      source.warn_file(path, "it holds a key and is open to other users: chmod 600 " + path);
    }
    if (loaded.tunnel.live.peers.empty()) source.warn_file(path, "there is no [[peer]]: the tunnel leads nowhere");
    loaded.warnings = std::move(source.warnings());
    return loaded;
  } catch (const toml::parse_error& error) {
    return fail(source.place(error.source().begin) + ": " + printable(error.description()) +
                    "; correct the line (the format is TOML 1.0)",
                EINVAL);
  } catch (const Mistake& mistake) {
    return fail(mistake.text, EINVAL);
  }
}

}  // namespace

Result<LoadedConfig> parse_config(std::string_view text, const std::string& path) {
  return parse_text(text, path, false);
}

Result<LoadedConfig> load_config(const std::string& path) {
  if (auto ready = crypto::initialise(); !ready) return std::unexpected(ready.error());
  auto file = read_small_file(path, file_limit);
  if (!file) {
    const bool missing = file.error().code == ENOENT;
    const char* remedy = missing ? "write one (man centipede.toml) or name another with -c"
                                 : "name a readable configuration file with -c";
    return fail(file.error().text + "; " + remedy, file.error().code);
  }
  return parse_text(file->content.text(), path, file->open_to_others);
}

}  // namespace centipede
