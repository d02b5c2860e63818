#include "watch.h"

#include <algorithm>
#include <string_view>

#include "identities.h"

namespace centipede::sim {
namespace {

constexpr size_t answers_remembered = 8;
constexpr Duration answers_live = seconds(10);
constexpr size_t most_calls_a_second = 6;  // five, and one more where the second begins
constexpr uint64_t amplification_limit = 3;
constexpr uint64_t has_arrived = 1;

uint64_t hash(ConstBytes bytes) {
  return std::hash<std::string_view>{}({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

uint64_t mixed(uint64_t value) {
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

bool is_handshake(ConstBytes datagram) {
  return datagram.empty() || (datagram[0] & CP_CONTROL_BIT) != 0;
}

}  // namespace

size_t HashTable::place_of(uint64_t key) const {
  size_t place = key & (rows_.size() - 1);
  while (rows_[place].key != 0 && rows_[place].key != key)
    place = (place + 1) & (rows_.size() - 1);
  return place;
}

uint64_t HashTable::keep(uint64_t key, uint64_t value) {
  Row& row = rows_[place_of(key)];
  if (row.key == key) return row.value;
  row = {key, value};
  if (++used_ * 2 < rows_.size()) return value;
  std::vector<Row> old(rows_.size() * 4);
  old.swap(rows_);
  for (const Row& moved : old)
    if (moved.key != 0) rows_[place_of(moved.key)] = moved;
  return value;
}

uint64_t* HashTable::find(uint64_t key) {
  Row& row = rows_[place_of(key)];
  return row.key == key ? &row.value : nullptr;
}

Watch::Direction::Direction(const crypto::TrafficKey& of) {
  key = hash({of.key.data(), crypto::SecretKey::size}) + load_be<uint32_t>(of.iv.data());
  iv = load_be<uint64_t>(of.iv.data() + 4);
}

uint64_t Watch::Direction::with(uint64_t number) const {
  return std::max<uint64_t>(1, mixed(key + mixed(iv ^ number)));
}

void Watch::on_start(uint32_t host, const control::Timestamps& kept, Instant now) {
  HostView& started = view(host);
  started.sessions.clear();
  started.by_peer_sid.clear();
  started.calls.clear();
  for (auto& [caller, newest] : started.accepted) {
    const auto row =
        std::ranges::find(kept.accepted, identity(caller).public_key(), [](const auto& each) { return each.first; });
    const uint64_t known = row == kept.accepted.end() ? 0 : row->second;
    if (known < newest) started.forgot = now;
  }
}

void Watch::on_cookie_secret(uint32_t host, const crypto::CookieSecret& secret) {
  view(host).cookie_secrets.push_back(secret.clone());
}

void Watch::on_session_added(uint32_t host, const std::shared_ptr<crypto::Session>& session, Instant now) {
  const auto call = calls_.find(session->local_sid());
  view(host).by_peer_sid[session->peer_sid()] = session->local_sid();
  view(host).sessions.insert_or_assign(session->local_sid(),
                                       Use{.session = session,
                                           .sends = Direction(session->send_key()),
                                           .receives = Direction(session->receive_key()),
                                           .born = now,
                                           .may_send = call != calls_.end() && call->second.host == host});
}

void Watch::on_session_removed(uint32_t host, wire::SessionId local_sid) {
  const auto use = view(host).sessions.find(local_sid);
  if (use == view(host).sessions.end()) return;
  const auto by_peer_sid = view(host).by_peer_sid.find(use->second.session->peer_sid());
  if (by_peer_sid != view(host).by_peer_sid.end() && by_peer_sid->second == local_sid)
    view(host).by_peer_sid.erase(by_peer_sid);
  view(host).sessions.erase(use);
}

void Watch::on_sent(uint32_t host, const control::Route& route, ConstBytes datagram, bool unproven, Instant now) {
  const std::string who = "host " + std::to_string(host);
  HostView& from = view(host);
  if (!is_handshake(datagram))
    on_session_datagram(from, who, datagram, now);
  else if (wire::classify(datagram) == wire::MessageType::initiation)
    on_initiation(from, host, route, datagram, now);
  else if (wire::classify(datagram) == wire::MessageType::response)
    on_response(from, who, route, datagram, now);
  else
    return on_cookie_reply(from, route, datagram);
  if (!unproven) return;
  const bool data = !is_handshake(datagram) && datagram[0] != CP_CONTROL_LANE;
  if (data) violation(who + " sent data to an address that has proven nothing", datagram);
  Balance& balance = from.unproven[route.remote];
  balance.sent += datagram.size();
  if (balance.sent > amplification_limit * balance.received) {
    violation(who + " sent " + std::to_string(balance.sent) + " bytes to an address that has proven nothing, for " +
                  std::to_string(balance.received),
              datagram);
  }
}

void Watch::on_session_datagram(HostView& host, const std::string& who, ConstBytes datagram, Instant now) {
  const auto header = wire::parse_data_header(datagram);
  const auto ours = header ? host.by_peer_sid.find(header->sid) : host.by_peer_sid.end();
  if (ours == host.by_peer_sid.end()) return violation(who + " sent on a session that it does not have", datagram);
  const Use& use = host.sessions.at(ours->second);
  if (now - use.born > reject_after_) violation(who + " sent on a session that is too old", datagram);
  if (!use.may_send) violation(who + " sent on a session that its peer has not confirmed", datagram);
  const uint64_t bytes = hash(datagram) | has_arrived;
  if ((sealed_.keep(use.sends.with(header->number.value()), bytes ^ has_arrived) | has_arrived) != bytes)
    violation(who + " used a number twice under one key", datagram);
}

void Watch::on_initiation(HostView& from, uint32_t host, const control::Route& route, ConstBytes datagram,
                          Instant now) {
  const auto sid = load_be<uint64_t>(datagram.data() + CP_OFFSET_CALL_SID);
  if (!calls_.contains(sid)) on_new_call(from, host, sid, datagram, now);
  const Call& call = calls_.at(sid);
  if (call.host != host || call.bytes != hash(datagram.first(CP_INITIATION_OFFSET_MAC2)))
    violation("host " + std::to_string(host) + " made two initiations with one session id", datagram);
  check_mac2(call, route, datagram);
}

void Watch::on_new_call(HostView& from, uint32_t host, wire::SessionId sid, ConstBytes datagram, Instant now) {
  const std::string who = "host " + std::to_string(host);
  Call call{.host = host, .bytes = hash(datagram.first(CP_INITIATION_OFFSET_MAC2)), .sent = now};
  // Whose it is nobody but the callee can tell.
  for (call.callee = 0; call.callee < hosts_.size(); ++call.callee) {
    const auto opened = crypto::OpenedInitiation::open(identity(call.callee), datagram);
    if (!opened) continue;
    call.timestamp_ns = opened->claimed_timestamp_ns();
    break;
  }
  calls_.emplace(sid, call);
  uint64_t& newest = from.called[call.callee];
  if (call.timestamp_ns <= newest) violation(who + " called with a timestamp that is no newer", datagram);
  newest = call.timestamp_ns;
  from.newest_timestamp_ns = std::max(from.newest_timestamp_ns, newest);
  std::deque<Instant>& calls = from.calls[call.callee];
  while (!calls.empty() && calls.front() <= now - seconds(1))
    calls.pop_front();
  calls.push_back(now);
  if (calls.size() > most_calls_a_second) violation(who + " calls too often", datagram);
}

void Watch::check_mac2(const Call& call, const control::Route& route, ConstBytes datagram) {
  if (!trusted_) return;
  const bool proven = std::ranges::any_of(view(call.callee).cookie_secrets, [&](const crypto::CookieSecret& secret) {
    return crypto::mac2_is_valid(crypto::make_cookie(secret, {route.local, route.remote.port}), datagram);
  });
  const uint64_t owner = proven ? std::hash<IpAddress>{}(route.local) : ++unproven_copies_;
  if (mac2s_.keep(load_be<uint64_t>(datagram.last(CP_MAC_SIZE).data()) | 1, owner) != owner)
    violation("host " + std::to_string(call.host) + " used a mac2 that is not for this copy or address", datagram);
}

void Watch::on_cookie_reply(HostView& from, const control::Route& route, ConstBytes datagram) {
  uint64_t& owed = from.challengeable[route.remote];
  if (datagram.size() > CP_COOKIE_SIZE || owed == 0) return violation("a cookie that nobody asked for", datagram);
  --owed;
}

void Watch::on_response(HostView& host, const std::string& who, const control::Route& route, ConstBytes datagram,
                        Instant now) {
  const auto sid = load_be<uint64_t>(datagram.data() + CP_OFFSET_CALL_SID);
  const auto known = calls_.find(sid);
  if (known == calls_.end()) return violation(who + " answered a stranger's initiation", datagram);
  const Call& call = known->second;
  if (&view(call.callee) != &host) return violation(who + " answered what was not for it", datagram);
  if (!host.asked.contains(sid)) return violation(who + " answered an initiation that it did not get", datagram);
  if (call.sent <= host.forgot) return;  // it cannot tell a replay
  uint64_t& accepted = host.accepted[call.host];
  if (call.timestamp_ns < accepted) violation(who + " answered an initiation older than one it accepted", datagram);
  accepted = std::max(accepted, call.timestamp_ns);
  Answer& answer = host.answers.try_emplace(sid, Answer{.first = now, .bytes = hash(datagram)}).first->second;
  if (answer.bytes != hash(datagram)) violation(who + " accepted an initiation twice", datagram);
  if (now - answer.first > answers_live) violation(who + " answered a copy after too long a time", datagram);
  if (const auto ours = host.by_peer_sid.find(sid); ours == host.by_peer_sid.end())
    violation(who + " answered without a session", datagram);
  else if (host.sessions.at(ours->second).may_send)
    violation(who + " answered a copy although the session was confirmed", datagram);
  const size_t recent = std::min(answer.to.size(), answers_remembered);
  if (std::find(answer.to.end() - static_cast<ptrdiff_t>(recent), answer.to.end(), route) != answer.to.end())
    violation(who + " answered two copies from " + route.remote.text(), datagram);
  answer.to.push_back(route);
}

Watch::Genuine Watch::genuine(HostView& host, ConstBytes datagram) {
  if (datagram.size() < CP_DATA_HEADER_SIZE) return {};
  const auto use = host.sessions.find(load_be<uint64_t>(datagram.data() + CP_OFFSET_SID));
  if (use == host.sessions.end()) return {};
  uint64_t* sealed = sealed_.find(use->second.receives.with(load_be<uint64_t>(datagram.data() + CP_OFFSET_NUMBER)));
  if (sealed == nullptr || (*sealed | has_arrived) != (hash(datagram) | has_arrived)) return {};
  const bool first = (*sealed & has_arrived) == 0;
  *sealed |= has_arrived;
  return {&use->second, first};
}

void Watch::on_arrival(uint32_t host, const control::Route& at, ConstBytes datagram, bool unproven) {
  HostView& to = view(host);
  bool counts = false;
  if (!is_handshake(datagram)) {
    const Genuine found = genuine(to, datagram);
    if (found.use == nullptr || datagram[0] != CP_CONTROL_LANE) return;
    found.use->may_send = true;
    counts = found.first;
  } else if (wire::classify(datagram) == wire::MessageType::initiation) {
    const auto sid = load_be<uint64_t>(datagram.data() + CP_OFFSET_CALL_SID);
    const auto call = calls_.find(sid);
    counts = call != calls_.end() && call->second.bytes == hash(datagram.first(CP_INITIATION_OFFSET_MAC2));
    if (counts) to.asked.insert(sid);
    ++to.challengeable[at.remote];
  }
  if (counts && unproven) to.unproven[at.remote].received += datagram.size();
}

}  // namespace centipede::sim
