#include "config/config_text.h"

#include <spdlog/fmt/fmt.h>

#include <set>

#include "api/status_json.h"
#include "dataplane/setting_texts.h"

namespace centipede {
namespace {

template <class T>
std::vector<std::string> texts_of(const std::vector<T>& values) {
  std::vector<std::string> texts;
  texts.reserve(values.size());
  for (const T& value : values)
    texts.push_back(value.text());
  return texts;
}

std::string uplink_section(const UplinkSettings& uplink) {
  std::string out = "\n[[uplink]]\nname = " + toml_text(uplink.name) + "\n";
  if (uplink.priority) out += fmt::format("priority = {}\n", *uplink.priority);
  if (uplink.metered) out += "metered = true\n";
  if (uplink.rate_bps != 0) out += "rate = " + toml_text(rate_text(uplink.rate_bps)) + "\n";
  return out;
}

std::string path_section(const control::PathSettings& path) {
  std::string out = "\n[[peer.path]]\nuplink = " + toml_text(path.uplink) + "\n";
  if (!path.enabled) out += "enabled = false\n";
  if (path.priority) out += fmt::format("priority = {}\n", *path.priority);
  return out;
}

// All of them, so that a later version with other defaults reads the same tunnel.
std::string interface_lines(const api::InterfaceSettings& interface) {
  std::string out;
  if (interface.private_key_file.empty()) {
    out += "# private_key_file = \"FILE\"    fill in: the key of this tunnel is not shown\n";
  } else {
    out += "private_key_file = " + toml_text(interface.private_key_file) + "\n";
  }
  if (!interface.addresses.empty()) out += "address = " + toml_list(texts_of(interface.addresses)) + "\n";
  out += fmt::format("listen_port = {}\nworkers = {}\n", interface.listen_port, interface.workers);
  out += "mode = " + toml_text(api::name_of(interface.mode, api::mode_names)) + "\n";
  out += "aead = " + toml_text(api::name_of(interface.aead, api::aead_names)) + "\n";
  out += fmt::format("busy_poll_us = {}\nmtu = {}\nwindow = {}\n", interface.busy_poll_us, interface.mtu,
                     uint64_t{1} << interface.window_bits);
  out += fmt::format("heartbeat_ms = {}\nrekey_seconds = {}\n", interface.heartbeat_ms, interface.rekey_seconds);
  out += fmt::format("routes = {}\nkill_switch = {}\n", interface.routes, interface.kill_switch);
  if (!interface.dns.empty()) out += "dns = " + toml_list(texts_of(interface.dns)) + "\n";
  if (!interface.dns_search.empty()) out += "dns_search = " + toml_list(interface.dns_search) + "\n";
  return out;
}

}  // namespace

std::string toml_text(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string toml_list(const std::vector<std::string>& texts) {
  std::string out = "[";
  for (const auto& text : texts)
    out += (out.size() == 1 ? "" : ", ") + toml_text(text);
  return out + "]";
}

std::string peer_section(const control::PeerSettings& peer, bool hidden_key) {
  std::string out = "\n[[peer]]\nname = " + toml_text(peer.name) + "\n";
  out += "public_key = " + toml_text(peer.public_key.base64()) + "\n";
  if (!peer.preshared_key_file.empty()) {
    out += "preshared_key_file = " + toml_text(peer.preshared_key_file) + "\n";
  } else if (hidden_key) {
    out += "# preshared_key_file = \"FILE\"    fill in: this peer has a preshared key, which is not shown\n";
  }
  if (!peer.allowed_ips.empty()) out += "allowed_ips = " + toml_list(texts_of(peer.allowed_ips)) + "\n";
  std::vector<std::string> endpoints = texts_of(peer.endpoints);
  for (const auto& host : peer.host_endpoints)
    endpoints.push_back(text(host));
  if (!endpoints.empty()) out += "endpoints = " + toml_list(endpoints) + "\n";
  out += "policy = " + toml_text(api::policy_name(peer.policy)) + "\n";
  for (const auto& path : peer.paths)
    out += path_section(path);
  return out;
}

std::string config_text(const TunnelStatus& status, const api::InterfaceSettings& interface,
                        const api::ShownSettings& shown) {
  const TunnelSettings& settings = shown.settings;
  std::string out = "# The tunnel " + status.name + " as it runs, from centipede " + status.version + ".\n" +
                    fmt::format("# In force: an MTU of {}, AEAD {}, public key {}.\n[interface]\n", status.mtu,
                                status.aead, status.public_key.base64()) +
                    interface_lines(interface);
  std::vector<std::string> names;
  names.reserve(settings.uplinks.size());
  for (const auto& uplink : settings.uplinks)
    names.push_back(uplink.name);
  if (!names.empty()) out += "uplinks = " + toml_list(names) + "\n";
  if (!settings.excluded_uplinks.empty()) out += "exclude_uplinks = " + toml_list(settings.excluded_uplinks) + "\n";
  for (const auto& uplink : settings.uplinks) {
    if (uplink != UplinkSettings{.name = uplink.name}) out += uplink_section(uplink);
  }
  const std::set<crypto::PublicKey> with_key(shown.with_preshared_key.begin(), shown.with_preshared_key.end());
  for (const auto& peer : settings.peers)
    out += peer_section(peer, with_key.contains(peer.public_key));
  return out;
}

}  // namespace centipede
