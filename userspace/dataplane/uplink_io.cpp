#include "dataplane/uplink_io.h"

#include <arpa/inet.h>

#include <algorithm>
#include <utility>

#include "dataplane/device_queues.h"

namespace centipede {
namespace {

// Room for a burst of a few milliseconds at several Gbit/s; the kernel's default of 208 KiB holds 3 coalesced trains.
constexpr int socket_buffer_bytes = 4 << 20;
constexpr const char* otherwise_through_udp = "; mode = \"auto\" or \"udp\" receives through UDP sockets here";

}  // namespace

Result<std::shared_ptr<UplinkIo>> UplinkIo::open(const Setup& setup) {
  std::shared_ptr<UplinkIo> uplink(new UplinkIo);
  uplink->id_ = setup.id;
  uplink->ifindex_ = setup.link.ifindex;
  auto sockets = UdpSocket::open_group({.uplink = setup.link.name,
                                        .port = setup.port,
                                        .reuse_port = true,
                                        .receive_buffer_bytes = socket_buffer_bytes,
                                        .send_buffer_bytes = socket_buffer_bytes,
                                        .busy_poll_us = setup.busy_poll_us,
                                        .mark = setup.mark,
                                        .filter_fd = setup.program != nullptr ? setup.program->socket_filter_fd() : -1},
                                       setup.workers);
  if (!sockets) return std::unexpected(sockets.error());
  uplink->sockets_ = std::move(*sockets);
  const ReceiveChoice choice = choose_receive(setup.mode, setup.link.hardware);
  uplink->reason_ = choice.reason;
  if (choice.try_xdp) {
    const auto result = uplink->open_xdp(setup);
    if (result) return uplink;
    uplink->abandon_xdp();
    const Error& refusal = result.error();
    if (setup.mode == ReceiveMode::xdp) return fail(refusal.text + otherwise_through_udp, refusal.code);
    uplink->reason_ = refusal.text;
  }
  if (setup.program != nullptr) {
    if (const auto result = uplink->enter(setup, 0); !result) return std::unexpected(result.error());
  }
  return uplink;
}

UplinkIo::~UplinkIo() = default;

// From here on the programs, XDP and socket filter, know the device.
Result<void> UplinkIo::enter(const Setup& setup, uint32_t queues) {
  program_ = setup.program;
  if (const auto cleared = program_->clear_counters(setup.id); !cleared) return cleared;
  program_->put_uplink(setup.id, {.ifindex = static_cast<uint32_t>(setup.link.ifindex),
                                  .port_be = htons(setup.port),
                                  .queues = static_cast<uint8_t>(queues),
                                  .workers = static_cast<uint8_t>(setup.workers)});
  return {};
}

Result<void> UplinkIo::open_xdp(const Setup& setup) {
  if (setup.program == nullptr) return fail(setup.no_program_reason);
  program_ = setup.program;
  const uint32_t queues = receive_queues(setup.link.name);
  auto attachment = program_->attach(static_cast<unsigned>(setup.link.ifindex));
  if (!attachment) return std::unexpected(attachment.error());
  attachment_.emplace(std::move(*attachment));
  for (uint32_t queue = 0; queue < queues; ++queue) {
    auto opened = XskQueue::open({.device = setup.link.name,
                                  .queue = queue,
                                  .workers = setup.workers,
                                  .xsks_fd = program_->xsks_fd(),
                                  .first_xsk = cp_xsk_slot(setup.id, 0, setup.workers, 0),
                                  .busy_poll_us = setup.busy_poll_us});
    if (!opened) return std::unexpected(opened.error());
    queues_.push_back(std::move(*opened));
  }
  if (const auto entered = enter(setup, queues); !entered) return entered;
  const bool zero_copy = std::ranges::all_of(queues_, &XskQueue::zero_copy);
  mode_ = zero_copy ? "native/zero-copy" : "native";
  return {};
}

void UplinkIo::abandon_xdp() {
  detach_xdp();
  queues_.clear();
  program_ = nullptr;
}

void UplinkIo::detach_xdp() {
  if (program_ == nullptr) return;
  program_->erase_uplink(id_);
  attachment_.reset();
}

void UplinkIo::fill_status(UplinkStatus& status) const {
  status.mode = mode_;
  status.reason = reason_;
  if (program_ == nullptr) return;
  if (const auto counters = program_->counters(id_)) status.xdp = *counters;
  for (const auto& queue : queues_) {
    const XskStatistics statistics = queue->statistics();
    status.xsk_dropped += statistics.dropped + statistics.ring_full + statistics.invalid;
    status.fill_ring_empty += statistics.fill_ring_empty;
  }
}

}  // namespace centipede
