// A tunnel that only remembers what was asked of it, and a status with a value in every field.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <set>
#include <string>

#include "api/counter_names.h"
#include "api/server.h"

namespace centipede::api {

inline TunnelStatus full_status() {
  TunnelStatus status;
  status.name = "cp0";
  status.version = "0.1.0";
  status.uptime = milliseconds(86'400'250);
  const std::array<uint8_t, 32> seed{7};
  const auto identity = crypto::Identity::from_seed(crypto::SecretKey(seed));
  status.public_key = identity.public_key();
  status.listen_port = 5820;
  status.addresses = {*Prefix::parse("10.10.0.1/24"), *Prefix::parse("fd10::1/64")};
  status.mtu = 1420;
  status.aead = "libsodium";
  status.windows_shrunk = 4'000;
  status.sessions_waiting = 5'000;
  uint64_t next = 1;
  const auto fill = [&next](auto& owner, const auto& table) {
    for (const auto& counter : table)
      owner.*counter.member = next++;
  };
  UplinkStatus uplink;
  uplink.id = 3;
  uplink.name = "eth0";
  uplink.usable = true;
  uplink.priority = 10;
  uplink.metered = true;
  uplink.rate_bps = 20'000'000;
  uplink.pattern = "eth*";
  uplink.addresses = {*IpAddress::parse("192.0.2.1"), *IpAddress::parse("2001:db8::1")};
  uplink.mode = "native";
  uplink.reason = "no zero-copy";
  fill(uplink.xdp, xdp_counters);
  uplink.xsk_dropped = next++;
  uplink.fill_ring_empty = next++;
  status.uplinks = {uplink, UplinkStatus{.id = 4, .name = "wlan0", .addresses = {}, .mode = "", .reason = "absent"}};
  control::PathStatus path;
  path.id = 9;
  path.uplink = 3;
  path.uplink_name = "eth0";
  path.local = *IpAddress::parse("192.0.2.1");
  path.remote = *Endpoint::parse("203.0.113.5:5820");
  path.configured = path.sending = true;
  path.state = control::PathState::active;
  path.rtt = microseconds(12345);
  path.rtt_variation = microseconds(678);
  path.priority = 10;
  path.late = microseconds(2345);
  path.loss_in = 0.25;
  path.loss_out = 0.0;
  path.sent_packets = next++;
  path.sent_bytes = next++;
  path.send_errors = next++;
  path.first_packets = next++;
  path.first_bytes = next++;
  path.duplicates_early = next++;
  path.duplicates_worker = next++;
  path.only_here = next++;
  control::PathStatus silent;
  silent.uplink = 4;
  silent.uplink_name = "wlan0";
  silent.local = *IpAddress::parse("2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff");
  silent.remote = *Endpoint::parse("[2001:db8:1111:2222:3333:4444:5555:6666]:5820");
  silent.enabled = false;
  silent.state = control::PathState::down;
  control::PeerStatus peer;
  peer.id = 1;
  peer.name = "office";
  peer.public_key = identity.public_key();
  peer.policy = control::Policy::backup;
  peer.allowed_ips = {*Prefix::parse("10.10.0.2/32"), *Prefix::parse("192.168.7.0/24")};
  peer.endpoints = {"203.0.113.5:5820", "vpn.example.org:5820"};
  peer.preshared = true;
  peer.session_age = milliseconds(42500);
  peer.last_handshake = seconds(43);
  peer.handshakes = 2;
  peer.paths = {path, silent};
  control::PeerStatus quiet;
  quiet.id = 2;
  quiet.name = "phone";
  quiet.public_key = identity.public_key();
  status.peers = {peer, quiet};
  fill(status.control, control_counters);
  fill(status.total, worker_counters);
  fill(status.workers.emplace_back(), worker_counters);
  fill(status.workers.emplace_back(), worker_counters);
  return status;
}

// Keeps its settings and checks no more of them than that names and keys are there once.
class FakeTunnel : public RunningTunnel {
 public:
  FakeTunnel() = default;
  explicit FakeTunnel(TunnelSettings settings) : settings_(std::move(settings)) {}

