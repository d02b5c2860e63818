#include "control/controller.h"

#include <algorithm>
#include <set>
#include <unordered_map>
#include <vector>

#include "control/deadlines.h"
#include "control/former_peers.h"
#include "control/peer.h"
#include "control/peer_rules.h"

namespace centipede::control {

class Controller::Impl {
 public:
  Impl(Settings settings, Randomness& randomness, PresharedKeySource* key_files)
      : settings_(std::move(settings)),
        aead_(crypto::make_sodium_aead()),
        context_{.settings = settings_, .randomness = randomness, .aead = *aead_, .key_files = key_files},
        gate_(settings_.identity, settings_.gate, randomness),
        former_(std::exchange(settings_.accepted_timestamps_ns, {})) {
    context_.actions.emplace_back(ShieldChanged{});
  }

  [[nodiscard]] Result<void> check_peers(const std::vector<PeerSettings>& peers) const;
  Result<std::vector<PeerChange>> set_peers(std::vector<PeerSettings> peers, Now now);
  [[nodiscard]] std::vector<PeerSettings> peers() const;
  Result<PeerId> add_peer(PeerSettings settings, Now now);
  bool remove_peer(PeerId id, Now now);
  [[nodiscard]] std::optional<PeerId> find_peer(std::string_view name_or_key) const;
  [[nodiscard]] std::string peer_name(PeerId id) const { return find(id) ? find(id)->settings().name : std::string(); }
  [[nodiscard]] std::vector<UnresolvedPeer> unresolved() const;
  void set_resolved(PeerId id, const std::vector<HostEndpoint>& hosts, std::vector<Endpoint> endpoints, Now now);
  void set_last_addresses(const crypto::PublicKey& peer, std::vector<Endpoint> endpoints, Now now);
  std::vector<PathProbe> probe(PeerId id, Now now);
  void answers(PeerId id, std::vector<PathProbe>& probes) const;
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
  [[nodiscard]] Peer* find(PeerId id) const { return id < peers_.size() ? peers_[id].get() : nullptr; }
  [[nodiscard]] Result<std::shared_ptr<const crypto::SecretKey>> first_key(const PeerSettings& peer) const;
  PeerId create(PeerSettings settings, Now now);
  void dismiss(PeerId id, Now now);
  void route_anew();
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
  FormerPeers former_;
  std::vector<std::unique_ptr<Peer>> peers_;  // by PeerId; null: removed
  std::vector<PeerId> order_;                 // of those that are there, as they were given
  std::unordered_map<crypto::PublicKeyBytes, PeerId, KeyHash> by_key_;
  std::shared_ptr<AllowedIps> routes_ = std::make_shared<AllowedIps>();
  bool routes_published_ = false;
  Deadlines deadlines_;
  bool closed_ = false;

