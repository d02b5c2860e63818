#include "attacker.h"

#include <algorithm>

#include "forgery.h"
#include "identities.h"

namespace centipede::sim {
namespace {

constexpr size_t most_recent = 64;
constexpr size_t most_handshakes = 64;
constexpr Duration longest_hold = seconds(15);

enum class Kind : uint8_t { data, control, handshake };

Kind kind_of(ConstBytes datagram) {
  if (datagram.empty() || (datagram[0] & CP_CONTROL_BIT) != 0) return Kind::handshake;
  return datagram[0] == CP_CONTROL_LANE ? Kind::control : Kind::data;
}

// Whose answers go nowhere.
IpAddress victim(uint64_t number) {
  const uint8_t v4[4] = {203, 0, 113, static_cast<uint8_t>(number % 24)};
  const uint8_t v6[16] = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, static_cast<uint8_t>(number % 24)};
  return number % 4 == 0 ? IpAddress::v6(v6) : IpAddress::v4(v4);
}

}  // namespace

const std::vector<Attacker::Mood>& Attacker::moods() {
  static const std::vector<Mood> all = {
      // name, drops data, control, handshakes; holds, meddles; makes up every
      {"looks on", 0, 0, 0, 0, 0, seconds(60)},
      {"meddles with everything", 10, 10, 10, 5, 20, milliseconds(100)},
      {"repeats and makes up", 0, 0, 0, 0, 30, milliseconds(50)},
      {"holds back", 0, 0, 0, 40, 5, milliseconds(500)},
      {"withholds and meddles", 0, 90, 0, 0, 60, milliseconds(500)},
      {"lets heartbeats through, not data", 100, 0, 0, 0, 5, milliseconds(500)},
      {"lets data through, not heartbeats", 0, 100, 0, 0, 5, milliseconds(500)},
      {"lets no handshake through", 0, 0, 100, 10, 5, milliseconds(300)},
      {"is silent", 100, 100, 100, 0, 0, milliseconds(200)},
  };
  return all;
}

void Attacker::own(LinkIndex link) {
  network_.links()[link].owned = true;
  links_.push_back(link);
  makes_up_at_ = network_.now();
}

Instant Attacker::next_deadline() const {
  return held_.empty() ? makes_up_at_ : std::min(held_.top().at, makes_up_at_);
}

bool Attacker::on_datagram(LinkIndex link, const Envelope& envelope, ConstBytes datagram) {
  const Kind kind = kind_of(datagram);
  const uint64_t dice = random_.next();
  const auto percent = [&](unsigned shift) { return static_cast<unsigned>((dice >> shift) % 100); };
  const bool meddles = percent(0) < mood_->meddles;
  const bool holds = percent(12) < mood_->holds;
  const bool keeps = kind == Kind::handshake || percent(24) < 10;
  unsigned drops = kind == Kind::data ? mood_->drops_data : mood_->drops_control;
  if (kind == Kind::handshake) drops = mood_->drops_handshakes;
  if (meddles || holds || keeps) {
    const Record record{link, envelope, {datagram.begin(), datagram.end()}};
    if (keeps) remember(record);
    if (meddles) meddle(record);
    if (holds) held_.push({network_.now() + random_.up_to(longest_hold), ++order_, record});
  }
  return !holds && percent(36) >= drops;
}

void Attacker::on_timer() {
  const Instant now = network_.now();
  while (!held_.empty() && held_.top().at <= now) {
    Record record = held_.top().record;
    held_.pop();
    if (random_.chance(30)) (void)redirect(record, random_.one_of(links_));
    send("lets go", record);
  }
  if (now < makes_up_at_) return;
  if (now >= mood_until_) {
    mood_ = &moods()[random_.below(moods().size())];
    mood_until_ = now + seconds(2) + random_.up_to(seconds(10));
    network_.note(std::string("ATTACKER ") + mood_->name);
  }
  make_up();
  makes_up_at_ = std::min(mood_until_, now + milliseconds(1) + random_.up_to(2 * mood_->makes_up_every));
}

void Attacker::remember(const Record& record) {
  if (kind_of(record.bytes) == Kind::handshake) {
    if (handshakes_.size() < most_handshakes)
      handshakes_.push_back(record);
    else
      handshakes_[most_handshakes / 4 + random_.below(most_handshakes * 3 / 4)] = record;
  } else if (recent_.size() < most_recent) {
    recent_.push_back(record);
  } else {
    recent_[oldest_] = record;
    oldest_ = (oldest_ + 1) % most_recent;
  }
}

