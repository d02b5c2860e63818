// A deterministic network: hosts, each with a controller and a simulated data plane, and an emulated link between every
// uplink of one host and every uplink of another, in each direction. Somebody may sit on a link and see, keep, change
// and make datagrams there. All time and randomness come from the seed. Threading: one thread.
#pragma once

#include <map>
#include <memory>
#include <queue>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "control/controller.h"
#include "data_traffic.h"
#include "disk.h"
#include "ledger.h"
#include "link-emulator/link_model.h"
#include "sim_random.h"
#include "watch.h"

namespace centipede::sim {

inline constexpr uint16_t sim_port = 5820;
inline constexpr uint32_t nobody = UINT32_MAX;
inline constexpr control::UplinkId uplinks_each = 2;

// How one host speaks to one peer.
struct PeerConfig {
  std::vector<Endpoint> endpoints{};
  control::Policy policy = control::Policy::redundant;
  bool keyed = false;  // by the preshared key in the host's file for this peer
};

struct Host {
  uint32_t index = 0;
  bool fixed = false;  // its addresses never change
  wire::Params params{};
  control::Timing timing{};
  control::GateLimits gate{};
  bool shielded = false;  // drops answers to calls that are not under way, as the XDP program does
  int64_t wall_offset_ns = 0;
  int64_t furthest_wall_offset_ns = 0;
  // Its disk had not kept all that it had sent: only its clock can tell its calls from replays now.
  bool clock_bound = false;
  Disk disk{};
  control::Timestamps kept{};  // what was on it when the process came up
  KeyFiles key_files{};
  std::map<control::UplinkId, control::Uplink> uplinks{};
  std::map<uint32_t, PeerConfig> configured{};     // by the peer's host
  std::map<uint32_t, control::PeerId> peer_ids{};  // likewise
  std::unordered_map<wire::SessionId, control::PeerId> receivable{};
  std::set<wire::SessionId> calls{};
  std::unique_ptr<SimRandom> randomness{};
  std::unique_ptr<control::Controller> controller{};
  std::unique_ptr<DataTraffic> traffic{};
  control::Forwarding forwarding{};
};

[[nodiscard]] inline std::string name(const Host& host) {
  return "host " + std::to_string(host.index);
}

// Where a datagram is from and bound for, as both stand in its IP and UDP headers.
struct Envelope {
  IpAddress destination;
  Endpoint source;
};

using LinkIndex = uint32_t;

// Somebody who sits on links. Called for each datagram that enters a link of his.
class Eavesdropper {
 public:
  virtual ~Eavesdropper() = default;
  // Whether the datagram may go its way.
  virtual bool on_datagram(LinkIndex link, const Envelope& envelope, ConstBytes datagram) = 0;
  virtual void on_timer() = 0;
  [[nodiscard]] virtual Instant next_deadline() const = 0;
};

class SimNetwork {
 public:
  struct Link {
    emulator::LinkModel model;
    uint32_t from = 0;
    control::UplinkId from_uplink = 0;
    uint32_t to = 0;
    control::UplinkId to_uplink = 0;
    bool owned = false;  // by the eavesdropper
    Instant due = never;
  };

  // recorded: notes are kept.
  SimNetwork(uint64_t seed, size_t hosts, Duration reject_after, bool recorded);

  // The process comes up: before anything else of a host.
  void start(uint32_t host);
  void set_uplink(uint32_t host, control::Uplink uplink);
  void remove_uplink(uint32_t host, control::UplinkId id);
  void add_peer(uint32_t host, uint32_t peer, PeerConfig config);
  // The process ends, with or without a goodbye, and starts anew with what its disk has.
  void restart(uint32_t host, bool goodbye);
  void set_eavesdropper(Eavesdropper* eavesdropper) { eavesdropper_ = eavesdropper; }

