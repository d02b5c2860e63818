// The daemon as its three sources see it: daemon_start.cpp makes it, daemon.cpp is its control thread's loop,
// daemon_requests.cpp what others ask of it while it runs. Threading: everything private runs on the control thread, or
// before there is one.
#pragma once

#include <sodium.h>

#include <array>
#include <atomic>
#include <chrono>
#include <exception>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "control/controller.h"
#include "dataplane/daemon.h"
#include "dataplane/host_names.h"
#include "dataplane/host_settings.h"
#include "dataplane/mailbox.h"
#include "dataplane/netlink.h"
#include "dataplane/peer_routes.h"
#include "dataplane/pings.h"
#include "dataplane/plan.h"
#include "dataplane/preshared_key_files.h"
#include "dataplane/receive_sessions.h"
#include "dataplane/reporter.h"
#include "dataplane/shield.h"
#include "dataplane/state_file.h"
#include "dataplane/state_writer.h"
#include "dataplane/tun.h"
#include "dataplane/uplinks.h"
#include "dataplane/uring.h"
#include "dataplane/worker.h"
#include "dataplane/xdp.h"

namespace centipede {

Now read_clocks();

class KeyFiles : public control::PresharedKeySource {
 public:
  std::optional<crypto::SecretKey> read(const std::string& path) override { return read_preshared_key(path); }
};

class SystemRandomness : public control::Randomness {
 public:
  void fill(Bytes out) override { randombytes_buf(out.data(), out.size()); }
};

class Daemon::Impl {
 public:
  explicit Impl(TunnelConfig config);

  Result<void> start();
  Result<void> run();
  void hand_over() {
    handing_over_.store(true, std::memory_order_release);
    stop();
  }
  [[nodiscard]] std::vector<int> tun_queues() const {
    std::vector<int> queues;
    queues.reserve(tun_->queue_count());
    for (size_t index = 0; index < tun_->queue_count(); ++index)
      queues.push_back(tun_->queue(index).fd());
    return queues;
  }
  void stop() {
    stopping_.store(true, std::memory_order_release);
    if (mailbox_) mailbox_->wake().wake();
  }

  // Carries `work` out on the control thread and returns what it returned, or throws what it threw; an error once that
  // has stopped.
  template <class Work>
  auto on_control_thread(Work work) -> std::optional<decltype(work())> {
    std::promise<decltype(work())> promise;
    auto outcome = promise.get_future();
    if (!mailbox_->post(ControlMailbox::Task([promise = std::move(promise), work = std::move(work)]() mutable {
          try {
            promise.set_value(work());
          } catch (...) {
            promise.set_exception(std::current_exception());
          }
        }))) {
      return std::nullopt;
    }
    try {
      return outcome.get();
    } catch (const std::future_error&) {  // the task was dropped: the control thread has ended
      return std::nullopt;
    }
  }

  Result<void> attach_uplink(const UplinkSettings& uplink);
  Result<void> detach_uplink(const std::string& name);
  Result<TunnelSettings> settings();
  Result<void> change(const TunnelControl::Edit& edit);
  Result<std::vector<PathPing>> ping(const std::string& peer, std::chrono::milliseconds time);
  Result<std::vector<SessionKey>> session_keys();
  EventLog& events() { return events_; }
  Result<TunnelStatus> status();

