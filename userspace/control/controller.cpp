#include "control/controller.h"

#include <algorithm>
#include <map>
#include <set>

#include "control/deadlines.h"
#include "control/peer.h"

namespace centipede::control {

class Controller::Impl {
 public:
  Impl(Settings settings, Randomness& randomness, PresharedKeySource* key_files)
      : settings_(std::move(settings)),
        aead_(crypto::make_sodium_aead()),
        context_{.settings = settings_, .randomness = randomness, .aead = *aead_, .key_files = key_files},
        gate_(settings_.identity, settings_.gate, randomness) {
    context_.actions.emplace_back(ShieldChanged{});
  }

  Result<PeerId> add_peer(PeerSettings settings, Now now);
  bool remove_peer(PeerId id, Now now);
  void set_uplink(Uplink uplink, Now now);
  void remove_uplink(UplinkId id, Now now);
  void on_datagram(const Route& at, ConstBytes datagram, Now now);
  void on_timer(Now now);
  void close(Now now);
  std::vector<Action> take_actions();
  Forwarding forwarding();
  std::vector<ReceiveSession> sessions() const;
  std::vector<PeerStatus> status(Now now) const;
  [[nodiscard]] Instant next_deadline() const { return deadlines_.next(); }
  [[nodiscard]] const ShieldSecrets& shield() const { return gate_.secrets(); }
  Timestamps timestamps() const;
  [[nodiscard]] uint64_t sent_limit_ns() const {
    // What an earlier process reserved stays reserved until we have sent something ourselves.
    return std::max(settings_.timestamp_floor_ns, context_.timestamp_limit_ns);
  }
  [[nodiscard]] const ControlCounters& counters() const { return context_.counters; }

 private:
  [[nodiscard]] Peer* peer_of(wire::SessionId sid);
  void on_initiation(const Route& at, ConstBytes datagram, Now now);
  [[nodiscard]] bool passes_gate(const Route& at, ConstBytes initiation, Instant now);
  void on_response(ConstBytes datagram, Now now);
  void on_cookie(const Route& at, ConstBytes datagram, Now now);
  void on_data(const Route& at, ConstBytes datagram, Now now);
  [[nodiscard]] Route complete(Route at) const;
  void uplinks_changed(bool gained, Now now);
  void settle(PeerId id);
  [[nodiscard]] AllowedIps& routes();

  Settings settings_;
  std::unique_ptr<crypto::AeadProvider> aead_;
  Context context_;
  Gate gate_;
  std::vector<std::unique_ptr<Peer>> peers_;  // by PeerId; null: removed
  std::map<crypto::PublicKeyBytes, PeerId> by_key_;
  std::shared_ptr<AllowedIps> routes_ = std::make_shared<AllowedIps>();
  bool routes_published_ = false;
  Deadlines deadlines_;
  bool closed_ = false;