  Result<void> run() override {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return stopped_; });
    return {};
  }
  Result<TunnelStatus> status() override {
    if (stopping) return fail("the tunnel is stopping");
    TunnelStatus status = full_status();
    status.keylog_allowed = sessions != 0;
    const std::scoped_lock lock(mutex_);
    if (!settings_.uplinks.empty()) status.uplinks.clear();
    for (const UplinkSettings& uplink : settings_.uplinks)
      status.uplinks.emplace_back().name = uplink.name;
    return status;
  }
  Result<TunnelSettings> settings() override {
    if (stopping) return fail("the tunnel is stopping");
    const std::scoped_lock lock(mutex_);
    return settings_;
  }
  Result<void> change(const Edit& edit) override {
    const std::scoped_lock lock(mutex_);
    TunnelSettings next = settings_;
    if (auto edited = edit(next); !edited) return edited;
    std::set<std::string> names;
    for (const auto& uplink : next.uplinks)
      if (!names.insert(uplink.name).second) return fail(uplink.name + " is attached already", EEXIST);
    std::set<crypto::PublicKey> keys;
    for (const auto& peer : next.peers)
      if (!keys.insert(peer.public_key).second) return fail("another peer has this public key", EEXIST);
    settings_ = std::move(next);
    ++changes_;
    return {};
  }
  Result<void> attach_uplink(const UplinkSettings& uplink) override {
    if (uplink.name == "missing0") return fail("attaching missing0: no such device", ENODEV);
    return change([&](TunnelSettings& settings) -> Result<void> {
      settings.uplinks.push_back(uplink);
      return {};
    });
  }
  Result<void> detach_uplink(std::string_view name) override {
    if (name == "throws0") throw std::runtime_error("a fault of the daemon's");
    return change([&](TunnelSettings& settings) -> Result<void> {
      const auto named = [&](const UplinkSettings& uplink) { return uplink.name == name; };
      if (std::erase_if(settings.uplinks, named) == 0) return fail(std::string(name) + " is not attached", ENOENT);
      return {};
    });
  }
  Result<std::vector<PathPing>> ping(std::string_view peer, std::chrono::milliseconds) override {
    if (peer != "office") return fail("there is no peer " + std::string(peer), ENOENT);
    const auto path = full_status().peers.front().paths.front();
    return std::vector<PathPing>{{path.id, path.uplink_name, path.local, path.remote, true, milliseconds(12)},
                                 {uint16_t(path.id + 1), "wlan0", path.local, path.remote, false, std::nullopt}};
  }
  // As many sessions as a test has said, with the keys of both directions; none: not started for it.
  Result<std::vector<SessionKey>> session_keys() override {
    if (sessions == 0) return fail("not started with --allow-keylog", EPERM);
    std::vector<SessionKey> keys;
    for (unsigned sid = 1; sid <= 2 * sessions; ++sid) {
      const std::array<uint8_t, 32> key{static_cast<uint8_t>(sid)};
      keys.push_back({sid, {crypto::SecretKey(key), {0xff}}, sid % 2 == 0, "the office"});
    }
    return keys;
  }
  std::atomic<unsigned> sessions = 0;
  std::atomic<bool> stopping = false;  // no control thread answers any more
  EventLog& events() override { return events_; }
  void stop() override {
    const std::scoped_lock lock(mutex_);
    stopped_ = true;
    changed_.notify_all();
  }

  std::set<std::string> uplinks() {
    const std::scoped_lock lock(mutex_);
    std::set<std::string> names;
    for (const UplinkSettings& uplink : settings_.uplinks)
      names.insert(uplink.name);
    return names;
  }
  unsigned changes() {
    const std::scoped_lock lock(mutex_);
    return changes_;
  }
  bool stopped() {
    const std::scoped_lock lock(mutex_);
    return stopped_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  TunnelSettings settings_;
  unsigned changes_ = 0;
  bool stopped_ = false;
  EventLog events_;
};

}  // namespace centipede::api
