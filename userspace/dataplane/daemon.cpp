#include "dataplane/daemon.h"

#include <algorithm>
#include <thread>
#include <variant>

#include "dataplane/daemon_impl.h"
#include "dataplane/last_addresses.h"

namespace centipede {
namespace {

// Heartbeats tell the peer how many packets arrived; this is how stale what XDP dropped may be in that.
constexpr Duration counters_interval = seconds(1);

// How often a snapshot of the timestamps of all peers is made: the state writer writes no faster.
constexpr Duration timestamps_interval = seconds(1);

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

}  // namespace

Now read_clocks() {
  const auto wall = std::chrono::system_clock::now().time_since_epoch();
  // CLOCK_BOOTTIME goes on while the machine sleeps: keys grow old in a closed laptop too.
  timespec since_boot{};
  clock_gettime(CLOCK_BOOTTIME, &since_boot);
  return {.monotonic = Instant(seconds(since_boot.tv_sec) + nanoseconds(since_boot.tv_nsec)),
          .wall = {static_cast<uint64_t>(std::chrono::duration_cast<nanoseconds>(wall).count())}};
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
                                       names_missed_ ? names_due_ : std::max(names_->next(), names_due_),
                                       workers_.empty() ? workers_due_ : never});
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
    names_missed_ = now.monotonic < names_due_;  // whatever has just happened to peers
    if (!names_missed_) {
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
Result<TunnelStatus> Daemon::status() {
  return impl_->status();
}

}  // namespace centipede
