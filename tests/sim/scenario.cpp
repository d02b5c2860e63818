#include "scenario.h"

#include <algorithm>

#include "build_network.h"
#include "faults.h"

namespace centipede::sim {
namespace {

using control::UplinkId;

constexpr Duration step = milliseconds(100);
// The longest backoff with its jitter, and a handshake.
constexpr Duration heal_bound = seconds(38);
// A path that is down is probed every five seconds and a half at the latest. Before that, who followed a held-back
// heartbeat to an older session just when the faults ended needs five seconds to come back.
constexpr Duration settling = seconds(12);
constexpr Duration meeting = seconds(3);
constexpr Duration longest_apart = milliseconds(400);  // three ways over the slowest of the good links
constexpr Duration watched = seconds(5);
constexpr Duration longest_way = seconds(1);

class Scenario {
 public:
  Scenario(uint64_t seed, Recording recording)
      : character_(seed),
        network_(seed, character_.hosts, character_.timing.reject_after, recording == Recording::on),
        attacker_(network_, seed),
        faults_(network_) {}

  Outcome play() {
    network_.watch().set_trusted(!character_.attacked);
    for (SimNetwork::Link& link : network_.links())
      faults_.set_quality(link, false);
    if (character_.attacked) {
      network_.set_eavesdropper(&attacker_);
      honest_ = give_links_away(network_, attacker_);
    }
    build_hosts(network_, character_);
    introduce_peers(network_, character_);
    if (!character_.attacked) meet();
    suffer();
    faults_.make_peace();
    Outcome outcome;
    outcome.healed_after = heal();
    if (holds()) outcome.kept_safe = live_in_peace();
    outcome.violations = network_.violations();
    outcome.transcript = network_.transcript();
    outcome.sent = network_.ledger().sent();
    outcome.delivered = network_.ledger().delivered();
    outcome.attacks = attacker_.deeds();
    outcome.apart = apart_;
    return outcome;
  }

 private:
  SimRandom& random() { return network_.random; }
  [[nodiscard]] bool holds() { return network_.violations().empty(); }

  // All call each other at once over good links: of crossing handshakes both sides choose the same one, and at once
  // but for the few whose views of the crossing differ.
  void meet() {
    std::map<std::pair<uint32_t, uint32_t>, Duration> apart;
    for (const Instant end = network_.now() + meeting; network_.now() < end && holds();) {
      advance(30);
      for_each_pair([&](uint32_t a, uint32_t b) {
        const control::PeerForwarding* at_a = network_.peer(a, b);
        const control::PeerForwarding* at_b = network_.peer(b, a);
        const bool both = at_a != nullptr && at_b != nullptr && at_a->send_session && at_b->send_session;
        Duration& time = apart[{a, b}];
        time = both && !network_.agreed(a, b) ? time + step : Duration::zero();
        if (time > longest_apart) apart_ = true;
      });
    }
  }

  void suffer() {
    const Instant end = network_.now() + seconds(30 + static_cast<int64_t>(random().below(50)));
    Instant next_fault = network_.now() + seconds(1);
    while (network_.now() < end && holds()) {
      if (network_.now() >= next_fault) {
        faults_.inject();
        next_fault = network_.now() + milliseconds(200 + static_cast<int64_t>(random().below(5000)));
      }
      advance(30);
    }
  }

  // Each pair sends a packet, or one does with this probability.
  void advance(unsigned percent) {
    network_.run_until(network_.now() + step);
    for_each_pair([&](uint32_t a, uint32_t b) {
      if (random().chance(percent)) network_.send_data(a, b);
    });
  }

  bool all_agreed() {
    bool agreed = true;
    for_each_pair([&](uint32_t a, uint32_t b) { agreed = agreed && network_.agreed(a, b); });
    return agreed;
  }

  Duration heal() {
    const Instant start = network_.now();
    while (holds() && !all_agreed()) {
      if (network_.now() - start > heal_bound) {
        network_.violation("no common session " + std::to_string(heal_bound / seconds(1)) + " s after the faults");
        break;
      }
      advance(30);
    }
    return network_.now() - start;
  }

