#include "data_traffic.h"

#include <array>

namespace centipede::sim {
namespace {

constexpr size_t payload_size = 16;
constexpr size_t datagram_size = CP_DATA_HEADER_SIZE + payload_size;

}  // namespace

void DataTraffic::add(const std::shared_ptr<crypto::Session>& session) {
  Receiving& receiving = receiving_[session->local_sid()];
  receiving.session = session;
  receiving.lanes.resize(session->peer_params().lanes);
  for (Lane& lane : receiving.lanes) {
    lane.words.assign((size_t{1} << session->local_params().window_bits) / CP_WINDOW_WORD_BITS, 0);
    lane.window = crypto::Window(lane.words);
  }
}

std::vector<uint8_t> DataTraffic::seal(const control::PeerForwarding& peer, uint32_t to, SimRandom& random,
                                       Instant now) {
  if (peer.send_session == nullptr || peer.send_paths.empty()) return {};
  const auto lane = static_cast<uint8_t>(random.below(peer.send_session->local_params().lanes));
  const auto counter = peer.send_session->take_counters(lane, 1);
  if (!counter) return {};
  const Ledger::Payload payload = ledger_.new_payload(self_, to, now);
  std::vector<uint8_t> datagram(datagram_size);
  wire::write_data_header({{lane, *counter}, peer.send_session->peer_sid()}, datagram.data());
  store_be(datagram.data() + CP_DATA_HEADER_SIZE, payload.id);
  store_be(datagram.data() + CP_DATA_HEADER_SIZE + 8, payload.from);
  store_be(datagram.data() + CP_DATA_HEADER_SIZE + 12, payload.to);
  crypto::AeadJob job{.packet = datagram.data(), .payload_size = payload_size};
  aead_->seal(peer.send_session->send_key(), {&job, 1});
  return datagram;
}

void DataTraffic::on_datagram(ConstBytes datagram) {
  const auto header = wire::parse_data_header(datagram);
  if (!header || datagram.size() != datagram_size) return;
  const auto row = receiving_.find(header->sid);
  if (row == receiving_.end() || header->number.lane >= row->second.lanes.size()) return;
  crypto::Window& window = row->second.lanes[header->number.lane].window;
  if (window.check(header->number.counter) != crypto::WindowVerdict::fresh) return;
  std::array<uint8_t, datagram_size> packet;
  std::ranges::copy(datagram, packet.begin());
  crypto::AeadJob job{.packet = packet.data(), .payload_size = payload_size};
  aead_->open(row->second.session->receive_key(), {&job, 1});
  if (!job.ok) return row->second.session->count_failed_tags(1);
  if (window.commit(header->number.counter) != crypto::WindowVerdict::fresh) return;
  const uint8_t* plain = packet.data() + CP_DATA_HEADER_SIZE;
  ledger_.on_delivered({load_be<uint64_t>(plain), load_be<uint32_t>(plain + 8), load_be<uint32_t>(plain + 12)}, self_,
                       datagram);
}

}  // namespace centipede::sim