  // What the workers were given last; only what changed is made anew.
  bool forwarding_changed_ = false;
  std::set<PeerId> stale_;
  PeerTable published_;
};

Result<PeerId> Controller::Impl::add_peer(PeerSettings settings, Now now) {
  const std::string who = "adding peer " + (settings.name.empty() ? settings.public_key.base64() : settings.name);
  if (closed_) return fail(who + ": the tunnel is closed");
  if (settings.public_key == crypto::PublicKey{}) return fail(who + ": it has no public key");
  if (settings.public_key == settings_.identity.public_key()) return fail(who + ": the public key is our own");
  if (by_key_.contains(settings.public_key.bytes())) return fail(who + ": another peer has this public key");
  const auto id = static_cast<PeerId>(peers_.size());
  for (const Prefix& network : settings.allowed_ips) {
    if (routes().insert(network, id)) continue;
    routes().remove(id);
    return fail(who + ": another peer has the network " + network.text());
  }
  if (settings.name.empty()) settings.name = settings.public_key.base64();
  by_key_[settings.public_key.bytes()] = id;
  peers_.push_back(std::make_unique<Peer>(id, std::move(settings), context_, now));
  peers_[id]->on_added(now);
  settle(id);
  return id;
}

bool Controller::Impl::remove_peer(PeerId id, Now now) {
  if (id >= peers_.size() || peers_[id] == nullptr) return false;
  peers_[id]->say_goodbye(now.monotonic);
  by_key_.erase(peers_[id]->settings().public_key.bytes());
  peers_[id].reset();
  routes().remove(id);
  deadlines_.set(id, never);
  stale_.insert(id);
  forwarding_changed_ = true;
  return true;
}

void Controller::Impl::set_uplink(Uplink uplink, Now now) {
  const auto known = context_.uplinks.find(uplink.id);
  const auto is_new = [&](const IpAddress& address) {
    return known == context_.uplinks.end() || !known->second.usable ||
           std::ranges::find(known->second.addresses, address) == known->second.addresses.end();
  };
  const bool gained = uplink.usable && std::ranges::any_of(uplink.addresses, is_new);
  const UplinkId id = uplink.id;
  context_.uplinks.insert_or_assign(id, std::move(uplink));
  uplinks_changed(gained, now);
}

void Controller::Impl::remove_uplink(UplinkId id, Now now) {
  const auto known = context_.uplinks.find(id);
  if (known == context_.uplinks.end()) return;
  known->second.usable = false;  // the name stays for the log lines about its paths
  uplinks_changed(false, now);
  context_.uplinks.erase(id);
}

void Controller::Impl::uplinks_changed(bool gained, Now now) {
  if (closed_) return;
  for (PeerId id = 0; id < peers_.size(); ++id) {
    if (peers_[id] == nullptr) continue;
    peers_[id]->on_uplinks_changed(gained, now);
    settle(id);
  }
}

// A receiver that does not learn the destination address leaves it empty: the uplink's own then.
Route Controller::Impl::complete(Route at) const {
  const auto uplink = context_.uplinks.find(at.uplink);
  if (at.local || uplink == context_.uplinks.end()) return at;
  const auto& addresses = uplink->second.addresses;
  const auto local = std::ranges::find(addresses, at.remote.address.family(), &IpAddress::family);
  if (local != addresses.end()) at.local = *local;
  return at;
}

void Controller::Impl::on_datagram(const Route& at, ConstBytes datagram, Now now) {
  if (closed_) return;
  switch (wire::classify(datagram)) {
    case wire::MessageType::initiation:
      return on_initiation(complete(at), datagram, now);
    case wire::MessageType::response:
      return on_response(datagram, now);
    case wire::MessageType::data:
      return on_data(complete(at), datagram, now);
    case wire::MessageType::cookie:
      return on_cookie(complete(at), datagram, now);
    case wire::MessageType::malformed:
      ++context_.counters.malformed;
      return;
  }
}

void Controller::Impl::on_initiation(const Route& at, ConstBytes datagram, Now now) {
  if (!passes_gate(at, datagram, now.monotonic)) return;
  auto opened = crypto::OpenedInitiation::open(settings_.identity, datagram);
  if (!opened) return context_.count(opened.error());
  const auto known = by_key_.find(opened->claimed_peer());
  if (known == by_key_.end()) {
    ++context_.counters.unknown_peer;
    return;
  }
  peers_[known->second]->on_initiation(*opened, datagram, at, now);
  settle(known->second);
}

bool Controller::Impl::passes_gate(const Route& at, ConstBytes initiation, Instant now) {
  if (gate_.rotate(now)) context_.actions.emplace_back(ShieldChanged{});
  switch (gate_.judge(initiation, at.remote, now)) {
    case Gate::Verdict::admit:
      return true;
    case Gate::Verdict::bad_mac1:
      ++context_.counters.bad_mac1;
      return false;
    case Gate::Verdict::source_limited:
      ++context_.counters.source_limited;
      return false;
    case Gate::Verdict::challenge:
      break;
  }
  ++context_.counters.cookies_sent;
  context_.send(at, gate_.challenge(initiation, at.remote));
  return false;
}

void Controller::Impl::on_cookie(const Route& at, ConstBytes datagram, Now now) {
  const auto sid = load_be<uint64_t>(datagram.data() + CP_OFFSET_CALL_SID);
  const auto owner = context_.sids.find(sid);
  if (owner == context_.sids.end()) {
    ++context_.counters.unexpected_cookie;
    return;
  }
  peers_[owner->second]->on_cookie(sid, datagram, at, now);
}

void Controller::Impl::on_response(ConstBytes datagram, Now now) {
  const auto sid = load_be<uint64_t>(datagram.data() + CP_OFFSET_CALL_SID);
  const auto owner = context_.sids.find(sid);
  if (owner == context_.sids.end()) {
    ++context_.counters.unexpected_response;
    return;
  }
  const PeerId id = owner->second;
  peers_[id]->on_response(sid, datagram, now);
  settle(id);
}

void Controller::Impl::on_data(const Route& at, ConstBytes datagram, Now now) {
  const auto header = wire::parse_data_header(datagram);
  if (header->number.lane != CP_CONTROL_LANE) {
    ++context_.counters.malformed;
    return;
  }
  const auto owner = context_.sids.find(header->sid);
  if (owner == context_.sids.end()) {
    ++context_.counters.unknown_session;
    return;
  }
  const PeerId id = owner->second;
  peers_[id]->on_control(header->sid, datagram, at, now);
  settle(id);
}

void Controller::Impl::on_timer(Now now) {
  for (const PeerId id : deadlines_.due(now.monotonic)) {
    peers_[id]->on_timer(now);
    settle(id);
  }
}

void Controller::Impl::close(Now now) {
  for (PeerId id = 0; id < peers_.size(); ++id) {
    if (peers_[id] == nullptr) continue;
    peers_[id]->say_goodbye(now.monotonic);
    settle(id);
  }
  closed_ = true;
}

void Controller::Impl::settle(PeerId id) {
  deadlines_.set(id, peers_[id]->next_deadline());
  if (!peers_[id]->take_changed()) return;
  stale_.insert(id);
  forwarding_changed_ = true;
}

std::vector<Action> Controller::Impl::take_actions() {
  if (std::exchange(forwarding_changed_, false)) context_.actions.emplace_back(ForwardingChanged{});
  return std::exchange(context_.actions, {});
}

Forwarding Controller::Impl::forwarding() {
  for (const PeerId id : std::exchange(stale_, {}))
    published_.set(id, peers_[id] == nullptr ? nullptr : peers_[id]->forwarding());
  routes_published_ = true;
  return {.routes = routes_, .peers = published_};
}

// For changes: what has been published stays as it is.
AllowedIps& Controller::Impl::routes() {
  if (std::exchange(routes_published_, false)) routes_ = std::make_shared<AllowedIps>(*routes_);
  return *routes_;
}

std::vector<ReceiveSession> Controller::Impl::sessions() const {
  std::vector<ReceiveSession> sessions;
  for (const auto& peer : peers_)
    if (peer != nullptr) peer->append_sessions(sessions);
  return sessions;
}

Timestamps Controller::Impl::timestamps() const {
  Timestamps kept{.sent_limit_ns = sent_limit_ns()};
  for (const auto& peer : peers_) {
    if (peer != nullptr && peer->accepted_timestamp_ns() != 0)
      kept.accepted.emplace_back(peer->settings().public_key, peer->accepted_timestamp_ns());
  }
  return kept;
}

std::vector<PeerStatus> Controller::Impl::status(Now now) const {
  std::vector<PeerStatus> rows;
  for (const auto& peer : peers_)
    if (peer != nullptr) rows.push_back(peer->status(now.monotonic));
  return rows;
}

Controller::Controller(Settings settings, Randomness& randomness, PresharedKeySource* key_files)
    : impl_(std::make_unique<Impl>(std::move(settings), randomness, key_files)) {}
Controller::~Controller() = default;
Result<PeerId> Controller::add_peer(PeerSettings peer, Now now) {
  return impl_->add_peer(std::move(peer), now);
}
bool Controller::remove_peer(PeerId peer, Now now) {
  return impl_->remove_peer(peer, now);
}
void Controller::set_uplink(Uplink uplink, Now now) {
  impl_->set_uplink(std::move(uplink), now);
}
void Controller::remove_uplink(UplinkId uplink, Now now) {
  impl_->remove_uplink(uplink, now);
}
void Controller::on_datagram(const Route& at, ConstBytes datagram, Now now) {
  impl_->on_datagram(at, datagram, now);
}
void Controller::on_timer(Now now) {
  impl_->on_timer(now);
}
void Controller::close(Now now) {
  impl_->close(now);
}
std::vector<Action> Controller::take_actions() {
  return impl_->take_actions();
}
Instant Controller::next_deadline() const {
  return impl_->next_deadline();
}
Forwarding Controller::forwarding() const {
  return impl_->forwarding();
}
std::vector<ReceiveSession> Controller::sessions() const {
  return impl_->sessions();
}
const ShieldSecrets& Controller::shield() const {
  return impl_->shield();
}
Timestamps Controller::timestamps() const {
  return impl_->timestamps();
}
uint64_t Controller::sent_limit_ns() const {
  return impl_->sent_limit_ns();
}
std::vector<PeerStatus> Controller::status(Now now) const {
  return impl_->status(now);
}
const ControlCounters& Controller::counters() const {
  return impl_->counters();
}

}  // namespace centipede::control