const Attacker::Record* Attacker::any_memory() {
  std::vector<Record>& memory = random_.chance(40) || recent_.empty() ? handshakes_ : recent_;
  return memory.empty() ? nullptr : &random_.one_of(memory);
}

// Something about what has just passed.
void Attacker::meddle(const Record& record) {
  switch (random_.below(10)) {
    case 0:
      return repeat(record);
    case 1:
    case 2:
      return from_elsewhere(record);
    case 3:
      return to_another_host(record);
    case 4:
      return reflect(record);
    case 5:
      return damage(record);
    case 6:
      return resize(record);
    case 7:
      return under_another_path(record);
    case 8:
      if (wire::classify(record.bytes) == wire::MessageType::initiation) return forge_cookie(record);
      [[fallthrough]];
    default:
      return kind_of(record.bytes) == Kind::handshake ? forge_handshake(record) : forge_number(record);
  }
}

// Something out of the blue, or out of memory.
void Attacker::make_up() {
  const Record* memory = any_memory();
  if (memory == nullptr) return;
  const Record record = *memory;  // which a deed may replace
  if (random_.chance(25)) return forge_call(record);
  meddle(record);
}

Endpoint Attacker::any_source(const Envelope& envelope) {
  const uint64_t dice = random_.below(10);
  if (dice < 5) return {victim(random_.next()), sim_port};
  if (dice < 6) return {envelope.source.address, static_cast<uint16_t>(1024 + random_.below(4))};
  // Some host's, perhaps the recipient's own.
  const Host& host = random_.one_of(network_.hosts());
  for (const auto& [id, uplink] : host.uplinks)
    if (!uplink.addresses.empty() && random_.chance(60)) return {random_.one_of(uplink.addresses), sim_port};
  return envelope.source;
}

// To an address at the other end of `link`; false when there is none.
bool Attacker::redirect(Record& record, LinkIndex link) {
  const SimNetwork::Link& way = network_.links()[link];
  const auto uplink = network_.host(way.to).uplinks.find(way.to_uplink);
  if (uplink == network_.host(way.to).uplinks.end() || uplink->second.addresses.empty()) return false;
  record.link = link;
  record.envelope.destination = random_.one_of(uplink->second.addresses);
  return true;
}

void Attacker::send(const char* deed, const Record& record) {
  if (record.envelope.destination.family() != record.envelope.source.address.family()) return;
  if (network_.recorded()) {
    network_.note(std::string("ATTACKER ") + deed + " to " + record.envelope.destination.text() + " as " +
                  record.envelope.source.text() + " " + describe(record.bytes, 16));
  }
  ++deeds_;
  network_.offer(record.link, record.envelope, record.bytes);
}

void Attacker::repeat(Record record) {
  const uint64_t times = 1 + random_.below(3);
  for (uint64_t i = 0; i < times; ++i)
    send("repeats", record);
}

void Attacker::from_elsewhere(Record record) {
  const uint64_t times = random_.chance(10) ? 10 : 1;
  for (uint64_t i = 0; i < times; ++i) {
    record.envelope.source = any_source(record.envelope);
    send("repeats", record);
  }
}

void Attacker::to_another_host(Record record) {
  if (!redirect(record, random_.one_of(links_))) return;
  if (random_.chance(50)) record.envelope.source = any_source(record.envelope);
  send("relays", record);
}

// Between the same hosts, but with the addresses of another of their paths.
void Attacker::under_another_path(Record record) {
  const uint32_t from = network_.links()[record.link].from;
  const uint32_t to = network_.links()[record.link].to;
  const auto elsewhere = static_cast<control::UplinkId>(random_.below(uplinks_each));
  const auto uplink = network_.host(from).uplinks.find(elsewhere);
  if (uplink == network_.host(from).uplinks.end() || uplink->second.addresses.empty()) return;
  for (const LinkIndex link : links_) {
    if (network_.links()[link].to != to || random_.chance(60)) continue;
    if (!redirect(record, link)) return;
    record.envelope.source = {random_.one_of(uplink->second.addresses), sim_port};
    return send("shows elsewhere", record);
  }
}

void Attacker::reflect(Record record) {
  const SimNetwork::Link& way = network_.links()[record.link];
  const LinkIndex back = network_.link_index(way.to, way.to_uplink, way.from, way.from_uplink);
  if (!network_.links()[back].owned) return;
  record.link = back;
  std::swap(record.envelope.destination, record.envelope.source.address);
  send("reflects", record);
}

