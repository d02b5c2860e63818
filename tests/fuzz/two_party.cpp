// Two controllers and a network that the input drives. First byte: who knows the other's addresses. Then steps of one
// byte and its arguments: datagrams are delivered, lost, repeated, swapped, damaged, replayed and made up, from their
// own address or another; time passes or jumps; a party restarts; uplinks and addresses come and go. What must hold all
// the time stands in parties.cpp and in the simulation's Ledger.
#include <deque>

#include "parties.h"

namespace centipede::fuzz {
namespace {

constexpr size_t step_limit = 100;
constexpr size_t in_flight_limit = 64;  // the oldest are lost
constexpr size_t history_limit = 64;
constexpr size_t restart_limit = 6;
constexpr size_t events_in_two_seconds = 2000;

class World {
 public:
  explicit World(Input& input);
  void run();

 private:
  void step();
  void deliver(const Datagram& datagram);
  void deliver_first(size_t count);
  void run_for(Duration span, bool delivering);
  void restart(Party& party, bool goodbye, bool kept_timestamps);
  void change_uplink(Party& party, size_t index);
  void settle();

  [[nodiscard]] Now now(size_t party) const {
    const int64_t wall = 1'800'000'000'000'000'000 + now_.time_since_epoch().count() + wall_offset_[party].count();
    return {now_, WallTime{static_cast<uint64_t>(wall)}};
  }
  Party& choose_party() { return parties_[index_ = input_.below(party_count)]; }
  // Something in flight, or nothing.
  Datagram* choose_datagram() {
    const size_t choice = input_.number();
    return in_flight_.empty() ? nullptr : &in_flight_[choice % in_flight_.size()];
  }
  Endpoint choose_endpoint() {
    const uint8_t choice = input_.number();
    const auto uplink = static_cast<control::UplinkId>((choice >> 1) % uplink_count);
    return {address_of(choice & 1, uplink, choice >> 3 & 3), static_cast<uint16_t>(port + (choice >> 5))};
  }

