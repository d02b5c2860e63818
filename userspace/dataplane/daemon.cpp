#include "dataplane/daemon.h"

#include <linux/capability.h>
#include <sodium.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <future>
#include <set>
#include <thread>
#include <utility>
#include <variant>

#include "control/controller.h"
#include "dataplane/bpffs.h"
#include "dataplane/capabilities.h"
#include "dataplane/host_names.h"
#include "dataplane/host_settings.h"
#include "dataplane/last_addresses.h"
#include "dataplane/mailbox.h"
#include "dataplane/netlink.h"
#include "dataplane/peer_routes.h"
#include "dataplane/pings.h"
#include "dataplane/plan.h"
#include "dataplane/preshared_key_files.h"
#include "dataplane/receive_sessions.h"
#include "dataplane/reporter.h"
#include "dataplane/setting_texts.h"
#include "dataplane/shield.h"
#include "dataplane/state_file.h"
#include "dataplane/state_writer.h"
#include "dataplane/tally.h"
#include "dataplane/tun.h"
#include "dataplane/uplink_selection.h"
#include "dataplane/uplinks.h"
#include "dataplane/uring.h"
#include "dataplane/worker.h"
#include "dataplane/xdp.h"
#include "wire/message.h"

namespace centipede {
namespace {

// IPv6 and UDP header, and ours: what a packet grows by in the worst case.
constexpr unsigned encapsulation_bytes = 40 + 8 + CP_DATA_HEADER_SIZE;
constexpr unsigned mtu_min = 1280;
constexpr unsigned mtu_max = 65435;
constexpr unsigned mtu_fallback = 1420;

// Trains of at most 64 datagrams each: what is served of one socket before the next one has its turn.
constexpr size_t control_buffers = 4;
constexpr size_t control_buffer_bytes = 65536;

// Heartbeats tell the peer how many packets arrived; this is how stale what XDP dropped may be in that.
constexpr Duration counters_interval = seconds(1);

// How often a snapshot of the timestamps of all peers is made: the state writer writes no faster.
constexpr Duration timestamps_interval = seconds(1);

constexpr Duration start_patience = seconds(1);

// How often the log says that keys are being handed out.
constexpr Duration keylog_interval = seconds(60);

// How long an interface that outlived its process is not read from, at most.
constexpr Duration takeover_patience = seconds(2);

// How long the kill switch may be away when others remove it.
constexpr Duration host_interval = seconds(5);

// How soon after a peer has lost its last path its names are looked up.
constexpr Duration names_interval = milliseconds(250);

constexpr uint64_t wake_token = 1;
constexpr uint64_t netlink_token = 2;
constexpr uint64_t control_socket_token = 3;  // + uplink id, + generation << 8
constexpr uint64_t handshake_socket_token = control_socket_token + CP_MAX_UPLINKS;

// The first reservation of timestamps has to be on the disk before the first call leaves; a disk that takes longer has
// to be lived with.
constexpr Duration first_save_patience = seconds(1);

class KeyFiles : public control::PresharedKeySource {
 public:
  std::optional<crypto::SecretKey> read(const std::string& path) override { return read_preshared_key(path); }
};

class SystemRandomness : public control::Randomness {
 public:
  void fill(Bytes out) override { randombytes_buf(out.data(), out.size()); }
};

Now read_clocks() {
  const auto wall = std::chrono::system_clock::now().time_since_epoch();
  // CLOCK_BOOTTIME goes on while the machine sleeps: keys grow old in a closed laptop too.
  timespec since_boot{};
  clock_gettime(CLOCK_BOOTTIME, &since_boot);
  return {.monotonic = Instant(seconds(since_boot.tv_sec) + nanoseconds(since_boot.tv_nsec)),
          .wall = {static_cast<uint64_t>(std::chrono::duration_cast<nanoseconds>(wall).count())}};
}

std::string names_of(const std::vector<UplinkSettings>& uplinks) {
  std::string names;
  for (const UplinkSettings& uplink : uplinks)
    names += (names.empty() ? "" : ", ") + uplink.name;
  return names.empty() ? "none" : names;
}

unsigned worker_count(const TunnelConfig& config) {
  const unsigned wanted = config.workers != 0 ? config.workers : std::max(1U, std::thread::hardware_concurrency());
  return std::min<unsigned>(wanted, CP_MAX_WORKERS);
}

}  // namespace

class Daemon::Impl {
 public:
  explicit Impl(TunnelConfig config)
      : config_(std::move(config)),
        host_(config_, [this](std::string text) { warn("tunnel", std::move(text)); }),
        workers_wanted_(worker_count(config_)),
        udp_buffer_(control_buffers * control_buffer_bytes) {
    std::vector<Bytes> buffers;
    buffers.reserve(control_buffers);
    for (size_t i = 0; i < control_buffers; ++i) {
      buffers.push_back(Bytes(udp_buffer_).subspan(i * control_buffer_bytes, control_buffer_bytes));
    }
    udp_batch_.emplace(buffers);
  }

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
  TunnelStatus status();

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

Result<void> Daemon::Impl::start() {
  const auto aead = crypto::make_aead(config_.aead);
  if (!aead) return fail(aead.error().text + "; set aead = \"auto\" or \"sodium\"", aead.error().code);
  aead_name_ = (*aead)->name();
  auto wake = WakeUp::create();
  if (!wake) return std::unexpected(wake.error());
  mailbox_.emplace(std::move(*wake));
  auto ring = Uring::create();
  if (!ring) return std::unexpected(ring.error());
  ring_.emplace(std::move(*ring));
  auto netlink = Netlink::open();
  if (!netlink) return std::unexpected(netlink.error());
  netlink_.emplace(std::move(*netlink));

  for (const auto step :
       {&Impl::protect_host, &Impl::start_tun, &Impl::start_programs, &Impl::start_uplinks, &Impl::configure_interface,
        &Impl::drop_privileges, &Impl::start_controller, &Impl::start_workers_in_time}) {
    if (auto result = (this->*step)(); !result) {
      host_.start_failed();
      return result;
    }
  }
  host_.set_name_servers();
  return {};
}

Result<void> Daemon::Impl::start_programs() {
  const SessionCapacity capacity = session_capacity(config_.live.peers.size(), config_.window_bits);
  auto program = XdpProgram::load({.tunnel = config_.name,
                                   .window_words = capacity.shared_words,
                                   .max_sessions = capacity.sessions,
                                   .counted_sessions = capacity.counted,
                                   .max_calls = capacity.sessions,
                                   .xsk_slots = CP_MAX_UPLINKS * CP_MAX_QUEUES * workers_wanted_});
  if (program) {
    program_ = std::move(*program);
    if (!program_->pin_problem().empty()) warn("tunnel", "maps are not pinned: " + program_->pin_problem());
  } else if (config_.mode == ReceiveMode::xdp) {
    return std::unexpected(program.error());
  } else {
    no_program_reason_ = program.error().text;
    warn("tunnel", "no XDP, and no early drop of copies: " + no_program_reason_);
    if (const auto removed = remove_leftovers(config_.name); !removed) warn("tunnel", removed.error().text);
  }
  if (program_) shared_windows_.emplace(program_->windows());
  auto memory = WindowMemory::reserve(capacity.plain_words);
  if (!memory) return std::unexpected(memory.error());
  window_memory_.emplace(std::move(*memory));
  plain_windows_.emplace(window_memory_->words());
  sessions_ = std::make_unique<ReceiveSessions>(program_.get(), shared_windows_ ? &*shared_windows_ : nullptr,
                                                *plain_windows_, capacity);
  return {};
}

Result<void> Daemon::Impl::start_tun() {
  if (std::vector<FileDescriptor> kept = std::move(config_.tun_queues); !kept.empty()) {
    auto adopted = kept.size() == workers_wanted_ ? Tun::adopt(config_.name, std::move(kept))
                                                  : fail("it has " + std::to_string(kept.size()) + " queues for " +
                                                         std::to_string(workers_wanted_) + " workers");
    if (adopted) {
      tun_.emplace(std::move(*adopted));
      return {};
    }
    warn("tunnel", "the interface that outlived the last process is made anew: " + adopted.error().text);
    kept.clear();
    if (config_.forget_tun_queues) config_.forget_tun_queues();
  }
  const Instant patience = read_clocks().monotonic + start_patience;
  auto tun = Tun::create(config_.name, workers_wanted_);
  while (!tun && tun.error().code == EBUSY && read_clocks().monotonic < patience) {
    std::this_thread::sleep_for(milliseconds(20));
    tun = Tun::create(config_.name, workers_wanted_);
  }
  if (!tun) return std::unexpected(tun.error());
  tun_.emplace(std::move(*tun));
  return {};
}

Result<void> Daemon::Impl::start_controller() {
  const crypto::PublicKey& own_key = config_.identity.public_key();
  const std::string path = state_path(config_.state_directory, config_.name);
  const OpenedState opened = open_state(path, own_key);
  if (!opened.warning.empty()) warn("tunnel", opened.warning);
  state_writer_ = std::make_unique<StateWriter>(
      path, own_key, [this](TunnelEvent::Level level, std::string text) { report("tunnel", std::move(text), level); });

  control::Settings settings{.identity = config_.identity.clone(), .workers = workers_wanted_};
  settings.params = {.lanes = static_cast<uint8_t>(workers_wanted_),
                     .window_bits = static_cast<uint8_t>(config_.window_bits),
                     .heartbeat_ms = config_.heartbeat_ms,
                     .mtu = static_cast<uint16_t>(mtu_)};
  settings.timing.heartbeat_interval = milliseconds(config_.heartbeat_ms);
  settings.timing.rekey_after = seconds(config_.rekey_seconds);
  settings.timestamp_floor_ns = timestamp_floor_ns_ = opened.state.sent_limit_ns;
  for (const AcceptedTimestamp& one : opened.state.peers)
    settings.accepted_timestamps_ns.emplace_hint(settings.accepted_timestamps_ns.end(), one.peer, one.accepted_ns);
  shield_ = std::make_unique<Shield>(program_.get(), settings.gate, [this](TunnelEvent::Level level, std::string text) {
    report("handshake", std::move(text), level);
  });
  controller_ = std::make_unique<control::Controller>(std::move(settings), randomness_, &key_files_);
  const auto peers = controller_->set_peers(std::move(config_.live.peers), read_clocks());
  if (!peers) return std::unexpected(peers.error());
  config_.live.peers = decltype(config_.live.peers)();  // the controller's from now on
  for (auto& [peer, endpoints] : take_last_addresses(last_addresses_path(config_.state_directory, config_.name)))
    controller_->set_last_addresses(peer, std::move(endpoints), read_clocks());
  names_.emplace(HostNames::Setup{.controller = *controller_,
                                  .mailbox = *mailbox_,
                                  .clock = read_clocks,
                                  .warn = [this](std::string text) { warn("peer", std::move(text)); },
                                  .inside = config_.dns,
                                  .mark = host_.mark()});
  return {};
}

Result<void> Daemon::Impl::start_uplinks() {
  uplinks_ = std::make_unique<Uplinks>(Uplinks::Setup{.port = config_.listen_port,
                                                      .workers = workers_wanted_,
                                                      .mode = config_.mode,
                                                      .busy_poll_us = config_.busy_poll_us,
                                                      .mark = host_.mark(),
                                                      .program = program_.get(),
                                                      .no_program_reason = no_program_reason_});
  if (config_.live.uplinks.empty()) return fail("no uplinks: name at least one network device to send over");
  const Now now = read_clocks();
  std::string problems;
  if (auto checked = check_uplinks(config_.live, config_.name); !checked) return checked;
  uplinks_->set_wanted(config_.live.uplinks, config_.live.excluded_uplinks, *netlink_, now.monotonic);
  // The kernel takes some time to free the ports of a daemon that was killed just now.
  const Instant patience = now.monotonic + start_patience;
  const auto none_open = [&] { return std::ranges::all_of(uplinks_->sockets(), [](const auto& io) { return !io; }); };
  for (Instant next = uplinks_->next_retry(); none_open() && next < patience; next = uplinks_->next_retry()) {
    std::this_thread::sleep_for(next - read_clocks().monotonic);
    uplinks_->refresh(*netlink_, read_clocks().monotonic);
  }
  bool any = false;
  for (const UplinkStatus& uplink : uplinks_->status()) {
    any |= !uplink.mode.empty();
    if (!uplink.mode.empty()) continue;
    if (!problems.empty()) problems += "; ";
    problems += uplink.name + ": " + uplink.reason;
    warn("uplink", "uplink " + uplink.name + ": " + uplink.reason + "; it joins when that changes");
  }
  const auto pattern = std::ranges::find_if(config_.live.uplinks, is_pattern, &UplinkSettings::name);
  if (!any && pattern == config_.live.uplinks.end()) return fail("none of the uplinks can be used: " + problems);
  if (!any)
    warn("uplink", "no device to send over yet: the tunnel waits for one that matches \"" + pattern->name + '"');
  return {};
}

Result<void> Daemon::Impl::configure_interface() {
  const unsigned uplink_mtu = uplinks_->smallest_mtu();
  mtu_ = config_.mtu != 0                             ? config_.mtu
         : uplink_mtu < mtu_min + encapsulation_bytes ? mtu_fallback
                                                      : std::min(uplink_mtu - encapsulation_bytes, mtu_max);
  const auto ifindex = static_cast<int>(tun_->interface_index());
  if (tun_->adopted()) {
    const auto networks = config_.routes ? routes_of(config_.live.peers) : std::set<Prefix>{};
    if (const auto result = netlink_->remove_others(ifindex, config_.addresses, networks); !result) return result;
  }
  for (const Prefix& address : config_.addresses) {
    if (const auto result = netlink_->add_address(ifindex, address); !result) return result;
  }
  if (const auto result = netlink_->set_link_up(ifindex, mtu_); !result) return result;
  if (!config_.routes) return {};
  routes_.emplace(*netlink_, ifindex);
  return routes_->extend(routes_of(config_.live.peers));
}

// Before there are threads, which keep what their starter had. From here on: addresses, routes and the firewall; AF_XDP
// sockets of uplinks that come, and their locked memory. A dispatcher is made anew, out of what others loaded, whenever
// a program joins or leaves it.
Result<void> Daemon::Impl::drop_privileges() {
  if (program_ && program_->dispatcher_possible() && config_.mode != ReceiveMode::udp)
    return keep_capabilities({CAP_NET_ADMIN, CAP_NET_RAW, CAP_IPC_LOCK, CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN});
  return keep_capabilities({CAP_NET_ADMIN, CAP_NET_RAW, CAP_IPC_LOCK});
}

// What waits in an interface that outlived its process stays there until it can be sent.
Result<void> Daemon::Impl::start_workers_in_time() {
  if (!tun_->adopted()) return start_workers();
  workers_due_ = read_clocks().monotonic + takeover_patience;
  return {};
}

bool Daemon::Impl::reaches_a_peer() const {
  const control::PeerTable peers = controller_->forwarding().peers;
  for (size_t id = 0; id < peers.size(); ++id)
    if (peers[id] && peers[id]->send_session && !peers[id]->send_paths.empty()) return true;
  return false;
}

Result<void> Daemon::Impl::start_workers() {
  for (unsigned index = 0; index < workers_wanted_; ++index) {
    auto worker = Worker::start({.index = index,
                                 .mtu = mtu_,
                                 .aead = config_.aead,
                                 .busy_poll = microseconds(config_.busy_poll_us),
                                 .tun = tun_->queue(index),
                                 .offloads = {.tcp = tun_->takes_tcp_segments(), .udp = tun_->takes_udp_segments()},
                                 .board = board_,
                                 .control = *mailbox_,
                                 .failed = [this, index](const Error& error) { worker_failed(index, error); }});
    if (!worker) return std::unexpected(worker.error());
    workers_.push_back(std::move(*worker));
  }
  return {};
}

Result<void> Daemon::Impl::run() {
  (void)ring_->poll(mailbox_->wake().fd(), wake_token);
  (void)ring_->poll(netlink_->event_fd(), netlink_token);
  uplinks_changed(read_clocks());
  carry_out_actions();
  Result<void> outcome;
  while (!stopping_.load(std::memory_order_acquire)) {
    const Instant deadline = std::min({controller_->next_deadline(), uplinks_->next_retry(), host_due_, pings_.next(),
                                       timestamps_stale_ ? timestamps_due_ : never,
                                       std::max(names_->next(), names_due_), workers_.empty() ? workers_due_ : never});
    const Instant before = read_clocks().monotonic;
    const Duration timeout = deadline == never ? Duration::max() : std::max(Duration::zero(), deadline - before);
    const auto ready = ring_->wait(timeout);
    if (!ready) {
      outcome = std::unexpected(ready.error());
      break;
    }
    const Now now = read_clocks();
    for (const Ready& one : *ready)
      serve(one.token, now);
    if (now.monotonic >= uplinks_->next_retry()) {
      uplinks_->refresh(*netlink_, now.monotonic);
      uplinks_changed(now);
    }
    if (now.monotonic >= host_due_) {
      host_.keep_watch();
      host_due_ = config_.kill_switch ? now.monotonic + host_interval : never;
    }
    if (now.monotonic >= counters_due_) {
      sessions_->collect_counters(controller_->forwarding().peers);
      reporter_.tell_left_out(now.monotonic);
      counters_due_ = now.monotonic + counters_interval;
    }
    if (now.monotonic >= controller_->next_deadline()) controller_->on_timer(now);
    if (now.monotonic >= names_due_) {
      names_->run(uplinks_->usable_devices(), now.monotonic);
      names_due_ = now.monotonic + names_interval;
    }
    pings_.serve(*controller_, now.monotonic);
    carry_out_actions();
    if (workers_.empty() && (now.monotonic >= workers_due_ || reaches_a_peer())) {
      if (outcome = start_workers(); !outcome) break;
    }
    if (timestamps_stale_ && now.monotonic >= timestamps_due_) {
      save_timestamps();
      timestamps_due_ = now.monotonic + timestamps_interval;
    }
    if (outcome = interface_present(); !outcome) break;
  }
  const Now now = read_clocks();
  const bool handing_over = outcome && handing_over_.load(std::memory_order_acquire);
  if (handing_over) {
    const std::string path = last_addresses_path(config_.state_directory, config_.name);
    if (auto written = write_last_addresses(path, controller_->status(now)); !written)
      warn("tunnel", written.error().text + "; peers without an endpoint have to call first");
  } else {
    controller_->close(now);
  }
  carry_out_actions();
  if (timestamps_stale_) save_timestamps();
  (void)mailbox_->close();
  pings_ = {};
  report("tunnel", config_.name + ": ends" + (outcome ? "" : ": " + outcome.error().text),
         outcome ? TunnelEvent::Level::info : TunnelEvent::Level::error);
  events_.interrupt();
  if (!handing_over) host_.revert(outcome && !worker_lost_.load(std::memory_order_acquire));
  if (outcome && worker_lost_.load(std::memory_order_acquire)) return fail("a worker could not go on");
  return outcome;
}

void Daemon::Impl::serve(uint64_t token, const Now& now) {
  if (token == wake_token) {
    mailbox_->wake().drain();
    serve_mailbox(now);
    (void)ring_->poll(mailbox_->wake().fd(), wake_token);
  } else if (token == netlink_token) {
    if (netlink_->drain_events()) {
      interface_check_due_ = true;
      uplinks_->refresh(*netlink_, now.monotonic);
      uplinks_changed(now);
    }
    (void)ring_->poll(netlink_->event_fd(), netlink_token);
  } else {
    const uint64_t row = (token & 0xff) - control_socket_token;
    const auto id = static_cast<control::UplinkId>(row % CP_MAX_UPLINKS);
    if (row >= uint64_t{2} * CP_MAX_UPLINKS || token >> 8 != generations_[id] || !armed_[id]) return;
    UdpSocket& socket = row < CP_MAX_UPLINKS ? armed_[id]->control_socket() : armed_[id]->handshake_socket();
    serve_socket(socket, id, now);
    (void)ring_->poll(socket.fd(), token);
  }
}

// A bounded number at a time, so that no socket starves another.
void Daemon::Impl::serve_socket(UdpSocket& socket, control::UplinkId id, const Now& now) {
  const auto received = socket.receive(*udp_batch_);
  if (!received) return;
  for (const ReceivedDatagram& train : *received) {
    const control::Route route{.uplink = id, .local = train.local, .remote = train.remote};
    for_each_datagram(train, [&](ConstBytes datagram) { serve_datagram(route, datagram, now); });
  }
}

// The kernel joins what comes from one address in one moment, and chooses the socket by the first: behind a heartbeat
// there may be data.
void Daemon::Impl::serve_datagram(const control::Route& route, ConstBytes datagram, const Now& now) {
  const auto header = wire::parse_data_header(datagram);
  if (!header || header->number.lane == CP_CONTROL_LANE || workers_.empty())
    return controller_->on_datagram(route, datagram, now);
  const uint32_t worker = cp_worker(header->sid, header->number.lane, static_cast<uint32_t>(workers_.size()));
  // One for which there is no room is counted as what it is not: a control datagram.
  if (!workers_[worker]->hand_over({route, {datagram.begin(), datagram.end()}}))
    controller_->on_datagram(route, datagram, now);
}

void Daemon::Impl::serve_mailbox(const Now& now) {
  ControlMailbox::Contents contents = mailbox_->take();
  for (const StrayDatagram& stray : contents.datagrams)
    controller_->on_datagram(stray.route, stray.bytes, now);
  for (ControlMailbox::Task& task : contents.tasks) {
    task();
    uplinks_changed(now);
  }
}

void Daemon::Impl::uplinks_changed(const Now& now) {
  Uplinks::Changes changes = uplinks_->take_changes();
  for (Uplinks::Line& line : changes.log) {
    reporter_.report({.level = TunnelEvent::Level::info,
                      .kind = "uplink",
                      .peer = {},
                      .uplink = std::move(line.device),
                      .text = std::move(line.text)},
                     now.monotonic);
  }
  if (changes.sockets) {
    arm_sockets();
    plan_stale_ = true;
  }
  for (const control::UplinkId id : changes.removed)
    controller_->remove_uplink(id, now);
  for (control::Uplink& uplink : changes.updated)
    controller_->set_uplink(std::move(uplink), now);
  if (!changes.updated.empty()) names_->uplinks_changed(now.monotonic);
}

void Daemon::Impl::arm_sockets() {
  const Uplinks::SocketTable sockets = uplinks_->sockets();
  for (size_t id = 0; id < sockets.size(); ++id) {
    if (sockets[id] == armed_[id]) continue;
    const auto token = [&](uint64_t first) { return uint64_t{generations_[id]} << 8 | (first + id); };
    if (armed_[id]) {
      (void)ring_->cancel(token(control_socket_token));
      (void)ring_->cancel(token(handshake_socket_token));
    }
    ++generations_[id];
    armed_[id] = sockets[id];
    if (!armed_[id]) continue;
    (void)ring_->poll(armed_[id]->control_socket().fd(), token(control_socket_token));
    (void)ring_->poll(armed_[id]->handshake_socket().fd(), token(handshake_socket_token));
  }
}

void Daemon::Impl::carry_out_actions() {
  for (control::Action& action : controller_->take_actions()) {
    std::visit([this](auto& one) { carry_out(one); }, action);
  }
  if (sessions_->retry()) plan_stale_ = true;
  shield_->set_sessions_complete(sessions_->all_listed());
  if (plan_stale_) publish_plan();
}

void Daemon::Impl::carry_out(control::SendDatagram& send) {
  // A peer may answer at once: what it answers to must be receivable.
  if (plan_stale_) publish_plan();
  UplinkIo* uplink = uplinks_->io(send.route.uplink);
  if (uplink == nullptr) return;
  (void)uplink->control_socket().send(send.route.remote, send.route.local, send.bytes);
}

void Daemon::Impl::carry_out(control::SessionAdded& added) {
  plan_stale_ = true;
  using Added = ReceiveSessions::Added;
  const Added outcome = sessions_->add(added.peer, added.session);
  const std::string peer = controller_->peer_name(added.peer);
  if (outcome == Added::waiting) {
    warn("session", peer + ": no window memory for a session now; it receives as soon as there is", peer);
  } else if (outcome == Added::shrunk && !std::exchange(windows_shrink_, true)) {
    warn("session",
         peer + ": there are so many sessions that this one and others to come get smaller replay windows: packets " +
             "that are reordered by more are dropped (too_old); a smaller window_bits leaves room for more",
         peer);
  }
  // Before its peer learns of it.
  if (!sessions_->all_listed()) shield_->set_sessions_complete(false);
}

void Daemon::Impl::carry_out(control::SessionRemoved& removed) {
  plan_stale_ = true;
  sessions_->remove(removed.local_sid, controller_->forwarding().peers);
}

// The first reservation of this process, not what it accepted before, is waited for.
void Daemon::Impl::carry_out(control::TimestampsChanged&) {
  timestamps_stale_ = true;
  const bool reserves = controller_->sent_limit_ns() != timestamp_floor_ns_;
  if (!reserves || std::exchange(reservation_saved_, true)) return;
  if (!state_writer_->save_now(timestamps(), first_save_patience))
    warn("tunnel",
         state_path(config_.state_directory, config_.name) + " is not written yet; calls go out nevertheless");
}

SavedState Daemon::Impl::timestamps() {
  timestamps_stale_ = false;
  const control::Timestamps kept = controller_->timestamps();
  SavedState state{.sent_limit_ns = kept.sent_limit_ns};
  for (const auto& [peer, accepted_ns] : kept.accepted)
    state.peers.push_back({peer, accepted_ns});
  return state;
}

void Daemon::Impl::carry_out(control::Event& event) {
  using Level = TunnelEvent::Level;
  const Level level = event.level == control::Event::Level::debug  ? Level::debug
                      : event.level == control::Event::Level::info ? Level::info
                                                                   : Level::warning;
  reporter_.report({.level = level,
                    .kind = event.kind,
                    .peer = std::move(event.peer),
                    .uplink = std::move(event.uplink),
                    .text = std::move(event.text)},
                   read_clocks().monotonic);
}

void Daemon::Impl::report(const char* kind, std::string text, TunnelEvent::Level level, std::string peer) {
  reporter_.report({.level = level, .kind = kind, .peer = std::move(peer), .uplink = {}, .text = std::move(text)},
                   read_clocks().monotonic);
}

void Daemon::Impl::publish_plan() {
  plan_stale_ = false;
  auto plan = std::make_shared<Plan>();
  plan->forwarding = controller_->forwarding();
  plan->sessions = sessions_->table();
  plan->uplinks = uplinks_->sockets();
  board_.publish(std::move(plan));
  for (const auto& worker : workers_)
    worker->wake();
}

// ip link delete cp0: there is nothing left to read from, so the tunnel ends.
Result<void> Daemon::Impl::interface_present() {
  if (!std::exchange(interface_check_due_, false)) return {};
  const auto link = netlink_->link(config_.name);
  if (link && (!*link || (*link)->ifindex != static_cast<int>(tun_->interface_index()))) {
    return fail("interface " + config_.name + " has been deleted by somebody else");
  }
  return {};
}

TunnelSettings Daemon::Impl::settings_in_force() const {
  return {.uplinks = config_.live.uplinks,
          .excluded_uplinks = config_.live.excluded_uplinks,
          .peers = controller_->peers()};
}

Result<TunnelSettings> Daemon::Impl::settings() {
  auto outcome = on_control_thread([this] { return settings_in_force(); });
  return outcome ? Result<TunnelSettings>(std::move(*outcome)) : fail("the tunnel is stopping");
}

Result<void> Daemon::Impl::change(const TunnelControl::Edit& edit) {
  auto outcome = on_control_thread([this, &edit] { return edit_settings(edit); });
  return outcome ? *outcome : fail("the tunnel is stopping");
}

// Everything is judged first. Routes can fail nevertheless, so they come before what cannot; those that nobody wants
// any more go last, when no packet takes them.
Result<void> Daemon::Impl::edit_settings(const TunnelControl::Edit& edit) {
  TunnelSettings next = settings_in_force();
  if (auto edited = edit(next); !edited) return edited;
  if (auto sound = check_uplinks(next, config_.name); !sound) return sound;
  if (auto sound = controller_->check_peers(next.peers); !sound) return sound;
  const auto unprotect = [this] { (void)host_.change_networks(inside_networks(controller_->peers())); };
  const std::set<Prefix> inside = config_.kill_switch ? inside_networks(next.peers) : std::set<Prefix>{};
  if (auto widened = host_.widen(inside); !widened) return widened;
  const std::set<Prefix> networks = routes_ ? routes_of(next.peers) : std::set<Prefix>{};
  if (routes_) {
    if (auto extended = routes_->extend(networks); !extended) {
      unprotect();
      return extended;
    }
  }
  const auto changes = controller_->set_peers(std::move(next.peers), read_clocks());
  if (!changes) {  // a key file that could be read has gone in between
    if (routes_) (void)routes_->shrink(routes_of(controller_->peers()));
    unprotect();
    return std::unexpected(changes.error());
  }
  for (const control::PeerChange& change : *changes) {
    report("peer", "peer " + change.peer + ": " + change.what, TunnelEvent::Level::info, change.peer);
  }
  if (next.uplinks != config_.live.uplinks || next.excluded_uplinks != config_.live.excluded_uplinks) {
    if (auto set = set_uplinks(std::move(next)); !set) return set;
    report("settings", "uplinks: " + names_of(config_.live.uplinks));
  }
  if (routes_) {
    if (const auto shrunk = routes_->shrink(networks); !shrunk)
      warn("settings", shrunk.error().text + "; the route stays for now");
  }
  if (const auto narrowed = host_.change_networks(inside); !narrowed)
    warn("settings", narrowed.error().text + "; it stops more than it has to");
  return {};
}

Result<std::vector<PathPing>> Daemon::Impl::ping(const std::string& peer, std::chrono::milliseconds time) {
  auto started = on_control_thread([&, this] { return pings_.start(*controller_, peer, time, read_clocks()); });
  if (!started) return fail("the tunnel is stopping");
  if (!*started) return std::unexpected(started->error());
  try {
    return (*started)->get();
  } catch (const std::future_error&) {
    return fail("the tunnel is stopping");
  }
}

Result<void> Daemon::Impl::set_uplinks(TunnelSettings next) {
  if (auto checked = check_uplinks(next, config_.name); !checked) return checked;
  config_.live.uplinks = std::move(next.uplinks);
  config_.live.excluded_uplinks = std::move(next.excluded_uplinks);
  uplinks_->set_wanted(config_.live.uplinks, config_.live.excluded_uplinks, *netlink_, read_clocks().monotonic);
  return {};
}

Result<void> Daemon::Impl::attach_uplink(const UplinkSettings& uplink) {
  auto outcome = on_control_thread([this, uplink]() -> Result<void> {
    TunnelSettings before{.uplinks = config_.live.uplinks, .excluded_uplinks = config_.live.excluded_uplinks};
    TunnelSettings next = before;
    if (auto added = add_uplink(next, uplink); !added) return added;
    if (auto set = set_uplinks(std::move(next)); !set) return set;
    const std::string problem = is_pattern(uplink.name) ? std::string() : uplinks_->problem(uplink.name);
    if (problem.empty()) return {};
    (void)set_uplinks(std::move(before));  // has been judged before
    return fail("uplink " + uplink.name + ": " + problem, ENODEV);
  });
  return outcome ? *outcome : fail("the tunnel is stopping");
}

Result<void> Daemon::Impl::detach_uplink(const std::string& name) {
  auto outcome = on_control_thread([this, name]() -> Result<void> {
    TunnelSettings next{.uplinks = config_.live.uplinks, .excluded_uplinks = config_.live.excluded_uplinks};
    if (auto removed = remove_uplink(next, name, uplinks_->attached(name)); !removed) return removed;
    return set_uplinks(std::move(next));
  });
  return outcome ? *outcome : fail("the tunnel is stopping");
}

TunnelStatus Daemon::Impl::status() {
  auto outcome = on_control_thread([this] {
    sessions_->collect_counters(controller_->forwarding().peers);
    TunnelStatus status{.name = config_.name,
                        .version = CENTIPEDE_VERSION,
                        .uptime = read_clocks().monotonic - started_at_,
                        .public_key = config_.identity.public_key(),
                        .listen_port = config_.listen_port,
                        .addresses = config_.addresses,
                        .mtu = mtu_,
                        .aead = aead_name_,
                        .keylog_allowed = config_.allow_keylog,
                        .windows_shrunk = sessions_->shrunk(),
                        .sessions_waiting = sessions_->waiting(),
                        .uplinks = uplinks_->status(),
                        .peers = controller_->status(read_clocks()),
                        .control = controller_->counters()};
    for (const auto& worker : workers_) {
      status.workers.push_back(worker->counters());
      add_tallies(status.total, status.workers.back());
    }
    return status;
  });
  return outcome ? std::move(*outcome) : TunnelStatus{.name = config_.name};
}

Result<std::vector<SessionKey>> Daemon::Impl::session_keys() {
  if (!config_.allow_keylog) {
    return fail(config_.name + " keeps its session keys: only a tunnel that was started with `centipede attach " +
                    "--allow-keylog` gives them",
                EPERM);
  }
  auto outcome = on_control_thread([this] {
    const Now now = read_clocks();
    if (!keylog_told_ || now.monotonic >= *keylog_told_ + keylog_interval) {
      warn("session", "session keys are handed out (centipede keylog): whoever has them can read recorded packets");
      keylog_told_ = now.monotonic;
    }
    return centipede::session_keys(*controller_, now);
  });
  if (!outcome) return fail("the tunnel is stopping");
  return std::move(*outcome);
}

Daemon::Daemon(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Daemon::~Daemon() = default;

Result<std::unique_ptr<Daemon>> Daemon::start(TunnelConfig config) {
  auto impl = std::make_unique<Impl>(std::move(config));
  if (auto started = impl->start(); !started) return std::unexpected(started.error());
  return std::unique_ptr<Daemon>(new Daemon(std::move(impl)));
}

Result<void> Daemon::run() {
  return impl_->run();
}
void Daemon::stop() {
  impl_->stop();
}
void Daemon::hand_over() {
  impl_->hand_over();
}
std::vector<int> Daemon::tun_queues() const {
  return impl_->tun_queues();
}
Result<TunnelSettings> Daemon::settings() {
  return impl_->settings();
}
Result<void> Daemon::change(const Edit& edit) {
  return impl_->change(edit);
}
Result<void> Daemon::attach_uplink(const UplinkSettings& uplink) {
  return impl_->attach_uplink(uplink);
}
Result<std::vector<PathPing>> Daemon::ping(std::string_view peer, std::chrono::milliseconds time) {
  return impl_->ping(std::string(peer), time);
}
Result<std::vector<SessionKey>> Daemon::session_keys() {
  return impl_->session_keys();
}
EventLog& Daemon::events() {
  return impl_->events();
}
Result<void> Daemon::detach_uplink(std::string_view name) {
  return impl_->detach_uplink(std::string(name));
}
TunnelStatus Daemon::status() {
  return impl_->status();
}

}  // namespace centipede