void Attacker::damage(Record record) {
  if (record.bytes.empty()) return;
  const uint64_t bits = 1 + random_.below(3);
  for (uint64_t i = 0; i < bits; ++i)
    random_.one_of(record.bytes) ^= static_cast<uint8_t>(1U << random_.below(8));
  if (random_.chance(50)) record.envelope.source = any_source(record.envelope);
  send("damages", record);
}

void Attacker::resize(Record record) {
  record.bytes.resize(random_.chance(80) ? random_.below(record.bytes.size() + 1) : record.bytes.size() + 16);
  send("cuts", record);
}

// A number of his own under a session id that he has seen: the next ones, or such as are far in the future.
void Attacker::forge_number(Record record) {
  if (record.bytes.size() < CP_DATA_HEADER_SIZE) return;
  const uint64_t number = load_be<uint64_t>(record.bytes.data() + CP_OFFSET_NUMBER);
  const uint64_t step = random_.chance(50) ? random_.below(64) : random_.next() >> (random_.below(40) + 8);
  auto forged = wire::PacketNumber::from(number);
  forged.counter = (forged.counter + step) & CP_COUNTER_MASK;
  if (random_.chance(30)) forged.lane = static_cast<uint8_t>(random_.below(8));
  store_be(record.bytes.data() + CP_OFFSET_NUMBER, forged.value());
  if (random_.chance(50)) random_.fill(Bytes(record.bytes).subspan(CP_OFFSET_TAG));
  if (random_.chance(50)) record.envelope.source = any_source(record.envelope);
  send("makes up", record);
}

// A handshake message with some of its fields made up.
void Attacker::forge_handshake(Record record) {
  const Bytes bytes(record.bytes);
  constexpr size_t ephemeral = CP_OFFSET_CALL_SID + 8;
  if (bytes.size() < ephemeral + 32) return;
  if (random_.chance(30)) random_.fill(bytes.subspan(CP_OFFSET_CALL_SID, 8));
  if (random_.chance(30)) random_.fill(bytes.subspan(ephemeral, 32));
  if (random_.chance(30)) random_.fill(bytes.subspan(ephemeral + 32));
  if (random_.chance(50)) random_.fill(bytes.last(CP_MAC_SIZE));  // mac2, which proves nothing
  if (random_.chance(50)) record.envelope.source = any_source(record.envelope);
  send("makes up", record);
}

// A burst of cookie replies to what passed here, as from any address of the host that was called: to the copy as it
// was, or as it would be with one of his cookies.
void Attacker::forge_cookie(const Record& call) {
  const uint32_t caller = network_.links()[call.link].from;
  const Host& callee = network_.host(network_.links()[call.link].to);
  for (const LinkIndex link : links_) {
    if (network_.links()[link].from != callee.index || network_.links()[link].to != caller) continue;
    const auto shown = callee.uplinks.find(static_cast<control::UplinkId>(random_.below(uplinks_each)));
    Record reply{link, call.envelope, call.bytes};
    if (shown == callee.uplinks.end() || shown->second.addresses.empty() || !redirect(reply, link)) continue;
    reply.envelope.source = {random_.one_of(shown->second.addresses), sim_port};
    const auto cookie = [&] { return crypto::Cookie{static_cast<uint8_t>(random_.below(2))}; };
    if (random_.chance(50)) crypto::write_mac2(cookie(), reply.bytes);
    const auto bytes =
        crypto::seal_cookie(identity(callee.index).receiver_keys(), cookie(), reply.bytes, random_.next());
    reply.bytes.assign(bytes.begin(), bytes.end());
    send("forges a cookie", reply);
  }
}

// A flawless initiation, from somebody whom nobody knows; or in a host's name, but not signed by it.
void Attacker::forge_call(Record record) {
  if (!redirect(record, random_.one_of(links_))) return;
  crypto::SecretKey ephemeral;
  random_.fill({ephemeral.data(), crypto::SecretKey::size});
  const crypto::PublicKey& called = identity(network_.links()[record.link].to).public_key();
  const crypto::PublicKey& victim = identity(random_.one_of(network_.hosts()).index).public_key();
  constexpr uint64_t late = UINT64_MAX - UINT64_MAX % crypto::timestamp_quantum_ns;
  const bool as_impostor = random_.chance(60);
  const auto call = as_impostor ? impostor_call(victim, called, random_.next(), late, ephemeral)
                                : stranger_call(called, random_.next(), late, ephemeral);
  record.bytes.assign(call.begin(), call.end());
  if (random_.chance(70)) record.envelope.source = any_source(record.envelope);
  send(as_impostor ? "calls as an impostor" : "calls as a stranger", record);
}

}  // namespace centipede::sim
