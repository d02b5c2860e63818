#include "dataplane/receive_pipeline.h"

#include <algorithm>

#include "dataplane/offload.h"
#include "dataplane/tally.h"
#include "wire/message.h"

namespace centipede {

using crypto::WindowVerdict;

ReceivePipeline::ReceivePipeline(unsigned worker, crypto::AeadProvider& aead, TunQueue tun, CoalesceOptions offloads,
                                 ControlMailbox& control, WorkerCounters& counters)
    : worker_(worker), aead_(aead), tun_(tun), control_(control), counters_(counters), coalescer_(max_batch, offloads) {
  candidates_.reserve(max_batch);
  jobs_.reserve(max_batch);
}

void ReceivePipeline::process(const Plan& plan, std::span<const Arrival> arrivals) {
  while (!arrivals.empty()) {
    const size_t count = std::min(arrivals.size(), max_batch);
    process_batch(plan, arrivals.first(count));
    arrivals = arrivals.subspan(count);
  }
}

void ReceivePipeline::process_batch(const Plan& plan, std::span<const Arrival> arrivals) {
  candidates_.clear();
  jobs_.clear();
  for (const Arrival& arrival : arrivals)
    admit(plan, arrival);
  open_candidates();
  for (size_t i = 0; i < candidates_.size(); ++i) {
    Candidate& candidate = candidates_[i];
    if (!jobs_[i].ok) {
      tally(counters_.bad_tag);
      candidate.entry->session->count_failed_tags(1);
      continue;
    }
    const WindowVerdict verdict = candidate.window.commit(candidate.counter);
    if (verdict != WindowVerdict::fresh) {
      count_refused(plan, *candidate.arrival, *candidate.entry, verdict);
      continue;
    }
    tally(counters_.opened);
    deliver(plan, candidate, candidate.arrival->payload.subspan(CP_DATA_HEADER_SIZE));
  }
  write_out();
}

void ReceivePipeline::admit(const Plan& plan, const Arrival& arrival) {
  const auto header = wire::parse_data_header(arrival.payload);
  if (wire::classify(arrival.payload) == wire::MessageType::malformed) return tally(counters_.malformed);
  const ReceiveEntry* entry = header ? plan.sessions.find(header->sid) : nullptr;
  if (header && entry == nullptr) return tally(counters_.unknown_session);
  if (!header || header->number.lane == CP_CONTROL_LANE) {
    // Handshakes and frames belong to the control thread. Strangers' other datagrams do not get that far.
    const control::Route route{.uplink = arrival.uplink, .local = arrival.local, .remote = arrival.remote};
    if (!control_.post(StrayDatagram{route, {arrival.payload.begin(), arrival.payload.end()}})) {
      tally(counters_.malformed);
    }
    return;
  }
  if (header->number.lane >= entry->windows->lanes()) return tally(counters_.bad_lane);
  const crypto::Window window = entry->windows->lane(header->number.lane);
  const WindowVerdict verdict = window.check(header->number.counter);
  if (verdict != WindowVerdict::fresh) return count_refused(plan, arrival, *entry, verdict);
  candidates_.push_back({&arrival, entry, window, header->number.counter});
  jobs_.push_back({.packet = arrival.payload.data(), .payload_size = arrival.payload.size() - CP_DATA_HEADER_SIZE});
}

void ReceivePipeline::open_candidates() {
  for (size_t first = 0; first < candidates_.size();) {
    const ReceiveEntry* entry = candidates_[first].entry;
    size_t last = first + 1;
    while (last < candidates_.size() && candidates_[last].entry == entry)
      ++last;
    aead_.open(entry->session->receive_key(), std::span(jobs_).subspan(first, last - first));
    first = last;
  }
}

void ReceivePipeline::deliver(const Plan& plan, const Candidate& candidate, Bytes plaintext) {
  const control::PeerId peer = candidate.entry->peer;
  if (auto* row = path_row(plan, peer, *candidate.arrival)) {
    control::add_relaxed(row->first_packets, 1);
    control::add_relaxed(row->first_bytes, candidate.arrival->payload.size());
  }
  const auto layout = inspect_ip(plaintext);
  if (!layout) return tally(counters_.not_ip);
  const control::AllowedIps& routes = *plan.forwarding.routes;
  const auto owner = layout->v6 ? routes.lookup_v6(plaintext.data() + 8) : routes.lookup_v4(plaintext.data() + 12);
  if (owner != peer) return tally(counters_.bad_source);
  (void)coalescer_.add(plaintext);  // it holds a whole batch
}

void ReceivePipeline::write_out() {
  if (coalescer_.empty()) return;
  for (const CoalescedPacket& packet : coalescer_.finish()) {
    if (tun_.write(packet.chain).status == TunWriteStatus::written) {
      tally(counters_.delivered, packet.packets);
    } else {
      tally(counters_.tun_write_failed, packet.packets);
    }
  }
  coalescer_.clear();
}

control::PathCounters::Row* ReceivePipeline::path_row(const Plan& plan, control::PeerId peer,
                                                      const Arrival& arrival) const {
  const control::PeerForwarding* forwarding = plan.peer(peer);
  if (forwarding == nullptr) return nullptr;
  for (const control::DataPath& path : forwarding->paths) {
    if (path.uplink == arrival.uplink && path.remote == arrival.remote) return &path.counters->row(worker_);
  }
  return nullptr;
}

void ReceivePipeline::count_refused(const Plan& plan, const Arrival& arrival, const ReceiveEntry& entry,
                                    WindowVerdict verdict) {
  if (verdict == WindowVerdict::too_old) return tally(counters_.too_old);
  if (verdict == WindowVerdict::beyond) return tally(counters_.bad_counter);
  tally(counters_.duplicate);
  if (auto* row = path_row(plan, entry.peer, arrival)) control::add_relaxed(row->duplicate_packets, 1);
}

}  // namespace centipede