 private:
  Result<void> protect_host() { return host_.protect(inside_networks(config_.live.peers)); }
  Result<void> start_programs();
  Result<void> start_tun();
  Result<void> start_controller();
  Result<void> start_uplinks();
  Result<void> start_workers_in_time();
  Result<void> start_workers();
  [[nodiscard]] bool reaches_a_peer() const;
  Result<void> configure_interface();
  Result<void> drop_privileges();
  [[nodiscard]] TunnelSettings settings_in_force() const;
  Result<void> set_uplinks(TunnelSettings next);
  Result<void> edit_settings(const TunnelControl::Edit& edit);
  void report(const char* kind, std::string text, TunnelEvent::Level level = TunnelEvent::Level::info,
              std::string peer = {});
  void warn(const char* kind, std::string text, std::string peer = {}) {
    report(kind, std::move(text), TunnelEvent::Level::warning, std::move(peer));
  }
  void serve(uint64_t token, const Now& now);
  void serve_socket(UdpSocket& socket, control::UplinkId id, const Now& now);
  void serve_datagram(const control::Route& route, ConstBytes datagram, const Now& now);
  void serve_mailbox(const Now& now);
  void uplinks_changed(const Now& now);
  void arm_sockets();
  void carry_out_actions();
  void carry_out(control::SendDatagram& send);
  void carry_out(control::SessionAdded& added);
  void carry_out(control::SessionRemoved& removed);
  void carry_out(control::ForwardingChanged&) { plan_stale_ = true; }
  void carry_out(control::CallStarted& call) { shield_->call_started(call.sid); }
  void carry_out(control::CallEnded& call) { shield_->call_ended(call.sid); }
  void carry_out(control::ShieldChanged&) { shield_->set_secrets(controller_->shield()); }
  void carry_out(control::TimestampsChanged&);
  void save_timestamps() { state_writer_->save(timestamps()); }
  [[nodiscard]] SavedState timestamps();
  void carry_out(control::Event& event);
  void publish_plan();
  Result<void> interface_present();
  void worker_failed(unsigned index, const Error& error) {
    report("tunnel", "worker " + std::to_string(index) + ": " + error.text + "; the tunnel ends",
           TunnelEvent::Level::error);
    worker_lost_.store(true, std::memory_order_release);
    stop();
  }

  TunnelConfig config_;
  HostSettings host_;
  EventLog events_;
  Reporter reporter_{events_};
  Instant started_at_ = read_clocks().monotonic;
  unsigned workers_wanted_;
  std::string aead_name_;  // of the workers' provider
  unsigned mtu_ = 0;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> handing_over_{false};
  std::atomic<bool> worker_lost_{false};
  SystemRandomness randomness_;
  KeyFiles key_files_;
  std::unique_ptr<StateWriter> state_writer_;
  uint64_t timestamp_floor_ns_ = 0;  // reserved by whoever ran before us
  bool reservation_saved_ = false;   // ours
  bool timestamps_stale_ = false;    // what the state writer has
  Instant timestamps_due_{};

  // Destroyed from the bottom up: workers first, then what they borrow.
  std::optional<ControlMailbox> mailbox_;
  std::unique_ptr<XdpProgram> program_;
  std::string no_program_reason_;
  std::optional<WindowPool> shared_windows_;  // with the XDP program
  std::optional<WindowMemory> window_memory_;
  std::optional<WindowPool> plain_windows_;
  std::optional<Tun> tun_;
  std::optional<Netlink> netlink_;
  std::optional<PeerRoutes> routes_;  // none: they are somebody else's to set
  std::unique_ptr<control::Controller> controller_;
  std::unique_ptr<ReceiveSessions> sessions_;
  std::unique_ptr<Shield> shield_;
  std::unique_ptr<Uplinks> uplinks_;
  std::optional<HostNames> names_;
  Instant names_due_{};
  bool names_missed_ = false;  // something may have happened that names_->next() does not know of
  PlanBoard board_;
  std::optional<Uring> ring_;
  std::array<std::shared_ptr<UplinkIo>, CP_MAX_UPLINKS> armed_;
  std::array<uint32_t, CP_MAX_UPLINKS> generations_{};
  std::vector<uint8_t> udp_buffer_;
  std::optional<UdpReceiveBatch> udp_batch_;
  Pings pings_;
  bool windows_shrink_ = false;  // and the log says so
  bool plan_stale_ = false;
  bool interface_check_due_ = false;
  std::optional<Instant> keylog_told_;
  Instant counters_due_{};
  Instant host_due_{};
  std::vector<std::unique_ptr<Worker>> workers_;
  Instant workers_due_{};  // when there are none yet
};

}  // namespace centipede
