#include "dataplane/daemon.h"

#include <linux/capability.h>
#include <sodium.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>
#include <thread>
#include <utility>
#include <variant>

#include "control/controller.h"
#include "dataplane/bpffs.h"
#include "dataplane/capabilities.h"
#include "dataplane/log.h"
#include "dataplane/mailbox.h"
#include "dataplane/netlink.h"
#include "dataplane/plan.h"
#include "dataplane/preshared_key_files.h"
#include "dataplane/receive_sessions.h"
#include "dataplane/shield.h"
#include "dataplane/state_file.h"
#include "dataplane/state_writer.h"
#include "dataplane/tally.h"
#include "dataplane/tun.h"
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

constexpr size_t control_buffers = 32;
constexpr size_t control_buffer_bytes = 2048;  // the longest control datagram is an initiation

// Heartbeats tell the peer how many packets arrived; this is how stale what XDP dropped may be in that.
constexpr Duration counters_interval = seconds(1);

// How often a snapshot of the timestamps of all peers is made: the state writer writes no faster.
constexpr Duration timestamps_interval = seconds(1);

constexpr Duration start_patience = seconds(1);

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

unsigned worker_count(const TunnelConfig& config) {
  const unsigned wanted = config.workers != 0 ? config.workers : std::max(1U, std::thread::hardware_concurrency());
  return std::min<unsigned>(wanted, CP_MAX_WORKERS);
}

}  // namespace

class Daemon::Impl {
 public:
  explicit Impl(TunnelConfig config)
      : config_(std::move(config)),
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
    for (size_t index = 0; index < tun_->queue_count(); ++index)
      queues.push_back(tun_->queue(index).fd());
    return queues;
  }
  void stop() {
    stopping_.store(true, std::memory_order_release);
    if (mailbox_) mailbox_->wake().wake();
  }

  // Carries `work` out on the control thread and returns what it returned; an error once that has stopped.
  template <class Work>
  auto on_control_thread(Work work) -> std::optional<decltype(work())> {
    std::promise<decltype(work())> promise;
    auto outcome = promise.get_future();
    if (!mailbox_->post(ControlMailbox::Task(
            [promise = std::move(promise), work = std::move(work)]() mutable { promise.set_value(work()); }))) {
      return std::nullopt;
    }
    try {
      return outcome.get();
    } catch (const std::future_error&) {  // the task was dropped: the control thread has ended
      return std::nullopt;
    }
  }

  Result<void> attach_uplink(const std::string& name);
  Result<void> detach_uplink(const std::string& name);
  Result<TunnelSettings> settings() { return fail("not there yet"); }
  Result<void> change(const TunnelControl::Edit&) { return fail("not there yet"); }
  Result<std::vector<PathPing>> ping(const std::string&, std::chrono::milliseconds) { return fail("not there yet"); }
  EventLog& events() { return events_; }
  TunnelStatus status();

 private:
  Result<void> start_programs();
  Result<void> start_tun();
  Result<void> start_controller();
  Result<void> start_uplinks();
  Result<void> start_workers();
  Result<void> configure_interface();
  Result<void> drop_privileges();
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
    log::error("worker {}: {}; the tunnel ends", index, error.text);
    worker_lost_.store(true, std::memory_order_release);
    stop();
  }

  TunnelConfig config_;
  EventLog events_;
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
  std::unique_ptr<control::Controller> controller_;
  std::unique_ptr<ReceiveSessions> sessions_;
  std::unique_ptr<Shield> shield_;
  std::unique_ptr<Uplinks> uplinks_;
  PlanBoard board_;
  std::optional<Uring> ring_;
  std::array<std::shared_ptr<UplinkIo>, CP_MAX_UPLINKS> armed_;
  std::array<uint32_t, CP_MAX_UPLINKS> generations_{};
  std::vector<uint8_t> udp_buffer_;
  std::optional<UdpReceiveBatch> udp_batch_;
  bool plan_stale_ = false;
  bool interface_check_due_ = false;
  Instant counters_due_{};
  std::vector<std::unique_ptr<Worker>> workers_;
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

  for (const auto step : {&Impl::start_tun, &Impl::start_programs, &Impl::start_uplinks, &Impl::configure_interface,
                          &Impl::drop_privileges, &Impl::start_controller, &Impl::start_workers}) {
    if (auto result = (this->*step)(); !result) return result;
  }
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
    if (!program_->pin_problem().empty()) log::warning("maps are not pinned: {}", program_->pin_problem());
  } else if (config_.mode == ReceiveMode::xdp) {
    return std::unexpected(program.error());
  } else {
    no_program_reason_ = program.error().text;
    log::warning("no XDP, and no early drop of copies: {}", no_program_reason_);
    if (const auto removed = remove_leftovers(config_.name); !removed) log::warning("{}", removed.error().text);
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
  // With another number of workers the interface is made anew.
  std::vector<FileDescriptor> kept = std::move(config_.tun_queues);
  if (kept.size() == workers_wanted_) {
    auto adopted = Tun::adopt(config_.name, std::move(kept));
    if (!adopted) return std::unexpected(adopted.error());
    tun_.emplace(std::move(*adopted));
    return {};
  }
  kept.clear();
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
  if (!opened.warning.empty()) log::warning("{}", opened.warning);
  state_writer_ = std::make_unique<StateWriter>(path, own_key);

  control::Settings settings{.identity = config_.identity.clone(), .workers = workers_wanted_};
  settings.params = {.lanes = static_cast<uint8_t>(workers_wanted_),
                     .window_bits = static_cast<uint8_t>(config_.window_bits),
                     .heartbeat_ms = config_.heartbeat_ms,
                     .mtu = static_cast<uint16_t>(mtu_)};
  settings.timing.heartbeat_interval = milliseconds(config_.heartbeat_ms);
  settings.timing.rekey_after = seconds(config_.rekey_seconds);
  settings.timestamp_floor_ns = timestamp_floor_ns_ = opened.state.sent_limit_ns;
  shield_ = std::make_unique<Shield>(program_.get(), settings.gate);
  controller_ = std::make_unique<control::Controller>(std::move(settings), randomness_, &key_files_);
  for (control::PeerSettings& peer : config_.live.peers) {
    const std::string name = peer.name;
    const auto known = std::ranges::lower_bound(opened.state.peers, peer.public_key, {}, &AcceptedTimestamp::peer);
    if (known != opened.state.peers.end() && known->peer == peer.public_key)
      peer.accepted_timestamp_ns = known->accepted_ns;
    if (auto added = controller_->add_peer(std::move(peer), read_clocks()); !added) {
      return fail("peer " + name + ": " + added.error().text);
    }
  }
  config_.live.peers = decltype(config_.live.peers)();  // and its memory
  return {};
}

