#include "crypto/session.h"

#include <utility>

namespace centipede::crypto {

Session::Session(wire::SessionId local_sid, const wire::Params& local_params, Established established)
    : local_sid_(local_sid),
      peer_sid_(established.peer_sid),
      local_params_(local_params),
      peer_params_(established.peer_params),
      send_key_{std::move(established.keys.send_key), established.keys.send_iv},
      receive_key_{std::move(established.keys.receive_key), established.keys.receive_iv},
      lanes_(size_t{local_params.lanes} + 1) {}

std::optional<uint64_t> Session::take_counters(uint8_t lane, uint32_t count) {
  const size_t data_lanes = lanes_.size() - 1;
  if (lane != CP_CONTROL_LANE && lane >= data_lanes) return std::nullopt;
  // One thread writes a lane, so a plain load and store do; the atomic is for those who only read the tally.
  std::atomic<uint64_t>& next = lanes_[lane == CP_CONTROL_LANE ? data_lanes : lane].next;
  const uint64_t first = next.load(std::memory_order_relaxed);
  if (count > CP_COUNTER_LIMIT - first) return std::nullopt;
  next.store(first + count, std::memory_order_relaxed);
  return first;
}

uint64_t Session::packets_sealed() const {
  uint64_t total = 0;
  for (const Lane& lane : lanes_)
    total += lane.next.load(std::memory_order_relaxed);
  return total;
}

std::vector<uint8_t> Session::seal_control(AeadProvider& aead, ConstBytes plaintext) {
  const auto counter = take_counters(CP_CONTROL_LANE, 1);
  if (!counter) return {};
  std::vector<uint8_t> packet(CP_DATA_HEADER_SIZE);
  packet.insert(packet.end(), plaintext.begin(), plaintext.end());
  wire::write_data_header({.number = {CP_CONTROL_LANE, *counter}, .sid = peer_sid_}, packet.data());
  AeadJob job{.packet = packet.data(), .payload_size = plaintext.size()};
  aead.seal(send_key_, {&job, 1});
  return packet;
}

std::expected<std::vector<uint8_t>, Session::ControlFailure> Session::open_control(AeadProvider& aead,
                                                                                   ConstBytes datagram) {
  const auto refuse = [](WindowVerdict verdict) {
    switch (verdict) {
      case WindowVerdict::duplicate:
        return std::unexpected(ControlFailure::duplicate);
      case WindowVerdict::too_old:
        return std::unexpected(ControlFailure::too_old);
      default:
        return std::unexpected(ControlFailure::malformed);
    }
  };
  const auto header = wire::parse_data_header(datagram);
  if (!header || header->number.lane != CP_CONTROL_LANE || header->sid != local_sid_) {
    return std::unexpected(ControlFailure::malformed);
  }
  const WindowVerdict before = control_window_.check(header->number.counter);
  if (before != WindowVerdict::fresh) return refuse(before);

  std::vector<uint8_t> packet(datagram.begin(), datagram.end());
  AeadJob job{.packet = packet.data(), .payload_size = packet.size() - CP_DATA_HEADER_SIZE};
  aead.open(receive_key_, {&job, 1});
  if (!job.ok) {
    count_failed_tags(1);
    return std::unexpected(ControlFailure::bad_tag);
  }
  // Only now, with the tag right, may the packet change the window.
  const WindowVerdict after = control_window_.commit(header->number.counter);
  if (after != WindowVerdict::fresh) return refuse(after);
  packet.erase(packet.begin(), packet.begin() + CP_DATA_HEADER_SIZE);
  return packet;
}

}  // namespace centipede::crypto
