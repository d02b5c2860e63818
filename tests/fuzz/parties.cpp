#include "parties.h"

#include <algorithm>

namespace centipede::fuzz {
namespace {

constexpr size_t session_limit = 5;
constexpr size_t path_limit = 16;
constexpr size_t attempt_limit = 3;

const crypto::Identity& identity(size_t party) {
  return party == 0 ? alice() : bob();
}

bool same_key(const crypto::TrafficKey& a, const crypto::TrafficKey& b) {
  return a.key.equals(b.key) && a.iv == b.iv;
}

}  // namespace

IpAddress address_of(size_t party, control::UplinkId uplink, size_t version) {
  std::array<uint8_t, 16> bytes{};
  const std::array<uint8_t, 4> own{static_cast<uint8_t>(party + 1), uplink, 0, static_cast<uint8_t>(version + 1)};
  if (uplink == 2) {
    bytes[0] = 0xfd;
    std::ranges::copy(own, bytes.begin() + 12);
    return IpAddress::v6(bytes.data());
  }
  bytes[0] = 10;
  std::copy_n(own.begin(), 2, bytes.begin() + 1);
  bytes[3] = own[3];
  return IpAddress::v4(bytes.data());
}

void Record::add(size_t owner, const std::shared_ptr<crypto::Session>& session) {
  sessions_of_[owner][{session->local_sid(), session->peer_sid()}] = session;
  const crypto::Session* other = counterpart(owner, *session);
  if (other == nullptr) return;
  promise(same_key(session->send_key(), other->receive_key()) && same_key(session->receive_key(), other->send_key()),
          "two sessions that name each other have the same keys");
}

const crypto::Session* Record::counterpart(size_t owner, const crypto::Session& session) const {
  const auto& theirs = sessions_of_[1 - owner];
  const auto found = theirs.find({session.peer_sid(), session.local_sid()});
  return found == theirs.end() ? nullptr : found->second.get();
}

void Record::on_sent(ConstBytes datagram) {
  const auto number = load_be<uint64_t>(&datagram[CP_OFFSET_NUMBER]);
  const auto sid = load_be<uint64_t>(&datagram[CP_OFFSET_SID]);
  const std::vector<uint8_t> bytes(datagram.begin(), datagram.end());
  const auto [row, first] = sent_.try_emplace({sid, number}, bytes);
  promise(first || row->second == bytes, "no number is used twice under one key");
}

void Record::check_delivered() const {
  for (const auto& violation : violations_)
    promise(false, violation.c_str());
}

Party::Party(size_t index, bool calls, Record& record) : index_(index), calls_(calls), record_(record) {}

void Party::start(Now now, uint64_t seed, bool kept_timestamps) {
  if (!kept_timestamps) {
    timestamps_ = {};
    peer_sids_.clear();
  }
  control::Settings settings{.identity = identity(index_).clone(),
                             .params = {.lanes = 2, .window_bits = CP_WINDOW_BITS_MIN, .heartbeat_ms = 1000},
                             .workers = 1,
                             .timing = {},
                             .gate = {.unproven_period = seconds(2), .unproven_burst = 2},  // cookies soon
                             .timestamp_floor_ns = timestamps_.sent_limit_ns,
                             .accepted_timestamps_ns = {timestamps_.accepted.begin(), timestamps_.accepted.end()}};
  settings.timing.heartbeat_interval = seconds(1);  // fewer quiet heartbeats, more of what the input asks for
  randomness_ = std::make_unique<sim::SimRandom>(seed);
  controller_ = std::make_unique<control::Controller>(std::move(settings), *randomness_);
  traffic_ = std::make_unique<sim::DataTraffic>(record_.ledger(), static_cast<uint32_t>(index_));
  receivable_.clear();
  calls_under_way_.clear();
  forwarding_ = {};
  const auto uplinks = uplinks_;
  for (const auto& [id, uplink] : uplinks)
    set_uplink(uplink, now);
  control::PeerSettings peer{.name = "other", .public_key = identity(1 - index_).public_key()};
  for (const auto& [key, timestamp] : timestamps_.accepted)
    promise(key == peer.public_key, "timestamps are kept of peers alone");
  for (control::UplinkId id = 0; calls_ && id < uplink_count; ++id)
    peer.endpoints.push_back({address_of(1 - index_, id, 0), port});
  promise(controller_->add_peer(std::move(peer), now).has_value(), "a sound peer is taken");
  settle();
}

void Party::close(Now now) {
  controller_->close(now);
  settle();
  promise(receivable_.empty(), "nothing is left of sessions after a goodbye");
}

void Party::set_uplink(control::Uplink uplink, Now now) {
  uplinks_[uplink.id] = uplink;
  controller_->set_uplink(std::move(uplink), now);
  settle();
}

void Party::remove_uplink(control::UplinkId id, Now now) {
  uplinks_.erase(id);
  controller_->remove_uplink(id, now);
  settle();
}

bool Party::receive(const Datagram& datagram, Now now) {
  if (datagram.destination.port != port) return false;
  for (const auto& [id, uplink] : uplinks_) {
    const auto& addresses = uplink.addresses;
    if (!uplink.usable || std::ranges::find(addresses, datagram.destination.address) == addresses.end()) continue;
    const auto bytes = exact_copy(datagram.bytes);
    const auto header = wire::parse_data_header(bytes);
    const bool unasked = wire::classify(bytes) == wire::MessageType::response &&
                         !calls_under_way_.contains(load_be<uint64_t>(&bytes[CP_OFFSET_CALL_SID]));
    const size_t sessions_before = peer_sids_.size();
    if (header && header->number.lane != CP_CONTROL_LANE) {
      traffic_->on_datagram(bytes);
    } else {
      controller_->on_datagram({id, datagram.destination.address, datagram.source}, bytes, now);
    }
    settle();
    promise(!unasked || peer_sids_.size() == sessions_before,
            "a response that the XDP program would drop does nothing");
    return true;
  }
  return false;
}

void Party::send_data(Now now) {
  for (size_t id = 0; id < forwarding_.peers.size(); ++id) {
    const auto& peer = forwarding_.peers[id];
    const auto bytes = traffic_->seal(*peer, static_cast<uint32_t>(1 - index_), *randomness_, now.monotonic);
    if (bytes.empty()) continue;
    for (const control::DataPath& path : peer->send_paths)
      send({path.uplink, path.local, path.remote}, bytes);
  }
}

void Party::tick(Now now) {
  if (next_deadline() > now.monotonic) return;
  controller_->on_timer(now);
  promise(next_deadline() > now.monotonic, "the timer does not spin");
  settle();
}

void Party::look(Now now) const {
  promise(controller_->status(now).size() == 1, "there is one peer");
}

void Party::settle() {
  for (control::Action& action : controller_->take_actions())
    carry_out(action);
  promise(calls_under_way_.size() <= attempt_limit, "at most three calls wait for a response");
  check_forwarding();
  record_.check_delivered();
}

void Party::carry_out(control::Action& action) {
  if (auto* datagram = std::get_if<control::SendDatagram>(&action)) {
    send(datagram->route, std::move(datagram->bytes));
  } else if (const auto* added = std::get_if<control::SessionAdded>(&action)) {
    check_new(*added->session);
    receivable_.emplace(added->session->local_sid(), added->session);
    record_.add(index_, added->session);
    traffic_->add(added->session);
  } else if (const auto* removed = std::get_if<control::SessionRemoved>(&action)) {
    promise(receivable_.erase(removed->local_sid) == 1, "a session is removed once");
    traffic_->remove(removed->local_sid);
  } else if (std::holds_alternative<control::ForwardingChanged>(action)) {
    forwarding_ = controller_->forwarding();
  } else if (const auto* started = std::get_if<control::CallStarted>(&action)) {
    promise(calls_under_way_.insert(started->sid).second, "a call starts once");
  } else if (const auto* ended = std::get_if<control::CallEnded>(&action)) {
    promise(calls_under_way_.erase(ended->sid) == 1, "a call ends once");
  } else if (std::holds_alternative<control::TimestampsChanged>(action)) {
    const uint64_t before = timestamps_.sent_limit_ns;
    timestamps_ = controller_->timestamps();
    promise(timestamps_.sent_limit_ns >= before, "what was sent is never forgotten");
  }
}

void Party::check_new(const crypto::Session& session) {
  promise(session.local_sid() != 0 && !receivable_.contains(session.local_sid()), "a new session has an id of its own");
  promise(peer_sids_.insert(session.peer_sid()).second, "no initiation and no response is believed twice");
}

void Party::send(const control::Route& route, std::vector<uint8_t> bytes) {
  promise(!bytes.empty() && route.remote.port != 0, "a datagram has bytes and somewhere to go");
  if ((bytes[0] & CP_CONTROL_BIT) == 0) record_.on_sent(bytes);
  const auto uplink = uplinks_.find(route.uplink);
  promise(uplink != uplinks_.end() && uplink->second.usable, "datagrams leave over uplinks that are there");
  const auto& addresses = uplink->second.addresses;
  promise(std::ranges::find(addresses, route.local) != addresses.end(),
          "datagrams leave from addresses that are there");
  sent_.push_back({{route.local, port}, route.remote, std::move(bytes)});
}

void Party::check_forwarding() {
  promise(receivable_.size() <= session_limit, "there are at most five sessions");
  promise(receivable_.size() == controller_->sessions().size(), "the controller has the sessions that were announced");
  for (size_t id = 0; id < forwarding_.peers.size(); ++id) {
    const auto& peer = forwarding_.peers[id];
    promise(peer->paths.size() <= path_limit, "there are at most sixteen paths");
    for (const control::DataPath& path : peer->paths) {
      const auto uplink = uplinks_.find(path.uplink);
      promise(uplink != uplinks_.end() && uplink->second.usable &&
                  std::ranges::find(uplink->second.addresses, path.local) != uplink->second.addresses.end(),
              "a path starts at an address that is there");
    }
    if (!peer->send_session) continue;
    promise(receivable_.contains(peer->send_session->local_sid()), "what is sent on can be received on");
    promise(record_.counterpart(index_, *peer->send_session) != nullptr,
            "nothing is sent on a session that the peer never had");
  }
}

}  // namespace centipede::fuzz
