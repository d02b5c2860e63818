// How the tunnel comes to life, step by step: the host's protection, TUN, the XDP program, uplinks, addresses and
// routes, fewer privileges, the controller, workers.
#include <linux/capability.h>

#include <algorithm>
#include <set>
#include <thread>

#include "dataplane/bpffs.h"
#include "dataplane/capabilities.h"
#include "dataplane/daemon_impl.h"
#include "dataplane/last_addresses.h"
#include "dataplane/setting_texts.h"
#include "dataplane/uplink_selection.h"
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

constexpr Duration start_patience = seconds(1);

// How long an interface that outlived its process is not read from, at most.
constexpr Duration takeover_patience = seconds(2);

unsigned worker_count(const TunnelConfig& config) {
  const unsigned wanted = config.workers != 0 ? config.workers : std::max(1U, std::thread::hardware_concurrency());
  return std::min<unsigned>(wanted, CP_MAX_WORKERS);
}

}  // namespace

Daemon::Impl::Impl(TunnelConfig config)
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
    if (!program_->pin_problem().empty()) warn("tunnel", program_->pin_problem());
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

}  // namespace centipede
