// Alice and Bob, each with a controller and the simulation's data plane, and what must hold for them at every moment,
// whatever the network between them does. The network is two_party.cpp's. Threading: one thread.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <utility>

#include "control/controller.h"
#include "data_traffic.h"
#include "fuzz.h"
#include "sim_random.h"

namespace centipede::fuzz {

inline constexpr uint16_t port = 5820;
inline constexpr size_t party_count = 2;
inline constexpr control::UplinkId uplink_count = 3;

// Uplink 2 has IPv6; `version` counts the addresses that an uplink may get one after the other.
IpAddress address_of(size_t party, control::UplinkId uplink, size_t version);

struct Datagram {
  Endpoint source;
  Endpoint destination;
  std::vector<uint8_t> bytes;
};

// What both have ever had and sent, across restarts.
class Record {
 public:
  // A session of `owner`'s.
  void add(size_t owner, const std::shared_ptr<crypto::Session>& session);
  [[nodiscard]] const crypto::Session* counterpart(size_t owner, const crypto::Session& session) const;
  // A datagram of a session, as it leaves.
  void on_sent(ConstBytes datagram);
  void check_delivered() const;

  [[nodiscard]] sim::Ledger& ledger() { return ledger_; }

 private:
  using Ids = std::pair<wire::SessionId, wire::SessionId>;  // the owner's, the other's
  std::array<std::map<Ids, std::shared_ptr<crypto::Session>>, party_count> sessions_of_;
  std::map<std::pair<wire::SessionId, uint64_t>, std::vector<uint8_t>> sent_;  // by receiver's id and number
  sim::Violations violations_;
  sim::Ledger ledger_{violations_};
};

class Party {
 public:
  Party(size_t index, bool calls, Record& record);

  // Anew; of what it had in its memory, it may have kept the timestamps on a disk.
  void start(Now now, uint64_t seed, bool kept_timestamps);
  void close(Now now);
  void set_uplink(control::Uplink uplink, Now now);
  void remove_uplink(control::UplinkId id, Now now);
  // Takes the datagram if it has its destination; false: it does not.
  bool receive(const Datagram& datagram, Now now);
  void send_data(Now now);
  // Runs the timer if it is due.
  void tick(Now now);
  [[nodiscard]] Instant next_deadline() const { return controller_->next_deadline(); }
  void look(Now now) const;  // status and counters

  // What it has sent since it was asked last.
  [[nodiscard]] std::vector<Datagram> take_sent() { return std::exchange(sent_, {}); }

 private:
  void settle();
  void carry_out(control::Action& action);
  void check_new(const crypto::Session& session);
  void send(const control::Route& route, std::vector<uint8_t> bytes);
  void check_forwarding();

  size_t index_;
  bool calls_;  // knows where the other one is
  Record& record_;
  std::unique_ptr<sim::SimRandom> randomness_;
  std::unique_ptr<control::Controller> controller_;
  std::unique_ptr<sim::DataTraffic> traffic_;
  std::map<control::UplinkId, control::Uplink> uplinks_;
  std::map<wire::SessionId, std::shared_ptr<crypto::Session>> receivable_;
  control::Forwarding forwarding_;
  control::Timestamps timestamps_;
  std::set<wire::SessionId> calls_under_way_;
  std::set<wire::SessionId> peer_sids_;  // of all sessions since it lost its memory
  std::vector<Datagram> sent_;
};

}  // namespace centipede::fuzz
