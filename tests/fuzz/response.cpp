// What an initiator makes of a response to its one call. First byte: which of
//   0  any bytes
//   1  any bytes of the right length, or changes to the genuine response; header, session id and mac1 are right
//   2  any plaintext in a box that opens, as by somebody who has Bob's X25519 key and the preshared key, but not the
//      Ed25519 key
#include "forge.h"

namespace centipede::fuzz {
namespace {

using crypto::HandshakeFailure;
using crypto::Initiator;
using crypto::OpenedInitiation;

constexpr wire::SessionId call_sid = 0x0102030405060708;
constexpr size_t initiation_box_size = initiation_plain_size + CP_TAG_SIZE;

struct Fixed {
  crypto::SecretKey ephemeral = filled(0x33);
  crypto::SecretKey response_ephemeral = filled(0x44);
  crypto::SecretKey forged_ephemeral = filled(0x77);
  crypto::PublicKeyBytes forged_point = public_half(forged_ephemeral);
  crypto::SecretKey psk = filled(0x55);
  Initiator call =
      Initiator::start({alice(), bob().public_key(), call_sid, 1U << 24, {.mtu = 1420}, ephemeral}).value();
  crypto::ResponseBytes genuine = answer();
  crypto::Hash hash_before;         // of the exchange before the response
  crypto::Secret<64> forged_chain;  // the chaining key that a response under forged_ephemeral has

  Fixed() {
    const ConstBytes first(call.message());
    const crypto::Hash hash = first_hash(bob().public_key(), first);
    hash_before = crypto::blake2b({hash, first.subspan(box_offset, initiation_box_size)});
    const auto point = public_half(ephemeral);
    const auto one = crypto::hkdf_extract(hash, agree(bob().x25519_private(), point).view());
    const auto two = crypto::hkdf_extract(one.view(), agree(forged_ephemeral, point).view());
    forged_chain = crypto::hkdf_extract(two.view(), psk.view());
  }
  [[nodiscard]] crypto::ResponseBytes answer() const {
    auto opened = OpenedInitiation::open(bob(), call.message()).value();
    promise(opened.verify(bob(), alice().public_key()).has_value(), "Bob believes Alice");
    return opened.respond(bob(), psk, 0x1112131415161718, {.lanes = 2}, response_ephemeral).value().message;
  }
};
const Fixed& fixed() {
  static const Fixed instance;
  return instance;
}

auto finish(ConstBytes message) {
  return fixed().call.finish(alice(), fixed().psk, exact_copy(message));
}

void check_outsider(ConstBytes message) {
  const bool genuine =
      message.size() == CP_RESPONSE_SIZE &&
      std::equal(message.begin(), message.end() - CP_MAC_SIZE, fixed().genuine.begin());  // mac2 is not looked at
  const auto established = finish(message);
  promise(established.has_value() == genuine, "only what Bob has sent is accepted");
  promise(fixed().call.sid() == call_sid, "a refused response leaves the call as it was");
  if (genuine) promise(established->peer_sid == 0x1112131415161718, "the session id is Bob's");
}

void check_right_outside(Input& input) {
  crypto::ResponseBytes message;
  if (input.flag()) {
    message = fixed().genuine;
    const size_t at = input.below(message.size());
    std::ranges::copy(input.take(message.size() - at), message.begin() + static_cast<std::ptrdiff_t>(at));
  } else {
    input.read(message);
  }
  write_header(CP_TYPE_RESPONSE, message);
  store_be(&message[CP_OFFSET_CALL_SID], call_sid);
  put_mac1(alice().public_key(), message);
  check_outsider(message);
}

void check_boxed(Input& input) {
  const uint8_t choices = input.number();
  const bool signed_by_bob = (choices & 1) != 0;
  crypto::ResponseBytes message{};
  write_header(CP_TYPE_RESPONSE, message);
  store_be(&message[CP_OFFSET_CALL_SID], call_sid);
  std::ranges::copy(fixed().forged_point, message.begin() + ephemeral_offset);
  const crypto::Hash hash = crypto::blake2b({fixed().hash_before, ConstBytes(message).first(box_offset)});
  std::array<uint8_t, response_plain_size> plain;
  input.read(plain);
  if ((choices & 2) != 0) wire::write_params({.lanes = 3, .mtu = 1400}, &plain[8]);
  if (signed_by_bob) sign("centipede1 resp", hash, alice().public_key(), bob(), 0, plain);
  seal_box(fixed().forged_chain, "m2", hash, plain, &message[box_offset]);
  put_mac1(alice().public_key(), message);

  const auto params = wire::read_params(ConstBytes(plain).subspan(8, wire::params_size));
  const auto established = finish(message);
  promise(established.has_value() == (params && signed_by_bob), "only Bob's own signature is believed");
  if (!established) {
    const auto reason = params ? HandshakeFailure::bad_signature : HandshakeFailure::malformed;
    return promise(established.error() == reason, "the reason is the first that applies");
  }
  promise(established->peer_sid == load_be<uint64_t>(plain.data()), "the session id is as sent");
  promise(established->peer_params == *params, "the parameters are as sent");
}

}  // namespace
}  // namespace centipede::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace centipede::fuzz;
  Input input(data, size);
  switch (input.below(3)) {
    case 0:
      check_outsider(input.rest());
      break;
    case 1:
      check_right_outside(input);
      break;
    case 2:
      check_boxed(input);
      break;
  }
  return 0;
}
