// A deterministic network: hosts, each with a controller and a simulated data plane, and an emulated link between every
// uplink of one host and every uplink of another, in each direction. All time and randomness come from the seed.
// Threading: one thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "control/controller.h"
#include "data_traffic.h"
#include "link-emulator/link_model.h"

namespace centipede::sim {

class SimRandom final : public control::Randomness {
 public:
  explicit SimRandom(uint64_t seed) : state_(seed) {}
  void fill(Bytes out) override;
  uint64_t next();
  uint64_t below(uint64_t limit) { return next() % limit; }
  bool chance(unsigned percent) { return below(100) < percent; }

 private:
  uint64_t state_;
};

struct Host {
  uint32_t index = 0;
  bool fixed = false;  // its addresses never change
  bool restarted = false;
  int64_t wall_offset_ns = 0;
  int64_t furthest_wall_offset_ns = 0;
  std::map<control::UplinkId, control::Uplink> uplinks{};
  std::map<uint32_t, control::PeerId> peer_ids{};  // by the peer's host
  std::map<uint32_t, std::vector<Endpoint>> endpoints{};
  std::unique_ptr<SimRandom> randomness{};
  std::unique_ptr<control::Controller> controller{};
  std::unique_ptr<DataTraffic> traffic{};
  control::Forwarding forwarding{};
  size_t receivable = 0;
};

class SimNetwork {
 public:
  SimNetwork(uint64_t seed, control::Timing timing, size_t hosts, size_t uplinks_each);

  void set_uplink(uint32_t host, control::Uplink uplink);
  void remove_uplink(uint32_t host, control::UplinkId id);
  void add_peer(uint32_t host, uint32_t peer, std::vector<Endpoint> endpoints);
  // The process ends, with or without a goodbye, and starts anew with nothing in its memory.
  void restart(uint32_t host, bool goodbye);

  using LinkKey = std::tuple<uint32_t, control::UplinkId, uint32_t, control::UplinkId>;  // from, to
  [[nodiscard]] std::map<LinkKey, emulator::LinkModel>& links() { return links_; }
  void configure(const LinkKey& link, const emulator::LinkSettings& settings);

  void run_until(Instant end);
  // One data packet from each host to each of its peers.
  void send_data();

  [[nodiscard]] const control::PeerForwarding* peer(uint32_t host, uint32_t peer) const;
  [[nodiscard]] bool agreed(uint32_t a, uint32_t b) const;
  [[nodiscard]] Host& host(uint32_t index) { return hosts_[index]; }
  [[nodiscard]] std::vector<Host>& hosts() { return hosts_; }
  [[nodiscard]] Instant now() const { return now_; }
  [[nodiscard]] Ledger& ledger() { return ledger_; }
  void note(const std::string& line);
  [[nodiscard]] const std::vector<std::string>& transcript() const { return transcript_; }

  SimRandom random;

 private:
  struct Flight {
    uint32_t to_host;
    IpAddress destination;
    Endpoint source;
  };

  void start(Host& host);
  void settle(Host& host);
  void check(const Host& host);
  void transmit(Host& host, const control::Route& route, ConstBytes bytes);
  void deliver(const LinkKey& link, const std::vector<uint8_t>& frame);
  [[nodiscard]] Now time(const Host& host) const;

  control::Timing timing_;
  Instant now_{seconds(1000)};
  std::vector<Host> hosts_;
  std::map<LinkKey, emulator::LinkModel> links_;
  std::vector<Flight> flights_;  // by the number in front of each frame
  Ledger ledger_;
  std::vector<std::string> transcript_;
};

inline constexpr uint16_t sim_port = 5820;

}  // namespace centipede::sim
