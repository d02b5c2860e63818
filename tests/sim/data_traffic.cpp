#include "data_traffic.h"

#include <string_view>

namespace centipede::sim {
namespace {

constexpr size_t payload_size = 16;

std::string name_of(const Ledger::Payload& payload) {
  return "packet " + std::to_string(payload.id) + " from host " + std::to_string(payload.from) + " to host " +
         std::to_string(payload.to);
}

}  // namespace

Ledger::Payload Ledger::new_payload(uint32_t from, uint32_t to) {
  const Payload payload{.id = payloads_.size(), .from = from, .to = to};
  payloads_.push_back({.payload = payload});
  return payload;
}

void Ledger::on_delivered(const Payload& payload, uint32_t at) {
  if (payload.id >= payloads_.size()) return violation("host " + std::to_string(at) + " got a packet that nobody sent");
  Sent& sent = payloads_[payload.id];
  const bool genuine = sent.payload.from == payload.from && sent.payload.to == payload.to;
  if (!genuine || payload.to != at) violation(name_of(payload) + " came to host " + std::to_string(at));
  if (sent.delivered) violation(name_of(payload) + " was delivered twice");
  sent.delivered = true;
  ++delivered_count_;
  ++delivered_[{payload.from, payload.to}];
}

uint64_t Ledger::delivered(uint32_t from, uint32_t to) const {
  const auto row = delivered_.find({from, to});
  return row == delivered_.end() ? 0 : row->second;
}

void Ledger::on_session_datagram(ConstBytes datagram) {
  const auto number = load_be<uint64_t>(datagram.data() + CP_OFFSET_NUMBER);
  const auto sid = load_be<uint64_t>(datagram.data() + CP_OFFSET_SID);
  const std::string_view bytes(reinterpret_cast<const char*>(datagram.data()), datagram.size());
  const size_t hash = std::hash<std::string_view>{}(bytes);
  const auto [row, first] = numbers_.try_emplace({sid, number}, hash);
  if (!first && row->second != hash) violation("number " + std::to_string(number) + " was used twice under one key");
}

void DataTraffic::add(const std::shared_ptr<crypto::Session>& session) {
  Receiving& receiving = receiving_[session->local_sid()];
  receiving.session = session;
  receiving.words.assign(64, 0);
  receiving.window = crypto::Window(receiving.words);
}

std::vector<uint8_t> DataTraffic::seal(const control::PeerForwarding& peer, uint32_t to) {
  if (peer.send_session == nullptr || peer.send_paths.empty()) return {};
  const auto counter = peer.send_session->take_counters(0, 1);
  if (!counter) return {};
  const Ledger::Payload payload = ledger_.new_payload(self_, to);
  std::vector<uint8_t> datagram(CP_DATA_HEADER_SIZE + payload_size);
  wire::write_data_header({{0, *counter}, peer.send_session->peer_sid()}, datagram.data());
  store_be(datagram.data() + CP_DATA_HEADER_SIZE, payload.id);
  store_be(datagram.data() + CP_DATA_HEADER_SIZE + 8, payload.from);
  store_be(datagram.data() + CP_DATA_HEADER_SIZE + 12, payload.to);
  crypto::AeadJob job{.packet = datagram.data(), .payload_size = payload_size};
  aead_->seal(peer.send_session->send_key(), {&job, 1});
  return datagram;
}

void DataTraffic::on_datagram(ConstBytes datagram) {
  const auto header = wire::parse_data_header(datagram);
  if (!header || datagram.size() != CP_DATA_HEADER_SIZE + payload_size) return;
  const auto row = receiving_.find(header->sid);
  if (row == receiving_.end()) return;
  Receiving& receiving = row->second;
  const uint64_t counter = header->number.counter;
  if (header->number.lane != 0 || receiving.window.check(counter) != crypto::WindowVerdict::fresh) return;
  std::vector<uint8_t> packet(datagram.begin(), datagram.end());
  crypto::AeadJob job{.packet = packet.data(), .payload_size = payload_size};
  aead_->open(receiving.session->receive_key(), {&job, 1});
  if (!job.ok || receiving.window.commit(counter) != crypto::WindowVerdict::fresh) return;
  const uint8_t* plain = packet.data() + CP_DATA_HEADER_SIZE;
  ledger_.on_delivered({load_be<uint64_t>(plain), load_be<uint32_t>(plain + 8), load_be<uint32_t>(plain + 12)}, self_);
}

}  // namespace centipede::sim