  Input& input_;
  Instant now_{seconds(1000)};
  std::array<Duration, party_count> wall_offset_{};
  Record record_;
  std::array<Party, party_count> parties_;
  size_t index_ = 0;  // of the party chosen last
  std::deque<Datagram> in_flight_;
  std::deque<Datagram> history_;
  size_t starts_ = 0;
};

World::World(Input& input) : input_(input), parties_{Party(0, true, record_), Party(1, input.flag(), record_)} {
  for (size_t index = 0; index < party_count; ++index) {
    parties_[index].start(now(index), ++starts_, false);
    for (control::UplinkId id = 0; id < 2; ++id) {
      parties_[index].set_uplink(
          {.id = id, .name = "uplink", .usable = true, .addresses = {address_of(index, id, 0)}, .priority = id},
          now(index));
    }
  }
  settle();
}

void World::run() {
  for (size_t steps = 0; steps < step_limit && !input_.empty(); ++steps) {
    step();
    settle();
  }
  for (size_t index = 0; index < party_count; ++index)
    parties_[index].look(now(index));
}

void World::step() {
  switch (input_.below(16)) {
    case 0:
      return deliver_first(1 + input_.below(8));
    case 1:  // out of order
      if (const Datagram* datagram = choose_datagram()) deliver(Datagram(*datagram));
      return;
    case 2:
      if (!in_flight_.empty()) in_flight_.pop_front();
      return;
    case 3:
      if (const Datagram* datagram = choose_datagram()) in_flight_.push_back(Datagram(*datagram));
      return;
    case 4:
      if (Datagram* datagram = choose_datagram(); datagram != nullptr && !datagram->bytes.empty()) {
        datagram->bytes[input_.number() % datagram->bytes.size()] ^= input_.number();
      }
      return;
    case 5:
      if (Datagram* datagram = choose_datagram()) datagram->bytes.resize(input_.number());
      return;
    case 6:
      if (Datagram* datagram = choose_datagram()) datagram->source = choose_endpoint();
      return;
    case 7:
      if (Datagram* datagram = choose_datagram()) datagram->destination.address = choose_endpoint().address;
      return;
    case 8:  // a replay, from anywhere
      if (!history_.empty()) {
        Datagram replayed = history_[input_.number() % history_.size()];
        if (input_.flag()) replayed.source = choose_endpoint();
        deliver(replayed);
      }
      return;
    case 9:  // made up
    {
      const Endpoint source = choose_endpoint();
      const Endpoint destination = choose_endpoint();
      const ConstBytes bytes = input_.take(input_.number());
      return deliver({source, destination, {bytes.begin(), bytes.end()}});
    }
    case 10:
      return run_for(milliseconds(8) * input_.number(), true);
    case 11:
      return run_for(milliseconds(8) * input_.number(), false);
    case 12:  // both sleep, and wake late; perhaps the wall clock of one jumps
    {
      now_ += milliseconds(500) * input_.number();
      const uint8_t jump = input_.number();
      wall_offset_[jump & 1] = seconds(60) * (static_cast<int>(jump >> 1) - 64);
      return;
    }
    case 13: {
      const uint8_t how = input_.number();
      return restart(choose_party(), (how & 1) != 0, (how & 2) != 0);
    }
    case 14: {
      Party& party = choose_party();
      return change_uplink(party, index_);
    }
    default:
      for (size_t index = 0; index < party_count; ++index)
        parties_[index].send_data(now(index));
      return;
  }
}

void World::deliver(const Datagram& datagram) {
  for (size_t index = 0; index < party_count; ++index) {
    if (parties_[index].receive(datagram, now(index))) return;
  }
}

void World::deliver_first(size_t count) {
  for (; count > 0 && !in_flight_.empty(); --count) {
    const Datagram datagram = std::move(in_flight_.front());
    in_flight_.pop_front();
    deliver(datagram);
    settle();
  }
}

void World::run_for(Duration span, bool delivering) {
  const Instant end = now_ + span;
  for (size_t events = 0;; ++events) {
    promise(events < events_in_two_seconds, "timers leave time to live");
    if (delivering) deliver_first(in_flight_limit);
    const Instant next = std::min(parties_[0].next_deadline(), parties_[1].next_deadline());
    if (next > end) break;
    now_ = std::max(now_, next);
    settle();
  }
  now_ = end;
}

void World::restart(Party& party, bool goodbye, bool kept_timestamps) {
  if (starts_ == party_count + restart_limit) return;
  if (goodbye) party.close(now(index_));
  party.start(now(index_), ++starts_, kept_timestamps);
}

void World::change_uplink(Party& party, size_t index) {
  const uint8_t choice = input_.number();
  const auto id = static_cast<control::UplinkId>(choice % uplink_count);
  if ((choice & 0x80) != 0) return party.remove_uplink(id, now(index));
  control::Uplink uplink{.id = id, .name = "uplink", .usable = (choice & 0x40) == 0, .priority = id};
  for (size_t version = 0; version < 4; ++version) {
    if ((choice >> 2 & 1U << version) != 0) uplink.addresses.push_back(address_of(index, id, version));
  }
  party.set_uplink(std::move(uplink), now(index));
}

// Timers that are due run, and what was sent is under way.
void World::settle() {
  for (size_t index = 0; index < party_count; ++index) {
    parties_[index].tick(now(index));
    for (Datagram& datagram : parties_[index].take_sent()) {
      history_.push_back(datagram);
      if (history_.size() > history_limit) history_.pop_front();
      in_flight_.push_back(std::move(datagram));
      if (in_flight_.size() > in_flight_limit) in_flight_.pop_front();
    }
  }
}

}  // namespace
}  // namespace centipede::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  centipede::fuzz::Input input(data, size);
  centipede::fuzz::World(input).run();
  return 0;
}
