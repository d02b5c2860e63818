// Both ends of a tunnel as the pipelines see them: a session each way and the plans of two workers. Inner packets go
// between the addresses of offload_packets.h: end 0 has 10.9.0.1 and fd00::1, end 1 has 10.9.0.2 and fd00::2.
#pragma once

#include <array>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "dataplane/plan.h"

namespace centipede::test {

// Of data packets in benchmarks and counts that are about everything else.
class NoAead final : public crypto::AeadProvider {
 public:
  [[nodiscard]] std::string_view name() const override { return "none"; }
  void seal(const crypto::TrafficKey&, std::span<crypto::AeadJob>) override {}
  void open(const crypto::TrafficKey&, std::span<crypto::AeadJob> jobs) override {
    for (crypto::AeadJob& job : jobs)
      job.ok = true;
  }
};

class TwoEnds {
 public:
  static constexpr control::PeerId peer = 0;
  static constexpr uint32_t window_words = 1024;
  static constexpr uint16_t first_port = 5820;

  TwoEnds() {
    if (!crypto::initialise()) throw std::runtime_error("libsodium does not start");
    for (size_t end = 0; end < 2; ++end) {
      const size_t other = 1 - end;
      sessions[end] = std::make_shared<crypto::Session>(
          sid(end), wire::Params{.lanes = 1},
          crypto::Established{.keys = keys(end), .peer_sid = sid(other), .peer_params = {.lanes = 1}});
      windows[end] = pool.allocate(1, window_words);
      plans[end] = make_plan(end);
    }
  }

  [[nodiscard]] static wire::SessionId sid(size_t end) { return 0x1234567890abcd00 + end; }
  [[nodiscard]] static Endpoint outer(size_t end) {
    return {*IpAddress::parse("127.0.0.1"), static_cast<uint16_t>(first_port + end)};
  }

 private:
  [[nodiscard]] static crypto::SessionKeys keys(size_t end) {
    crypto::SessionKeys keys;
    keys.send_key.data()[0] = keys.send_iv[0] = static_cast<uint8_t>(end);
    keys.receive_key.data()[0] = keys.receive_iv[0] = static_cast<uint8_t>(1 - end);
    return keys;
  }

  [[nodiscard]] std::shared_ptr<Plan> make_plan(size_t end) const {
    auto plan = std::make_shared<Plan>();
    auto routes = std::make_shared<control::AllowedIps>();
    for (const std::string prefix : {"10.9.0.", "fd00::"})
      (void)routes->insert(*Prefix::parse(prefix + std::to_string(2 - end)), peer);
    plan->forwarding.routes = routes;
    auto forwarding = std::make_shared<control::PeerForwarding>();
    forwarding->id = peer;
    forwarding->send_session = sessions[end];
    forwarding->paths.push_back({.local = outer(end).address,
                                 .remote = outer(1 - end),
                                 .counters = std::make_shared<control::PathCounters>(1)});
    forwarding->send_paths = forwarding->paths;
    plan->forwarding.peers.push_back(forwarding);
    plan->sessions = SessionTable({{.sid = sid(end), .peer = peer, .session = sessions[end], .windows = windows[end]}});
    return plan;
  }

  std::vector<uint64_t> memory_ = std::vector<uint64_t>(size_t{4} * window_words);

 public:
  WindowPool pool{memory_};
  std::array<std::shared_ptr<crypto::Session>, 2> sessions;
  std::array<std::shared_ptr<WindowRange>, 2> windows;
  std::array<std::shared_ptr<Plan>, 2> plans;  // without uplinks
};

}  // namespace centipede::test
