#include "dataplane/send_pipeline.h"

#include <centipede/abi.h>
#include <centipede/wire.h>

#include <algorithm>
#include <cerrno>

#include "dataplane/segment.h"
#include "dataplane/tally.h"
#include "wire/message.h"

namespace centipede {
namespace {

// A train is one segmented send.
constexpr size_t max_train_packets = max_gso_segments;
constexpr size_t max_train_bytes = max_gso_bytes;
constexpr size_t buffer_bytes = 4 * max_train_bytes;

// The lane whose answers come back to this worker: see cp_first_worker(). A session with fewer lanes than there are
// workers has none for the others: two that numbered on one lane would use a nonce twice.
std::optional<uint8_t> lane_of(const crypto::Session& session, unsigned worker) {
  const unsigned lanes = session.local_params().lanes;
  if (worker >= lanes) return std::nullopt;
  return static_cast<uint8_t>((worker + lanes - cp_first_worker(session.local_sid()) % lanes) % lanes);
}

}  // namespace

SendPipeline::SendPipeline(unsigned worker, unsigned mtu, crypto::AeadProvider& aead, WorkerCounters& counters)
    : worker_(worker), mtu_(mtu), aead_(aead), counters_(counters), buffer_(buffer_bytes), jobs_(max_train_packets) {
  sealed_.reserve(buffer_bytes / CP_DATA_HEADER_SIZE);
}

const control::PeerForwarding* SendPipeline::destination(const Plan& plan, ConstBytes packet) {
  const auto layout = inspect_ip(packet);
  if (!layout) {
    tally(counters_.tun_malformed);
    return nullptr;
  }
  const control::AllowedIps* routes = plan.forwarding.routes.get();
  const auto id = routes == nullptr ? std::nullopt
                  : layout->v6      ? routes->lookup_v6(packet.data() + 24)
                                    : routes->lookup_v4(packet.data() + 16);
  const control::PeerForwarding* peer = id ? plan.peer(*id) : nullptr;
  if (peer == nullptr) {
    tally(counters_.no_route);
  } else if (!peer->send_session) {
    tally(counters_.no_session);
  } else if (peer->send_paths.empty()) {
    tally(counters_.no_path);
  } else {
    return peer;
  }
  return nullptr;
}

void SendPipeline::packet(const Plan& plan, const VirtioHeader& header, ConstBytes packet) {
  tally(counters_.tun_read);
  const control::PeerForwarding* peer = destination(plan, packet);
  if (peer == nullptr) return;
  auto segmenter = Segmenter::start(header, packet, mtu_);
  if (!segmenter) {
    tally(counters_.tun_malformed);
    return;
  }
  if (peer != peer_) {
    flush(plan);
    peer_ = peer;
  }
  while (segmenter->remaining() > 0) {
    if (end_ + CP_DATA_HEADER_SIZE + mtu_ > buffer_.size()) flush(plan);
    append(plan, segmenter->next(Bytes(buffer_).subspan(end_ + CP_DATA_HEADER_SIZE)));
  }
}

// Takes the packet whose payload has just been written behind the train into the train, sending what went before when
// the two do not fit together.
void SendPipeline::append(const Plan& plan, size_t payload_size) {
  const size_t size = CP_DATA_HEADER_SIZE + payload_size;
  const bool closed = count_ > 0 && end_ - begin_ != count_ * packet_size_;
  if (count_ > 0 &&
      (closed || size > packet_size_ || count_ == max_train_packets || end_ - begin_ + size > max_train_bytes)) {
    send_train(plan);
    begin_ = end_;
  }
  if (count_ == 0) packet_size_ = size;
  ++count_;
  end_ += size;
}

void SendPipeline::flush(const Plan& plan) {
  if (count_ > 0) send_train(plan);
  if (!sealed_.empty()) {
    for (const control::DataPath& path : std::span(peer_->send_paths).subspan(1)) {
      for (const Train& train : sealed_)
        send_on_path(plan.uplinks[path.uplink].get(), path, train);
    }
    sealed_.clear();
  }
  begin_ = end_ = 0;
}

bool SendPipeline::seal_train() {
  crypto::Session& session = *peer_->send_session;
  const auto lane = lane_of(session, worker_);
  const auto first = lane ? session.take_counters(*lane, static_cast<uint32_t>(count_)) : std::nullopt;
  if (!first) {
    tally(counters_.no_session, count_);
    return false;
  }
  for (size_t i = 0; i < count_; ++i) {
    uint8_t* packet = buffer_.data() + begin_ + i * packet_size_;
    const size_t size = std::min(packet_size_, end_ - begin_ - i * packet_size_);
    wire::write_data_header({.number = {.lane = *lane, .counter = *first + i}, .sid = session.peer_sid()}, packet);
    jobs_[i] = {.packet = packet, .payload_size = size - CP_DATA_HEADER_SIZE};
  }
  aead_.seal(session.send_key(), std::span(jobs_).first(count_));
  tally(counters_.sealed, count_);
  return true;
}

void SendPipeline::send_train(const Plan& plan) {
  if (seal_train()) {
    const Train train{.bytes = {buffer_.data() + begin_, end_ - begin_}, .packet_size = packet_size_, .count = count_};
    const control::DataPath& first = peer_->send_paths.front();
    send_on_path(plan.uplinks[first.uplink].get(), first, train);
    if (peer_->send_paths.size() > 1) sealed_.push_back(train);
  }
  count_ = 0;
}

void SendPipeline::send_on_path(UplinkIo* uplink, const control::DataPath& path, const Train& train) {
  control::PathCounters::Row& row = path.counters->row(worker_);
  size_t sent = 0;
  if (uplink != nullptr) {
    const bool segmented = train.count > 1 && uplink->segmentation_works();
    if (train.count == 1 || segmented) {
      const auto segment_size = segmented ? static_cast<uint16_t>(train.packet_size) : uint16_t{0};
      const SendOutcome result = uplink->data_socket(worker_).send(path.remote, path.local, train.bytes, segment_size);
      if (result.status == SendStatus::sent) sent = train.count;
      // The device cannot segment, or the route's MTU is smaller than one packet: the kernel may still fragment each.
      if (segmented && (result.status == SendStatus::gso_refused || result.status == SendStatus::too_big)) {
        if (result.error == EIO) uplink->give_up_segmentation();
        sent = send_one_by_one(*uplink, path, train);
      }
    } else {
      sent = send_one_by_one(*uplink, path, train);
    }
  }
  const size_t bytes = sent == train.count ? train.bytes.size() : sent * train.packet_size;
  control::add_relaxed(row.sent_packets, sent);
  control::add_relaxed(row.sent_bytes, bytes);
  tally(counters_.sent, sent);
  if (sent < train.count) {
    control::add_relaxed(row.send_errors, train.count - sent);
    tally(counters_.send_failed, train.count - sent);
  }
}

size_t SendPipeline::send_one_by_one(UplinkIo& uplink, const control::DataPath& path, const Train& train) {
  size_t sent = 0;
  for (size_t at = 0; at < train.bytes.size(); at += train.packet_size) {
    const ConstBytes packet = train.bytes.subspan(at, std::min(train.packet_size, train.bytes.size() - at));
    if (uplink.data_socket(worker_).send(path.remote, path.local, packet).status == SendStatus::sent) ++sent;
  }
  return sent;
}

}  // namespace centipede
