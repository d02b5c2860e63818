#include "link-emulator/link_model.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "link-emulator/frame.h"

namespace centipede::emulator {
namespace {

// The tunnel device that Mahimahi measures at adds 4 bytes to an IP packet: a full frame of 1,500 costs 1,504.
constexpr size_t trace_header_bytes = 4;
constexpr size_t most_spare_buffers = 4096;

bool later(const Departure& left, const Departure& right) {
  return left.at != right.at ? left.at > right.at : left.order > right.order;
}

}  // namespace

LinkModel::LinkModel(LinkSettings settings, uint64_t seed) : settings_(std::move(settings)), random_(seed) {}

void LinkModel::configure(LinkSettings settings, Instant now) {
  send_queued(now);
  const bool new_bottleneck =
      settings.trace != settings_.trace || settings.rate_bits_per_s != settings_.rate_bits_per_s;
  settings_ = std::move(settings);
  if (new_bottleneck) {
    line_free_ = Instant::min();
    line_remainder_ = 0;
    trace_start_ = never;
    trace_opportunity_ = 0;
    trace_bytes_left_ = 0;
    while (!queue_.empty() && !settings_.has_bottleneck())
      send_head(now);
    if (!queue_.empty()) head_sent_ = sent_time(queue_.front().frame.size(), now);
  }
  if (settings_.down) destroy_all();
}

void LinkModel::destroy_all() {
  counters_.down_drops += on_the_way();
  for (Queued& queued : queue_)
    take_back(std::move(queued.frame));
  queue_.clear();
  queued_bytes_ = 0;
  line_free_ = Instant::min();
  recycle(in_flight_);
  last_departure_ = Instant::min();
}

void LinkModel::reseed(uint64_t seed) {
  random_ = Random(seed);
  burst_ = false;
}

void LinkModel::offer(ConstBytes frame, Instant now) {
  send_queued(now);
  ++counters_.offered;
  counters_.offered_bytes += frame.size();
  ++next_number_;
  if (settings_.down) {
    ++counters_.down_drops;
    return;
  }
  if (settings_.mtu != 0 && frame.size() > settings_.mtu + link_header_bytes(frame)) {
    ++counters_.mtu_drops;
    return;
  }
  if (settings_.corrupt_copy && frame.size() > settings_.corrupt_offset && udp_header_offset(frame)) {
    ++counters_.corrupt_copies;
    std::vector<uint8_t> copy = copy_of(frame);
    damage(copy, true);
    launch({.at = now,
            .number = next_number_,
            .kind = DepartureKind::corrupt_copy,
            .damaged = true,
            .frame = std::move(copy)});
  }
  if (!settings_.has_bottleneck()) {
    cross(copy_of(frame), next_number_, now);
  } else if (!enqueue(frame, now)) {
    ++counters_.queue_drops;
  }
}

Instant LinkModel::next_departure() const {
  const Instant head = queue_.empty() ? never : head_sent_;
  return in_flight_.empty() ? head : std::min(head, in_flight_.front().at);
}

bool LinkModel::enqueue(ConstBytes frame, Instant now) {
  if (settings_.queue_packets != 0 && queue_.size() >= settings_.queue_packets) return false;
  if (settings_.queue_bytes != 0 && queued_bytes_ + frame.size() > settings_.queue_bytes) return false;
  if (queue_.empty()) head_sent_ = sent_time(frame.size(), now);
  queue_.push_back({next_number_, copy_of(frame)});
  queued_bytes_ += frame.size();
  return true;
}

void LinkModel::send_queued(Instant now) {
  while (!queue_.empty() && head_sent_ <= now) {
    const Instant sent = head_sent_;
    send_head(sent);
    if (!queue_.empty()) head_sent_ = sent_time(queue_.front().frame.size(), sent);
  }
}

void LinkModel::send_head(Instant sent) {
  Queued head = std::move(queue_.front());
  queue_.pop_front();
  queued_bytes_ -= head.frame.size();
  cross(std::move(head.frame), head.number, sent);
}

Instant LinkModel::sent_time(size_t bytes, Instant start) {
  return settings_.trace ? sent_by_trace(bytes, start) : sent_by_rate(bytes, start);
}

Instant LinkModel::sent_by_rate(size_t bytes, Instant start) {
  if (line_free_ < start) {
    line_free_ = start;
    line_remainder_ = 0;
  }
  const uint64_t rate = settings_.rate_bits_per_s;
  const uint64_t work = uint64_t{bytes} * 8U * 1'000'000'000U + line_remainder_;
  line_free_ += Duration(static_cast<int64_t>(work / rate));
  line_remainder_ = work % rate;
  return line_free_;
}

Instant LinkModel::sent_by_trace(size_t bytes, Instant start) {
  const DeliveryTrace& trace = *settings_.trace;
  if (trace_start_ == never) trace_start_ = start;
  const uint64_t first = trace.first_at(start - trace_start_);
  if (trace_bytes_left_ == 0 || trace_opportunity_ < first) {
    trace_opportunity_ = std::max(trace_opportunity_, first);
    trace_bytes_left_ = DeliveryTrace::opportunity_bytes;
  }
  size_t left = std::max(bytes, ethernet_header_bytes) - ethernet_header_bytes + trace_header_bytes;
  while (left > trace_bytes_left_) {
    left -= trace_bytes_left_;
    ++trace_opportunity_;
    trace_bytes_left_ = DeliveryTrace::opportunity_bytes;
  }
  const Instant sent = trace_start_ + trace.opportunity(trace_opportunity_);
  trace_bytes_left_ -= left;
  if (trace_bytes_left_ == 0) ++trace_opportunity_;
  return sent;
}

void LinkModel::cross(std::vector<uint8_t> frame, uint64_t number, Instant sent) {
  if (lost_on_the_way()) {
    take_back(std::move(frame));
    return;
  }
  const bool damaged = random_.chance(settings_.corrupt) && frame.size() > settings_.corrupt_offset;
  if (damaged) {
    ++counters_.corrupted;
    damage(frame, settings_.repair_checksum);
  }
  const Instant at = departure_of(sent);
  const bool twice = random_.chance(settings_.duplicate);
  std::vector<uint8_t> second = twice ? copy_of(frame) : std::vector<uint8_t>();
  launch({.at = at, .number = number, .kind = DepartureKind::genuine, .damaged = damaged, .frame = std::move(frame)});
  if (!twice) return;
  ++counters_.duplicated;
  launch(
      {.at = at, .number = number, .kind = DepartureKind::duplicate, .damaged = damaged, .frame = std::move(second)});
}

bool LinkModel::lost_on_the_way() {
  if (random_.chance(settings_.loss)) {
    ++counters_.lost;
    return true;
  }
  const BurstLoss& burst = settings_.burst;
  if (burst.enter <= 0) burst_ = false;
  if (random_.chance(burst_ ? burst.leave : burst.enter)) burst_ = !burst_;
  if (!burst_ || !random_.chance(burst.loss)) return false;
  ++counters_.burst_lost;
  return true;
}

Instant LinkModel::departure_of(Instant sent) {
  Duration delay = settings_.delay;
  if (settings_.jitter > Duration::zero()) {
    const double offset = settings_.jitter_shape == JitterShape::normal ? random_.normal() : random_.unit() * 2 - 1;
    delay += Duration(std::llround(offset * static_cast<double>(settings_.jitter.count())));
    delay = std::max(delay, Duration::zero());
  }
  if (random_.chance(settings_.reorder)) {
    ++counters_.held_back;
    return sent + delay + settings_.reorder_delay;
  }
  last_departure_ = std::max(last_departure_, sent + delay);
  return settings_.allow_reorder ? sent + delay : last_departure_;
}

void LinkModel::damage(std::vector<uint8_t>& frame, bool repair_checksum) {
  const size_t span = frame.size() - settings_.corrupt_offset;
  const size_t position = settings_.corrupt_offset + static_cast<size_t>(random_.below(span));
  flip_bit(frame, position, static_cast<unsigned>(random_.below(8)), repair_checksum);
}

void LinkModel::launch(Departure departure) {
  departure.order = next_order_++;
  in_flight_.push_back(std::move(departure));
  std::ranges::push_heap(in_flight_, later);
}

std::vector<uint8_t> LinkModel::copy_of(ConstBytes frame) {
  std::vector<uint8_t> copy;
  if (!spare_buffers_.empty()) {
    copy = std::move(spare_buffers_.back());
    spare_buffers_.pop_back();
  }
  copy.assign(frame.begin(), frame.end());
  return copy;
}

void LinkModel::take_back(std::vector<uint8_t> buffer) {
  if (spare_buffers_.size() < most_spare_buffers) spare_buffers_.push_back(std::move(buffer));
}

std::vector<Departure> LinkModel::take_due(Instant now) {
  std::vector<Departure> due;
  take_due(now, due, SIZE_MAX);
  return due;
}

size_t LinkModel::take_due(Instant now, std::vector<Departure>& out, size_t limit) {
  send_queued(now);
  size_t taken = 0;
  while (taken < limit && !in_flight_.empty() && in_flight_.front().at <= now) {
    std::ranges::pop_heap(in_flight_, later);
    Departure departure = std::move(in_flight_.back());
    in_flight_.pop_back();
    ++counters_.delivered;
    counters_.delivered_bytes += departure.frame.size();
    if (departure.kind == DepartureKind::genuine) {
      if (departure.number < highest_departed_) ++counters_.reordered;
      highest_departed_ = std::max(highest_departed_, departure.number);
    }
    out.push_back(std::move(departure));
    ++taken;
  }
  return taken;
}

void LinkModel::recycle(std::vector<Departure>& departures) {
  for (Departure& departure : departures)
    take_back(std::move(departure.frame));
  departures.clear();
}

}  // namespace centipede::emulator
