// Cookies. First byte: which of
//   0  any bytes as a cookie reply, with a tag that is right or not: opened exactly as the protocol says
//   1  any cookie sealed for any initiation, and one bit of the reply or of the initiation's MACs flipped
//   2  mac2 from any address, and one bit of the initiation flipped
//   3  callers at a gate: who proves an address and who does not, and how many get through
#include "crypto/cookie.h"

#include "control/gate.h"
#include "forge.h"
#include "sim_random.h"

namespace centipede::fuzz {
namespace {

using crypto::InitiationBytes;

const crypto::ReceiverKeys& bobs_keys() {
  return bob().receiver_keys();
}

template <size_t N>
void flip(std::array<uint8_t, N>& bytes, size_t bit) {
  bytes[bit / 8 % N] ^= static_cast<uint8_t>(1 << bit % 8);
}

// S(cookie key, label 0^7 ‖ parts).
Mac labelled(uint8_t label, ConstBytes first, ConstBytes second) {
  std::vector<uint8_t> text{label, 0, 0, 0, 0, 0, 0, 0};
  text.insert(text.end(), first.begin(), first.end());
  text.insert(text.end(), second.begin(), second.end());
  return siphash(key_of("cookie", bob().public_key()), text);
}

void check_reply(Input& input) {
  const uint8_t choices = input.number();
  InitiationBytes initiation;
  crypto::CookieReply reply;
  input.read(reply);
  input.read(initiation);
  if ((choices & 1) != 0) write_header(CP_TYPE_COOKIE, reply);
  const ConstBytes macs = ConstBytes(initiation).subspan(CP_INITIATION_OFFSET_MAC1);
  const Mac tag = labelled(CP_COOKIE_LABEL_TAG, macs, ConstBytes(reply).first(CP_COOKIE_OFFSET_TAG));
  if ((choices & 2) != 0) std::ranges::copy(tag, &reply[CP_COOKIE_OFFSET_TAG]);
  const size_t length = (choices & 4) != 0 ? input.below(reply.size()) : reply.size();

  const auto cookie = crypto::open_cookie(bobs_keys(), initiation, exact_copy(ConstBytes(reply).first(length)));
  const bool sound = length == reply.size() && wire::classify(reply) == wire::MessageType::cookie &&
                     std::ranges::equal(tag, ConstBytes(reply).last(CP_MAC_SIZE));
  promise(cookie.has_value() == sound, "a reply opens when its header and tag are right");
  if (!cookie) return;
  Mac expected = labelled(CP_COOKIE_LABEL_PAD, ConstBytes(reply).subspan(CP_COOKIE_OFFSET_NONCE, 8), macs);
  for (size_t i = 0; i < expected.size(); ++i)
    expected[i] ^= reply[CP_COOKIE_OFFSET_SEALED + i];
  promise(*cookie == expected, "the cookie is what was sealed");
}

void check_sealed(Input& input) {
  crypto::Cookie cookie;
  InitiationBytes initiation;
  input.read(cookie);
  const auto nonce = input.number<uint64_t>();
  const uint8_t which = input.number();
  const size_t bit = input.number<uint16_t>();
  input.read(initiation);
  auto reply = crypto::seal_cookie(bobs_keys(), cookie, initiation, nonce);
  promise(crypto::open_cookie(bobs_keys(), initiation, reply) == cookie, "a cookie arrives as it was sent");
  promise(!crypto::open_cookie(alice().receiver_keys(), initiation, reply), "a cookie is for who called its sender");
  if ((which & 1) != 0) {
    flip(reply, bit % (reply.size() * 8));
    promise(!crypto::open_cookie(bobs_keys(), initiation, reply), "a damaged reply does not open");
  } else {
    flip(initiation, CP_INITIATION_OFFSET_MAC1 * 8 + bit % (2 * CP_MAC_SIZE * 8));
    promise(!crypto::open_cookie(bobs_keys(), initiation, reply), "a reply to another call or copy does not open");
  }
}

Endpoint read_endpoint(Input& input) {
  std::array<uint8_t, 16> address;
  const bool v6 = input.flag();
  const auto port = input.number<uint16_t>();
  input.read(Bytes(address).first(v6 ? 16 : 4));
  return {v6 ? IpAddress::v6(address.data()) : IpAddress::v4(address.data()), port};
}

crypto::Cookie expected_cookie(const crypto::CookieSecret& secret, const Endpoint& source) {
  std::array<uint8_t, 24> text{};
  if (source.address.is_v4()) text[10] = text[11] = 0xff;
  std::ranges::copy(source.address.bytes(), text.begin() + (source.address.is_v4() ? 12 : 0));
  store_be<uint16_t>(&text[16], source.port);
  return siphash(secret.view(), text);
}

void check_mac2(Input& input) {
  crypto::CookieSecret secret;
  input.read({secret.data(), secret.size});
  const Endpoint source = read_endpoint(input);
  const Endpoint other = read_endpoint(input);
  const size_t bit = input.number<uint16_t>() % (CP_INITIATION_SIZE * 8);
  InitiationBytes initiation;
  input.read(initiation);
  const crypto::Cookie cookie = crypto::make_cookie(secret, source);
  promise(cookie == expected_cookie(secret, source), "a cookie is the MAC of its address");
  crypto::write_mac2(cookie, initiation);
  promise(crypto::mac2_is_valid(cookie, initiation), "mac2 is accepted");
  const bool same_text = expected_cookie(secret, other) == cookie;  // an IPv4 address and the same one mapped
  promise(crypto::mac2_is_valid(crypto::make_cookie(secret, other), initiation) == same_text,
          "mac2 holds from one address only");
  flip(initiation, bit);
  promise(!crypto::mac2_is_valid(cookie, initiation), "mac2 covers every bit before it");
}

constexpr control::GateLimits limits{.unproven_period = milliseconds(100),
                                     .unproven_burst = 4,
                                     .source_period = milliseconds(200),
                                     .source_burst = 3,
                                     .cookie_life = seconds(10)};

// No more than the burst and one for each period since the start.
bool within(uint64_t admitted, Duration period, unsigned burst, Duration elapsed) {
  return admitted <= burst + static_cast<uint64_t>(elapsed / period);
}

struct Caller {
  Endpoint at;
  std::optional<crypto::Cookie> cookie{};
  Instant since{};  // of the cookie
  uint64_t admitted = 0;
};

void check_gate(Input& input) {
  sim::SimRandom randomness(1);
  control::Gate gate(bob(), limits, randomness);
  const Instant start{seconds(1)};
  Instant now = start;
  std::array<Caller, 4> callers;
  for (uint8_t i = 0; i < callers.size(); ++i) {
    const std::array<uint8_t, 16> address{10, 0, 0, i};
    callers[i].at = {i < 2 ? IpAddress::v4(address.data()) : IpAddress::v6(address.data()), 5820};
  }
  uint64_t unproven = 0;
  while (!input.empty()) {
    const uint8_t step = input.number();
    now += milliseconds(10) * input.number();
    if ((step & 0x40) != 0) now += seconds(4);
    (void)gate.rotate(now);
    Caller& caller = callers[step & 3];
    InitiationBytes initiation{};
    write_header(CP_TYPE_INITIATION, initiation);
    initiation[20] = initiation.back() = step;  // mac2 may be anything
    put_mac1(bob().public_key(), initiation);
    if ((step & 0x20) != 0) initiation[21] ^= 1;
    const bool proves = (step & 4) == 0 && caller.cookie.has_value();
    if (proves) crypto::write_mac2(*caller.cookie, initiation);
    const bool stolen = (step & 8) != 0;  // said from another's address
    const Caller& from = stolen ? callers[(step + 1) & 3] : caller;

    const auto verdict = gate.judge(initiation, from.at, now);
    using enum control::Gate::Verdict;
    promise((verdict == bad_mac1) == ((step & 0x20) != 0), "mac1 is looked at first, and whatever comes");
    if (verdict == bad_mac1) continue;
    const bool fresh = now - caller.since < limits.cookie_life;
    const bool may_hold = now - caller.since < 2 * limits.cookie_life;
    const bool proven = proves && !stolen && fresh;
    if (proven) promise(verdict != challenge, "a fresh cookie is accepted from where it belongs");
    if (!proves || stolen || !may_hold) promise(verdict != source_limited, "only a proven address has its own rate");
    if (verdict == admit && proven) {
      promise(within(++caller.admitted, limits.source_period, limits.source_burst, now - start),
              "a proven address stays within its rate");
    }
    if (verdict == admit && (!proves || stolen || !may_hold)) {
      promise(within(++unproven, limits.unproven_period, limits.unproven_burst, now - start),
              "all unproven callers together stay within their rate");
    }
    if (verdict != challenge) continue;
    const auto cookie = crypto::open_cookie(bobs_keys(), initiation, gate.challenge(initiation, from.at));
    promise(cookie.has_value(), "a challenge can be read by who caused it");
    if (!stolen && (step & 0x10) == 0) {
      caller.cookie = cookie;
      caller.since = now;
    }
  }
}

}  // namespace
}  // namespace centipede::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace centipede::fuzz;
  Input input(data, size);
  switch (input.below(4)) {
    case 0:
      check_reply(input);
      break;
    case 1:
      check_sealed(input);
      break;
    case 2:
      check_mac2(input);
      break;
    case 3:
      check_gate(input);
      break;
  }
  return 0;
}