  // How many packets had to arrive although all but one link of theirs was the attacker's.
  uint64_t live_in_peace() {
    std::map<uint32_t, uint64_t> handshakes_before;
    for (const Host& host : network_.hosts())
      handshakes_before[host.index] = handshakes(host);
    for (const Instant end = network_.now() + settling; network_.now() < end && holds();)
      advance(30);
    const Instant begin = network_.now();
    for (const Instant end = begin + watched; network_.now() < end && holds();) {
      advance(100);
      if ((network_.now() - begin) % seconds(1) == Duration::zero()) check_honest_paths();
    }
    const Instant end = network_.now();
    network_.run_until(end + longest_way);
    if (!holds()) return 0;
    for (const Host& host : network_.hosts()) {
      if (handshakes(host) - handshakes_before[host.index] > most_handshakes_in_peace * host.peer_ids.size())
        network_.violation("host " + std::to_string(host.index) + " shakes hands too often in peace");
    }
    return check_flows(begin, end);
  }

  // That both sides completed: answers to recorded calls, which nobody confirms, are the attacker's doing.
  uint64_t handshakes(const Host& host) const {
    uint64_t sum = 0;
    for (const control::PeerStatus& peer : host.controller->status(network_.time(host)))
      sum += peer.handshakes;
    return sum;
  }

  // Whatever the attacker does elsewhere, they stay active.
  void check_honest_paths() {
    for (const auto& [pair, uplinks] : honest_) {
      check_honest_path(pair.first, uplinks.first, pair.second, uplinks.second);
      check_honest_path(pair.second, uplinks.second, pair.first, uplinks.first);
    }
  }

  void check_honest_path(uint32_t a, UplinkId i, uint32_t b, UplinkId j) {
    const auto id = network_.host(a).peer_ids.find(b);
    if (id == network_.host(a).peer_ids.end()) return;
    const std::vector<IpAddress>& there = network_.host(b).uplinks.at(j).addresses;
    const auto alive = [&](const control::PathStatus& path) {
      return path.uplink == i && path.state == control::PathState::active &&
             std::ranges::find(there, path.remote.address) != there.end();
    };
    const auto status = network_.host(a).controller->status(network_.time(network_.host(a)));
    if (std::ranges::any_of(status[id->second].paths, alive)) return;
    network_.violation("host " + std::to_string(a) + " has no active path over the honest link to host " +
                       std::to_string(b));
  }

  uint64_t check_flows(Instant begin, Instant end) {
    uint64_t safe = 0;
    // Both ends are moments of sending; the first one belongs to what was before.
    auto flows = network_.ledger().flows(begin + Duration(1), end + Duration(1));
    for_each_pair([&](uint32_t a, uint32_t b) {
      const Ledger::Flow& flow = flows[{a, b}];
      const bool redundant = network_.host(a).configured.at(b).policy == control::Policy::redundant;
      if (character_.attacked && !redundant) return;  // he lets heartbeats through and no data
      const std::string what = std::to_string(flow.delivered) + " of " + std::to_string(flow.sent) +
                               " packets from host " + std::to_string(a) + " to host " + std::to_string(b) +
                               " arrived in peace";
      const auto packets = static_cast<uint64_t>(watched / step);
      if (flow.sent != packets || flow.delivered != flow.sent) network_.violation("only " + what);
      if (character_.attacked) safe += flow.sent;
    });
    return safe;
  }

  template <class Action>
  void for_each_pair(Action action) {
    for (const Host& host : network_.hosts())
      for (const auto& [peer, id] : host.peer_ids)
        action(host.index, peer);
  }

  static constexpr uint64_t most_handshakes_in_peace = 6;

  Character character_;
  SimNetwork network_;
  Attacker attacker_;
  Faults faults_;
  HonestLinks honest_;
  bool apart_ = false;
};

}  // namespace

Outcome play(uint64_t seed, Recording recording) {
  return Scenario(seed, recording).play();
}

}  // namespace centipede::sim