Result<void> Daemon::Impl::start_uplinks() {
  uplinks_ = std::make_unique<Uplinks>(Uplinks::Setup{.port = config_.listen_port,
                                                      .workers = workers_wanted_,
                                                      .mode = config_.mode,
                                                      .busy_poll_us = config_.busy_poll_us,
                                                      .program = program_.get(),
                                                      .no_program_reason = no_program_reason_});
  if (config_.live.uplinks.empty()) return fail("no uplinks: name at least one network device to send over");
  const Now now = read_clocks();
  std::string problems;
  for (const UplinkSettings& uplink : config_.live.uplinks) {
    if (const auto added = uplinks_->add(uplink.name, false, *netlink_, now.monotonic); !added) return added;
  }
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
    log::warning("uplink {}: {}; it joins when that changes", uplink.name, uplink.reason);
  }
  if (!any) return fail("none of the uplinks can be used: " + problems);
  return {};
}

Result<void> Daemon::Impl::configure_interface() {
  const unsigned uplink_mtu = uplinks_->smallest_mtu();
  mtu_ = config_.mtu != 0                             ? config_.mtu
         : uplink_mtu < mtu_min + encapsulation_bytes ? mtu_fallback
                                                      : std::min(uplink_mtu - encapsulation_bytes, mtu_max);
  const auto ifindex = static_cast<int>(tun_->interface_index());
  if (tun_->adopted()) {
    std::vector<Prefix> networks;
    for (const control::PeerSettings& peer : config_.live.peers)
      if (config_.routes) std::ranges::copy(peer.allowed_ips, std::back_inserter(networks));
    if (const auto result = netlink_->remove_others(ifindex, config_.addresses, networks); !result) return result;
  }
  for (const Prefix& address : config_.addresses) {
    if (const auto result = netlink_->add_address(ifindex, address); !result) return result;
  }
  if (const auto result = netlink_->set_link_up(ifindex, mtu_); !result) return result;
  if (!config_.routes) return {};
  for (const control::PeerSettings& peer : config_.live.peers) {
    for (const Prefix& network : peer.allowed_ips) {
      if (const auto result = netlink_->add_route(ifindex, network); !result) return result;
    }
  }
  return {};
}

