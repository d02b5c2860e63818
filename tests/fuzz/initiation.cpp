// What a responder makes of an initiation. First byte: which of
//   0  any bytes
//   1  any bytes of the right length, with a header and a mac1 that are right
//   2  any plaintext in a box that opens, signed by nobody, by its claimed sender or not at all as bits say
//   3  a genuine exchange of any session ids, timestamp and parameters, with one bit of the initiation perhaps flipped
#include "forge.h"

namespace centipede::fuzz {
namespace {

using crypto::HandshakeFailure;
using crypto::Initiator;
using crypto::OpenedInitiation;

constexpr uint64_t timestamp_ns = uint64_t{100'000'000'000} * crypto::timestamp_quantum_ns >> 8;

struct Fixed {
  crypto::SecretKey ephemeral = filled(0x33);
  crypto::SecretKey response_ephemeral = filled(0x44);
  crypto::SecretKey psk = filled(0x55);
  crypto::PublicKeyBytes ephemeral_point = public_half(ephemeral);
  crypto::SecretKey shared = agree(ephemeral, bob().public_key().x25519());
  // Alice's one call: all that a third party has ever seen of her.
  Initiator genuine =
      Initiator::start({alice(), bob().public_key(), 0x0102030405060708, timestamp_ns, {.mtu = 1420}, ephemeral})
          .value();
};
const Fixed& fixed() {
  static const Fixed instance;
  return instance;
}

bool is_genuine(ConstBytes message) {
  return message.size() == CP_INITIATION_SIZE &&
         std::ranges::equal(message.first(CP_INITIATION_OFFSET_MAC2),
                            ConstBytes(fixed().genuine.message()).first(CP_INITIATION_OFFSET_MAC2));
}

auto respond(const OpenedInitiation& opened) {
  return opened.respond(bob(), fixed().psk, 0x1112131415161718, {}, fixed().response_ephemeral);
}

// Bytes from whoever has no key: nothing but copies of the genuine message gets through.
void check_outsider(ConstBytes bytes) {
  const auto message = exact_copy(bytes);
  auto opened = OpenedInitiation::open(bob(), message);
  promise(opened.has_value() == is_genuine(message), "only what Alice has sent opens");
  if (!opened) return;
  promise(!respond(*opened), "nobody is answered before the signature is verified");
  promise(opened->claimed_peer() == alice().public_key().bytes(), "Alice is named");
  promise(opened->verify(bob(), alice().public_key()).has_value(), "Alice is believed");
  promise(respond(*opened).has_value(), "Alice is answered");
}

void check_right_outside(Input& input) {
  std::array<uint8_t, CP_INITIATION_SIZE> message;
  if (input.flag()) {
    message = fixed().genuine.message();
    const size_t at = input.below(message.size());
    const ConstBytes changed = input.take(message.size() - at);
    std::ranges::copy(changed, message.begin() + static_cast<std::ptrdiff_t>(at));
  } else {
    input.read(message);
  }
  write_header(CP_TYPE_INITIATION, message);
  put_mac1(bob().public_key(), message);
  check_outsider(message);
}

void check_boxed(Input& input) {
  const uint8_t choices = input.number();
  const bool claims_alice = (choices & 1) != 0;
  const bool sound_params = (choices & 2) != 0;
  const bool signed_by_alice = (choices & 4) != 0;
  std::array<uint8_t, CP_INITIATION_SIZE> message{};
  write_header(CP_TYPE_INITIATION, message);
  const auto sid = input.number<uint64_t>();
  store_be(&message[8], sid);
  std::ranges::copy(fixed().ephemeral_point, message.begin() + ephemeral_offset);
  std::array<uint8_t, initiation_plain_size> plain;
  input.read(plain);
  if (claims_alice) std::ranges::copy(alice().public_key().bytes(), plain.begin());
  if (sound_params) wire::write_params({.lanes = 3, .mtu = 1400}, &plain[40]);
  const crypto::Hash hash = first_hash(bob().public_key(), message);
  if (signed_by_alice) sign("centipede1 init", hash, bob().public_key(), alice(), 32, plain);
  seal_box(crypto::hkdf_extract(hash, fixed().shared.view()), "m1", hash, plain, &message[box_offset]);
  put_mac1(bob().public_key(), message);

  auto opened = OpenedInitiation::open(bob(), exact_copy(message));
  const auto params = wire::read_params(ConstBytes(plain).subspan(40, wire::params_size));
  promise(opened.has_value() == params.has_value(), "a box with sense inside opens, and no other");
  if (!opened) return promise(opened.error() == HandshakeFailure::malformed, "the reason is the parameters");
  promise(std::ranges::equal(opened->claimed_peer(), ConstBytes(plain).first(32)), "the identity is as sent");
  promise(opened->claimed_timestamp_ns() == load_be<uint64_t>(&plain[32]), "the timestamp is as sent");
  promise(opened->claimed_sid() == sid, "the session id is as sent");
  promise(opened->claimed_params() == *params, "the parameters are as sent");
  const bool named = opened->claimed_peer() == alice().public_key().bytes();
  const auto verified = opened->verify(bob(), alice().public_key());
  promise(verified.has_value() == (named && signed_by_alice), "only the claimed sender's own signature is believed");
  if (!verified) {
    const auto reason = named ? HandshakeFailure::bad_signature : HandshakeFailure::bad_identity;
    promise(verified.error() == reason, "the reason is the first that applies");
  }
  promise(respond(*opened).has_value() == verified.has_value(), "only who is believed is answered");
}

void check_exchange(Input& input) {
  const auto sid = input.number<uint64_t>();
  const auto time = input.number<uint64_t>();
  std::array<uint8_t, wire::params_size> raw;
  input.read(raw);
  std::fill(raw.begin() + 10, raw.end(), uint8_t{0});
  raw[0] = CP_PROTOCOL_VERSION;
  const auto params = wire::read_params(raw);
  if (!params) return;
  const auto call = Initiator::start({alice(), bob().public_key(), sid, time, *params, fixed().ephemeral});
  promise(call.has_value(), "a call to a sound key can be made");
  auto message = call->message();
  const bool flip = input.flag();
  const size_t bit = input.number<uint16_t>() % (message.size() * 8);
  if (flip) message[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
  if (flip && input.flag()) put_mac1(bob().public_key(), message);
  const bool damaged = !std::equal(message.begin(), message.end() - CP_MAC_SIZE, call->message().begin());

  auto opened = OpenedInitiation::open(bob(), message);
  promise(opened.has_value() != damaged, "a damaged initiation does not open, a whole one does");
  if (!opened) return;
  promise(opened->claimed_timestamp_ns() == time && opened->claimed_params() == *params, "the insides arrive");
  promise(opened->verify(bob(), alice().public_key()).has_value(), "an honest signature is believed");
  const auto answer = respond(*opened);
  promise(answer.has_value() && answer->established.peer_sid == sid, "the answer goes to the caller's session id");
  const auto established = call->finish(alice(), fixed().psk, answer->message);
  promise(established.has_value(), "the caller accepts the answer");
  const auto& ours = established->keys;
  const auto& theirs = answer->established.keys;
  promise(ours.send_key.equals(theirs.receive_key) && ours.receive_key.equals(theirs.send_key) &&
              ours.send_iv == theirs.receive_iv && ours.receive_iv == theirs.send_iv &&
              ours.exporter.equals(theirs.exporter),
          "both sides hold the same keys");
  promise(!ours.send_key.equals(ours.receive_key), "the directions have different keys");
}

}  // namespace
}  // namespace centipede::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace centipede::fuzz;
  Input input(data, size);
  switch (input.below(4)) {
    case 0:
      check_outsider(input.rest());
      break;
    case 1:
      check_right_outside(input);
      break;
    case 2:
      check_boxed(input);
      break;
    case 3:
      check_exchange(input);
      break;
  }
  return 0;
}
