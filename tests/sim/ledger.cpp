#include "ledger.h"

#include <algorithm>

#include "wire/message.h"

namespace centipede::sim {
namespace {

std::string name_of(const Ledger::Payload& payload) {
  return "packet " + std::to_string(payload.id) + " from host " + std::to_string(payload.from) + " to host " +
         std::to_string(payload.to);
}

std::string kind_and_numbers(ConstBytes datagram) {
  const auto sid = [&](size_t offset) { return " sid " + hex(load_be<uint64_t>(datagram.data() + offset)); };
  switch (wire::classify(datagram)) {
    case wire::MessageType::data: {
      const auto number = wire::PacketNumber::from(load_be<uint64_t>(datagram.data() + CP_OFFSET_NUMBER));
      return "lane " + std::to_string(number.lane) + " counter " + std::to_string(number.counter) + sid(CP_OFFSET_SID);
    }
    case wire::MessageType::initiation:
      return "initiation" + sid(CP_OFFSET_CALL_SID);
    case wire::MessageType::response:
      return "response" + sid(CP_OFFSET_CALL_SID);
    case wire::MessageType::cookie:
      return "cookie reply" + sid(CP_OFFSET_CALL_SID);
    case wire::MessageType::malformed:
      break;
  }
  return "malformed";
}

}  // namespace

std::string hex(uint64_t value) {
  std::string text(16, '0');
  for (size_t digit = 16; digit-- > 0; value >>= 4)
    text[digit] = "0123456789abcdef"[value & 15];
  return text;
}

std::string describe(ConstBytes datagram, size_t most_bytes) {
  std::string text = "{" + kind_and_numbers(datagram) + ", " + std::to_string(datagram.size()) + " bytes:";
  for (size_t at = 0; at < std::min(datagram.size(), most_bytes); ++at) {
    if (at % 8 == 0) text += ' ';
    text += "0123456789abcdef"[datagram[at] >> 4];
    text += "0123456789abcdef"[datagram[at] & 15];
  }
  return text + "}";
}

Ledger::Payload Ledger::new_payload(uint32_t from, uint32_t to, Instant now) {
  const Payload payload{.id = payloads_.size(), .from = from, .to = to};
  payloads_.push_back({.payload = payload, .at = now});
  return payload;
}

void Ledger::on_delivered(const Payload& payload, uint32_t at, ConstBytes datagram) {
  const auto violation = [&](std::string text) { violations_.push_back(std::move(text) + " " + describe(datagram)); };
  if (payload.id >= payloads_.size()) return violation("host " + std::to_string(at) + " got a packet that nobody sent");
  Sent& sent = payloads_[payload.id];
  const bool genuine = sent.payload.from == payload.from && sent.payload.to == payload.to;
  if (!genuine || payload.to != at) violation(name_of(payload) + " came to host " + std::to_string(at));
  if (sent.delivered) violation(name_of(payload) + " was delivered twice");
  sent.delivered = true;
  ++delivered_;
}

std::map<std::pair<uint32_t, uint32_t>, Ledger::Flow> Ledger::flows(Instant begin, Instant end) const {
  std::map<std::pair<uint32_t, uint32_t>, Flow> flows;
  for (auto sent = payloads_.rbegin(); sent != payloads_.rend() && sent->at >= begin; ++sent) {
    if (sent->at >= end) continue;
    Flow& flow = flows[{sent->payload.from, sent->payload.to}];
    ++flow.sent;
    flow.delivered += sent->delivered ? 1 : 0;
  }
  return flows;
}

}  // namespace centipede::sim
