// A tunnel that only remembers what was asked of it, and a status with a value in every field.
#pragma once

#include <mutex>
#include <set>
#include <string>

#include "api/counter_names.h"
#include "api/server.h"

namespace centipede::api {

inline TunnelStatus full_status() {
  TunnelStatus status;
  status.name = "cp0";
  const std::array<uint8_t, 32> seed{7};
  const auto identity = crypto::Identity::from_seed(crypto::SecretKey(seed));
  status.public_key = identity.public_key();
  status.listen_port = 5820;
  status.addresses = {*Prefix::parse("10.10.0.1/24"), *Prefix::parse("fd10::1/64")};
  status.mtu = 1420;
  status.aead = "libsodium";
  uint64_t next = 1;
  const auto fill = [&next](auto& owner, const auto& table) {
    for (const auto& counter : table)
      owner.*counter.member = next++;
  };
  UplinkStatus uplink;
  uplink.id = 3;
  uplink.name = "eth0";
  uplink.usable = true;
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
  silent.state = control::PathState::down;
  control::PeerStatus peer;
  peer.id = 1;
  peer.name = "office";
  peer.public_key = identity.public_key();
  peer.policy = control::Policy::backup;
  peer.allowed_ips = {*Prefix::parse("10.10.0.2/32"), *Prefix::parse("192.168.7.0/24")};
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

class FakeTunnel : public TunnelControl {
 public:
  TunnelStatus status() override { return full_status(); }
  Result<void> attach_uplink(std::string_view name) override {
    const std::scoped_lock lock(mutex_);
    if (name == "missing0") return fail("attaching missing0: no such device", ENODEV);
    if (!uplinks_.insert(std::string(name)).second) return fail(std::string(name) + " is attached already", EEXIST);
    return {};
  }
  Result<void> detach_uplink(std::string_view name) override {
    const std::scoped_lock lock(mutex_);
    if (name == "throws0") throw std::runtime_error("a fault of the daemon's");
    if (uplinks_.erase(std::string(name)) == 0) return fail(std::string(name) + " is not attached", ENOENT);
    return {};
  }
  void stop() override {
    const std::scoped_lock lock(mutex_);
    stopped_ = true;
  }

  std::set<std::string> uplinks() {
    const std::scoped_lock lock(mutex_);
    return uplinks_;
  }
  bool stopped() {
    const std::scoped_lock lock(mutex_);
    return stopped_;
  }

 private:
  std::mutex mutex_;
  std::set<std::string> uplinks_;
  bool stopped_ = false;
};

}  // namespace centipede::api