  [[nodiscard]] LinkIndex link_index(uint32_t from, control::UplinkId i, uint32_t to, control::UplinkId j) const;
  [[nodiscard]] std::vector<Link>& links() { return links_; }
  void configure(Link& link, const emulator::LinkSettings& settings);
  // Puts a datagram onto a link, whoever it is from.
  void offer(LinkIndex link, const Envelope& envelope, ConstBytes datagram);

  void run_until(Instant end);
  void send_data(uint32_t host, uint32_t peer);

  [[nodiscard]] const control::PeerForwarding* peer(uint32_t host, uint32_t peer) const;
  [[nodiscard]] bool agreed(uint32_t a, uint32_t b) const;
  [[nodiscard]] Host& host(uint32_t index) { return hosts_[index]; }
  [[nodiscard]] std::vector<Host>& hosts() { return hosts_; }
  [[nodiscard]] Instant now() const { return now_; }
  [[nodiscard]] Now time(const Host& host) const;
  [[nodiscard]] Ledger& ledger() { return ledger_; }
  [[nodiscard]] Watch& watch() { return watch_; }
  [[nodiscard]] Violations& violations() { return violations_; }
  void violation(std::string text) { violations_.push_back(std::move(text)); }
  [[nodiscard]] bool recorded() const { return recorded_; }
  void note(const std::string& line);
  [[nodiscard]] const std::vector<std::string>& transcript() const { return transcript_; }
  // The name of a host's file with the preshared key for a peer.
  [[nodiscard]] static std::string key_file(uint32_t peer);

  SimRandom random;

 private:
  // Every address that was ever seen, and who has it, or had it last.
  struct Place {
    IpAddress address;
    uint32_t host = nobody;
    control::UplinkId uplink = 0;
    bool live = false;
  };
  using PlaceId = uint16_t;
  struct Wakeup {
    Instant at;
    LinkIndex link;
    auto operator<=>(const Wakeup&) const = default;
  };

  [[nodiscard]] PlaceId place_of(const IpAddress& address);
  // Belongs to nobody, so that nothing can have been proven from there.
  [[nodiscard]] bool unproven(const Endpoint& remote);
  void mark_places(const Host& host, const control::Uplink& uplink, bool present);
  void add_to_controller(Host& host, uint32_t peer);
  void schedule(LinkIndex link);
  void run_links();
  void run_timer(Host& host);
  void settle(Host& host);
  void on_action(Host& host, const control::Action& action);
  void on_session_added(Host& host, const control::SessionAdded& added);
  void check_key(const Host& host, const control::SessionAdded& added);
  [[nodiscard]] bool uncalled(const Host& host, ConstBytes datagram) const;
  void check(const Host& host, const control::PeerForwarding& peer);
  void transmit(const Host& host, const control::Route& route, ConstBytes bytes);
  void deliver(const Link& link, ConstBytes frame);

  bool recorded_;
  Instant now_{seconds(1000)};
  Violations violations_;
  std::vector<Host> hosts_;
  std::vector<Link> links_;
  std::priority_queue<Wakeup, std::vector<Wakeup>, std::greater<>> wakeups_;
  std::vector<emulator::Departure> departures_;
  std::vector<uint8_t> frame_;
  std::vector<Place> places_;
  // Cheaper than the general one: this is looked up several times a datagram.
  struct AddressHash {
    size_t operator()(const IpAddress& address) const {
      const uint8_t* bytes = address.bytes().data();
      if (address.is_v4()) return load_be<uint32_t>(bytes) * 0x9e3779b97f4a7c15;
      return (load_be<uint64_t>(bytes) + load_be<uint64_t>(bytes + 8)) * 0x9e3779b97f4a7c15;
    }
  };
  std::unordered_map<IpAddress, PlaceId, AddressHash> place_ids_;
  std::unordered_map<wire::SessionId, uint8_t> responders_keys_;  // by the initiator's session id
  Ledger ledger_{violations_};
  Watch watch_;
  Eavesdropper* eavesdropper_ = nullptr;
  std::vector<std::string> transcript_;
};

}  // namespace centipede::sim
