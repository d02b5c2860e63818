#include <algorithm>

#include "api/json_text.h"
#include "api/peer_json.h"
#include "api/resources.h"

namespace centipede::api {
namespace {

// Names and keys that are there already get an error of their own; all else is the tunnel's to judge.
Result<void> check_unique(const TunnelSettings& settings, const control::PeerSettings& peer) {
  size_t of_name = 0;
  size_t of_key = 0;
  for (const control::PeerSettings& other : settings.peers) {
    of_name += other.name == peer.name ? 1 : 0;
    of_key += other.public_key == peer.public_key ? 1 : 0;
  }
  if (of_key > 1)
    return fail("there is a peer with this public key already: change that one, or remove it first", EEXIST);
  if (of_name > 1)
    return fail("there is a peer called " + in_quotes(peer.name) + " already: take another name", EEXIST);
  return {};
}

}  // namespace

Result<control::PeerSettings*> find_peer(TunnelSettings& settings, const std::string& name_or_key) {
  auto found = std::ranges::find(settings.peers, name_or_key, &control::PeerSettings::name);
  if (found == settings.peers.end()) {
    const auto has_key = [&](const control::PeerSettings& peer) { return peer.public_key.base64() == name_or_key; };
    found = std::ranges::find_if(settings.peers, has_key);
  }
  if (found != settings.peers.end()) return &*found;
  return fail("no peer has the name or public key " + in_quotes(name_or_key) + ": see the list of peers", ENOENT);
}

Result<ApiAnswer> list_peers(const Call& call) {
  const auto settings = call.context.tunnel.settings();
  if (!settings) return std::unexpected(settings.error());
  return text_answer(with_list(nlohmann::json::object(), "peers", settings->peers, peer_settings_json));
}

Result<ApiAnswer> add_peer(const Call& call) {
  auto body = parse_secret_json(call.request.body);
  if (!body) return std::unexpected(body.error());
  const auto given = peer_from_json(**body);
  if (!given) return std::unexpected(given.error());
  const auto peer = settled(*given, nullptr);
  if (!peer) return std::unexpected(peer.error());
  const auto changed = call.context.tunnel.change([&](TunnelSettings& settings) -> Result<void> {
    settings.peers.push_back(*peer);
    return check_unique(settings, *peer);
  });
  if (!changed) return std::unexpected(changed.error());
  return json_answer(peer_settings_json(*peer));
}

Result<ApiAnswer> show_peer(const Call& call) {
  auto settings = call.context.tunnel.settings();
  if (!settings) return std::unexpected(settings.error());
  const auto peer = find_peer(*settings, call.names[0]);
  if (!peer) return std::unexpected(peer.error());
  return json_answer(peer_settings_json(**peer));
}

Result<ApiAnswer> patch_peer(const Call& call) {
  auto body = parse_secret_json(call.request.body);
  if (!body) return std::unexpected(body.error());
  const auto patch = PeerPatch::from_json(std::move(**body));
  if (!patch) return std::unexpected(patch.error());
  control::PeerSettings after;
  const auto changed = call.context.tunnel.change([&](TunnelSettings& settings) -> Result<void> {
    const auto peer = find_peer(settings, call.names[0]);
    if (!peer) return std::unexpected(peer.error());
    auto patched = patch->applied_to(**peer);
    if (!patched) return std::unexpected(patched.error());
    **peer = after = std::move(*patched);
    return check_unique(settings, after);
  });
  if (!changed) return std::unexpected(changed.error());
  return json_answer(peer_settings_json(after));
}

Result<ApiAnswer> remove_peer(const Call& call) {
  const auto changed = call.context.tunnel.change([&](TunnelSettings& settings) -> Result<void> {
    const auto peer = find_peer(settings, call.names[0]);
    if (!peer) return std::unexpected(peer.error());
    settings.peers.erase(settings.peers.begin() + (*peer - settings.peers.data()));
    return {};
  });
  if (!changed) return std::unexpected(changed.error());
  return done();
}

}  // namespace centipede::api