  // What the workers were given last; only what changed is made anew.
  bool forwarding_changed_ = false;
  std::set<PeerId> stale_;
  std::set<PeerId> unresolved_;
  PeerTable published_;
};

Result<void> Controller::Impl::check_peers(const std::vector<PeerSettings>& peers) const {
  if (closed_) return fail("the tunnel is closed");
  if (auto sound = control::check_peers(peers, settings_.identity.public_key()); !sound) return sound;
  for (const PeerSettings& peer : peers) {
    if (auto key = first_key(peer); !key) return std::unexpected(key.error());
  }
  return {};
}

// Whose key stands in a file has one from the start: the file may be away when it is read for the first handshake.
Result<std::shared_ptr<const crypto::SecretKey>> Controller::Impl::first_key(const PeerSettings& peer) const {
  if (peer.preshared_key || peer.preshared_key_file.empty()) return peer.preshared_key;
  const auto known = by_key_.find(peer.public_key.bytes());
  if (known != by_key_.end()) {
    const PeerSettings& before = peers_[known->second]->settings();
    if (before.preshared_key_file == peer.preshared_key_file) return before.preshared_key;
  }
  std::optional<crypto::SecretKey> key;
  if (context_.key_files != nullptr) key = context_.key_files->read(peer.preshared_key_file);
  if (key) return std::make_shared<const crypto::SecretKey>(std::move(*key));
  return fail("peer " + display_name(peer) + ": " + peer.preshared_key_file +
                  " holds no readable key: it must be 44 characters of base64, as `centipede genpsk` prints them",
              EINVAL);
}

Result<std::vector<PeerChange>> Controller::Impl::set_peers(std::vector<PeerSettings> peers, Now now) {
  if (auto sound = check_peers(peers); !sound) return std::unexpected(sound.error());
  for (PeerSettings& peer : peers) {
    auto key = first_key(peer);
    if (!key) return std::unexpected(key.error());
    peer.preshared_key = std::move(*key);
  }
  std::vector<PeerChange> changes;
  std::vector<bool> stays(peers_.size());
  for (const PeerSettings& peer : peers) {
    const auto known = by_key_.find(peer.public_key.bytes());
    if (known != by_key_.end()) stays[known->second] = true;
  }
  bool networks_changed = false;
  for (const PeerId id : std::exchange(order_, {})) {
    if (stays[id]) continue;
    changes.push_back({peers_[id]->settings().name, "removed"});
    networks_changed = true;
    dismiss(id, now);
  }
  for (PeerSettings& peer : peers) {
    if (peer.name.empty()) peer.name = display_name(peer);
    const auto found = by_key_.find(peer.public_key.bytes());
    if (found == by_key_.end()) {
      changes.push_back({peer.name, "added"});
      networks_changed = true;
      order_.push_back(create(std::move(peer), now));
      continue;
    }
    const PeerId id = found->second;
    order_.push_back(id);
    const PeerSettings& known = peers_[id]->settings();
    const std::string fields = differences(known, peer);
    if (fields.empty()) continue;
    changes.push_back({peer.name, fields + " changed"});
    networks_changed |= known.allowed_ips != peer.allowed_ips;
    peers_[id]->update(std::move(peer), now);
    settle(id);
  }
  if (networks_changed) route_anew();
  return changes;
}

void Controller::Impl::route_anew() {
  routes_ = std::make_shared<AllowedIps>();
  routes_published_ = false;
  forwarding_changed_ = true;
  for (const PeerId id : order_) {
    for (const Prefix& network : peers_[id]->settings().allowed_ips)
      (void)routes_->insert(network, id);
  }
}

std::vector<PeerSettings> Controller::Impl::peers() const {
  std::vector<PeerSettings> settings;
  settings.reserve(order_.size());
  for (const PeerId id : order_)
    settings.push_back(peers_[id]->settings());
  return settings;
}

Result<PeerId> Controller::Impl::add_peer(PeerSettings settings, Now now) {
  const std::string who = "adding peer " + display_name(settings);
  if (closed_) return fail(who + ": the tunnel is closed");
  if (settings.public_key == crypto::PublicKey{}) return fail(who + ": it has no public key");
  if (settings.public_key == settings_.identity.public_key()) return fail(who + ": the public key is our own");
  if (by_key_.contains(settings.public_key.bytes())) return fail(who + ": another peer has this public key");
  auto key = first_key(settings);
  if (!key) return std::unexpected(key.error());
  settings.preshared_key = std::move(*key);
  const auto id = static_cast<PeerId>(peers_.size());
  for (const Prefix& network : settings.allowed_ips) {
    if (routes().insert(network, id)) continue;
    routes().remove(id);
    return fail(who + ": another peer has the network " + network.text());
  }
  settings.name = display_name(settings);
  order_.push_back(id);
  return create(std::move(settings), now);
}

PeerId Controller::Impl::create(PeerSettings settings, Now now) {
  const auto id = static_cast<PeerId>(peers_.size());
  const uint64_t accepted_ns = former_.take(settings.public_key);
  by_key_[settings.public_key.bytes()] = id;
  peers_.push_back(std::make_unique<Peer>(id, std::move(settings), accepted_ns, context_, now));
  peers_[id]->on_added(now);
  settle(id);
  return id;
}

bool Controller::Impl::remove_peer(PeerId id, Now now) {
  if (find(id) == nullptr) return false;
  dismiss(id, now);
  std::erase(order_, id);
  routes().remove(id);
  return true;
}

// What it has called us with stays stale, for when it is added again.
void Controller::Impl::dismiss(PeerId id, Now now) {
  Peer& peer = *peers_[id];
  peer.say_goodbye(now.monotonic);
  by_key_.erase(peer.settings().public_key.bytes());
  if (peer.accepted_timestamp_ns() != 0) {
    former_.keep(peer.settings().public_key, peer.accepted_timestamp_ns());
    context_.actions.emplace_back(TimestampsChanged{});
  }
  peers_[id].reset();
  deadlines_.set(id, never);
  unresolved_.erase(id);
  stale_.insert(id);
  forwarding_changed_ = true;
}

std::optional<PeerId> Controller::Impl::find_peer(std::string_view name_or_key) const {
  if (const auto key = crypto::PublicKey::from_base64(name_or_key)) {
    const auto known = by_key_.find(key->bytes());
    if (known != by_key_.end()) return known->second;
  }
  const auto named =
      std::ranges::find(order_, name_or_key, [&](PeerId id) { return std::string_view(peers_[id]->settings().name); });
  return named == order_.end() ? std::nullopt : std::optional(*named);
}

std::vector<UnresolvedPeer> Controller::Impl::unresolved() const {
  std::vector<UnresolvedPeer> peers;
  peers.reserve(unresolved_.size());
  for (const PeerId id : unresolved_)
    peers.push_back({id, peers_[id]->settings().host_endpoints});
  return peers;
}

void Controller::Impl::set_resolved(PeerId id, const std::vector<HostEndpoint>& hosts, std::vector<Endpoint> endpoints,
                                    Now now) {
  if (closed_ || find(id) == nullptr || find(id)->settings().host_endpoints != hosts) return;
  peers_[id]->set_resolved(std::move(endpoints), now);
  settle(id);
}

void Controller::Impl::set_last_addresses(const crypto::PublicKey& peer, std::vector<Endpoint> endpoints, Now now) {
  const auto known = by_key_.find(peer.bytes());
  if (known == by_key_.end()) return;
  peers_[known->second]->set_last_addresses(std::move(endpoints), now);
  settle(known->second);
}

std::vector<PathProbe> Controller::Impl::probe(PeerId id, Now now) {
  if (closed_ || find(id) == nullptr) return {};
  return peers_[id]->probe(now.monotonic);
}

void Controller::Impl::answers(PeerId id, std::vector<PathProbe>& probes) const {
  if (const Peer* peer = find(id)) peer->answers(probes);
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
  for (const PeerId id : order_) {
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
  for (const PeerId id : order_) {
    peers_[id]->say_goodbye(now.monotonic);
    settle(id);
  }
  unresolved_.clear();
  closed_ = true;
}

void Controller::Impl::settle(PeerId id) {
  deadlines_.set(id, peers_[id]->next_deadline());
  if (peers_[id]->wants_resolving())
    unresolved_.insert(id);
  else
    unresolved_.erase(id);
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
  for (const PeerId id : order_)
    peers_[id]->append_sessions(sessions);
  return sessions;
}

Timestamps Controller::Impl::timestamps() const {
  Timestamps kept{.sent_limit_ns = sent_limit_ns()};
  kept.accepted.assign(former_.all().begin(), former_.all().end());
  for (const PeerId id : order_) {
    if (const uint64_t accepted_ns = peers_[id]->accepted_timestamp_ns(); accepted_ns != 0)
      kept.accepted.emplace_back(peers_[id]->settings().public_key, accepted_ns);
  }
  return kept;
}

std::vector<PeerStatus> Controller::Impl::status(Now now) const {
  std::vector<PeerStatus> rows;
  rows.reserve(order_.size());
  for (const PeerId id : order_)
    rows.push_back(peers_[id]->status(now.monotonic));
  return rows;
}

Controller::Controller(Settings settings, Randomness& randomness, PresharedKeySource* key_files)
    : impl_(std::make_unique<Impl>(std::move(settings), randomness, key_files)) {}
Controller::~Controller() = default;
Result<void> Controller::check_peers(const std::vector<PeerSettings>& peers) const {
  return impl_->check_peers(peers);
}
Result<std::vector<PeerChange>> Controller::set_peers(std::vector<PeerSettings> peers, Now now) {
  return impl_->set_peers(std::move(peers), now);
}
std::vector<PeerSettings> Controller::peers() const {
  return impl_->peers();
}
std::optional<PeerId> Controller::find_peer(std::string_view name_or_key) const {
  return impl_->find_peer(name_or_key);
}
std::string Controller::peer_name(PeerId peer) const {
  return impl_->peer_name(peer);
}
std::vector<UnresolvedPeer> Controller::unresolved() const {
  return impl_->unresolved();
}
void Controller::set_resolved(PeerId peer, const std::vector<HostEndpoint>& hosts, std::vector<Endpoint> endpoints,
                              Now now) {
  impl_->set_resolved(peer, hosts, std::move(endpoints), now);
}
void Controller::set_last_addresses(const crypto::PublicKey& peer, std::vector<Endpoint> endpoints, Now now) {
  impl_->set_last_addresses(peer, std::move(endpoints), now);
}
std::vector<PathProbe> Controller::probe(PeerId peer, Now now) {
  return impl_->probe(peer, now);
}
void Controller::answers(PeerId peer, std::vector<PathProbe>& probes) const {
  impl_->answers(peer, probes);
}
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