// Before there are threads, which keep what their starter had. From here on: addresses, routes and the firewall; AF_XDP
// sockets of uplinks that come, and their locked memory. A dispatcher is made anew, out of what others loaded, whenever
// a program joins or leaves it.
Result<void> Daemon::Impl::drop_privileges() {
  if (program_ && program_->dispatcher_possible() && config_.mode != ReceiveMode::udp)
    return keep_capabilities({CAP_NET_ADMIN, CAP_NET_RAW, CAP_IPC_LOCK, CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN});
  return keep_capabilities({CAP_NET_ADMIN, CAP_NET_RAW, CAP_IPC_LOCK});
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
    const Instant deadline =
        std::min({controller_->next_deadline(), uplinks_->next_retry(), timestamps_stale_ ? timestamps_due_ : never});
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
    if (now.monotonic >= counters_due_) {
      sessions_->collect_counters(controller_->forwarding().peers);
      counters_due_ = now.monotonic + counters_interval;
    }
    if (now.monotonic >= controller_->next_deadline()) controller_->on_timer(now);
    carry_out_actions();
    if (timestamps_stale_ && now.monotonic >= timestamps_due_) {
      save_timestamps();
      timestamps_due_ = now.monotonic + timestamps_interval;
    }
    if (outcome = interface_present(); !outcome) break;
  }
  const Now now = read_clocks();
  if (!handing_over_.load(std::memory_order_acquire)) controller_->close(now);
  carry_out_actions();
  if (timestamps_stale_) save_timestamps();
  (void)mailbox_->close();
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
  for (const ReceivedDatagram& datagram : *received)
    serve_datagram({.uplink = id, .local = datagram.local, .remote = datagram.remote}, datagram.bytes, now);
}

// The kernel joins what comes from one address in one moment, and chooses the socket by the first: behind a heartbeat
// there may be data.
void Daemon::Impl::serve_datagram(const control::Route& route, ConstBytes datagram, const Now& now) {
  const auto header = wire::parse_data_header(datagram);
  if (!header || header->number.lane == CP_CONTROL_LANE) return controller_->on_datagram(route, datagram, now);
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
  for (const std::string& line : changes.log)
    log::info("{}", line);
  if (changes.sockets) {
    arm_sockets();
    plan_stale_ = true;
  }
  for (const control::UplinkId id : changes.removed)
    controller_->remove_uplink(id, now);
  for (control::Uplink& uplink : changes.updated)
    controller_->set_uplink(std::move(uplink), now);
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
  if (!sessions_->add(added.peer, added.session)) {
    log::warning("no window memory for a session of peer {} now; it receives as soon as there is", added.peer);
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
    log::warning("{} is not written yet; calls go out nevertheless", state_path(config_.state_directory, config_.name));
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
  switch (event.level) {
    case control::Event::Level::debug:
      return log::debug("{}", event.text);
    case control::Event::Level::info:
      return log::info("{}", event.text);
    case control::Event::Level::warning:
      return log::warning("{}", event.text);
  }
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

Result<void> Daemon::Impl::attach_uplink(const std::string& name) {
  auto outcome =
      on_control_thread([this, name] { return uplinks_->add(name, true, *netlink_, read_clocks().monotonic); });
  return outcome ? *outcome : fail("the tunnel is stopping");
}

Result<void> Daemon::Impl::detach_uplink(const std::string& name) {
  auto outcome = on_control_thread([this, name] { return uplinks_->remove(name); });
  return outcome ? *outcome : fail("the tunnel is stopping");
}

TunnelStatus Daemon::Impl::status() {
  auto outcome = on_control_thread([this] {
    sessions_->collect_counters(controller_->forwarding().peers);
    TunnelStatus status{.name = config_.name,
                        .public_key = config_.identity.public_key(),
                        .listen_port = config_.listen_port,
                        .addresses = config_.addresses,
                        .mtu = mtu_,
                        .aead = aead_name_,
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
  return impl_->attach_uplink(uplink.name);
}
Result<std::vector<PathPing>> Daemon::ping(std::string_view peer, std::chrono::milliseconds time) {
  return impl_->ping(std::string(peer), time);
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
