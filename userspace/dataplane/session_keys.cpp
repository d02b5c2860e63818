#include "dataplane/session_keys.h"

#include <unordered_map>

namespace centipede {

std::vector<SessionKey> session_keys(const control::Controller& controller, const Now& now) {
  std::unordered_map<control::PeerId, std::string> names;
  for (const control::PeerStatus& peer : controller.status(now))
    names.emplace(peer.id, peer.name);
  const std::vector<control::ReceiveSession> sessions = controller.sessions();
  std::vector<SessionKey> keys;
  keys.reserve(2 * sessions.size());
  const auto add = [&](const control::ReceiveSession& one, wire::SessionId sid, const crypto::TrafficKey& key,
                       bool sending) {
    keys.push_back({.sid = sid, .key = {key.key.clone(), key.iv}, .sending = sending, .peer = names[one.peer]});
  };
  for (const control::ReceiveSession& one : sessions) {
    add(one, one.session->local_sid(), one.session->receive_key(), false);
    add(one, one.session->peer_sid(), one.session->send_key(), true);
  }
  return keys;
}

}  // namespace centipede
