#include "crypto/handshake.h"

#include <sodium.h>

#include <algorithm>
#include <string_view>

#include "crypto/kdf.h"

// What docs/protocol.md leaves to the code, and why:
// - Every input of the hash has a fixed length, and no two uses of it have the same length under the same label, so
// parts
//   need no separators. The two signed hashes do have the same length; the text in front of each tells them apart.
// - The keys of the two boxes are derived from a fresh ephemeral key and used for one box: their nonce is zero. The
//   running hash h is the associated data, so a box opens only within the exchange that it was made for.
// - mac2 is not checked here: whether it has to be there depends on the load (control/gate.h).

namespace centipede::crypto {
namespace {

constexpr std::string_view protocol_label = "centipede1";
constexpr std::string_view initiator_signature_label = "centipede1 init";
constexpr std::string_view responder_signature_label = "centipede1 resp";
constexpr std::string_view initiation_box_label = "m1";
constexpr std::string_view response_box_label = "m2";

constexpr size_t sid_size = 8;
constexpr size_t key_size = 32;
constexpr size_t signature_size = crypto_sign_BYTES;

constexpr size_t sid_offset = CP_OFFSET_CALL_SID;
constexpr size_t ephemeral_offset = sid_offset + sid_size;
constexpr size_t box_offset = ephemeral_offset + key_size;
constexpr size_t initiation_plain_size = key_size + 8 + wire::params_size + signature_size;
constexpr size_t response_plain_size = sid_size + wire::params_size + signature_size;
constexpr size_t initiation_box_size = initiation_plain_size + CP_TAG_SIZE;
constexpr size_t response_box_size = response_plain_size + CP_TAG_SIZE;
static_assert(box_offset + initiation_box_size + 2 * CP_MAC_SIZE == CP_INITIATION_SIZE);
static_assert(box_offset + response_box_size + 2 * CP_MAC_SIZE == CP_RESPONSE_SIZE);

std::unexpected<HandshakeFailure> refuse(HandshakeFailure why) {
  return std::unexpected(why);
}

ConstBytes text_bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

// h once the header, the initiator's sid and the ephemeral key are mixed in: a message up to its box.
Hash hash_prefix(const Hash& hash, ConstBytes message) {
  return blake2b({hash, message.first(box_offset)});
}
Hash first_hash(const PublicKey& responder, ConstBytes initiation) {
  return hash_prefix(blake2b({text_bytes(protocol_label), responder.bytes()}), initiation);
}

void write_start(uint8_t type, wire::SessionId sid, const SecretKey& ephemeral_secret, Bytes message) {
  message[0] = static_cast<uint8_t>(CP_CONTROL_BIT | type);
  message[1] = CP_PROTOCOL_VERSION;
  store_be(message.data() + sid_offset, sid);
  crypto_scalarmult_base(message.data() + ephemeral_offset, ephemeral_secret.data());
}

// Below 2^255 - 19 and the top bit clear: the one spelling that an honest sender writes.
bool is_canonical(const PublicKeyBytes& coordinate) {
  if (coordinate[31] != 0x7f) return coordinate[31] < 0x7f;
  return coordinate[0] < 0xed ||
         !std::all_of(coordinate.begin() + 1, coordinate.end() - 1, [](uint8_t byte) { return byte == 0xff; });
}

// Nothing when the point is spelled wrongly, or has low order: then the result would be all zero whatever the secret.
std::optional<SecretKey> shared_secret(const SecretKey& secret, const PublicKeyBytes& point) {
  SecretKey shared;
  // libsodium says -1 to an all-zero result.
  if (!is_canonical(point) || crypto_scalarmult(shared.data(), secret.data(), point.data()) != 0) return std::nullopt;
  return shared;
}

PublicKeyBytes ephemeral_of(ConstBytes message) {
  PublicKeyBytes ephemeral;
  std::ranges::copy(message.subspan(ephemeral_offset, key_size), ephemeral.begin());
  return ephemeral;
}

SecretKey expand_key(const Secret<64>& chaining_key, std::string_view label) {
  SecretKey key;
  hkdf_expand(chaining_key, label, {key.data(), key.size});
  return key;
}

constexpr std::array<uint8_t, crypto_aead_chacha20poly1305_ietf_NPUBBYTES> box_nonce{};

void seal_box(const SecretKey& key, const Hash& hash, ConstBytes plain, uint8_t* out) {
  crypto_aead_chacha20poly1305_ietf_encrypt(out, nullptr, plain.data(), plain.size(), hash.data(), hash.size(), nullptr,
                                            box_nonce.data(), key.data());
}

bool open_box(const SecretKey& key, const Hash& hash, ConstBytes box, Bytes plain) {
  return crypto_aead_chacha20poly1305_ietf_decrypt(plain.data(), nullptr, nullptr, box.data(), box.size(), hash.data(),
                                                   hash.size(), box_nonce.data(), key.data()) == 0;
}

using SignedText = std::array<uint8_t, initiator_signature_label.size() + sizeof(Hash)>;
static_assert(initiator_signature_label.size() == responder_signature_label.size());

// Both identities are in what each side signs: a signature made for one pair of peers says nothing to any other.
// `details`: the timestamp or the responder's sid, then the parameters.
SignedText signed_text(std::string_view label, const Hash& hash, const PublicKey& other, const PublicKey& signer,
                       ConstBytes details) {
  const Hash digest = blake2b({hash, other.bytes(), signer.bytes(), details});
  SignedText text;
  std::ranges::copy(digest, std::ranges::copy(label, text.begin()).out);
  return text;
}

// From the chaining key after the first agreement to the one that the response's box and the session hang on.
Secret<64> second_chaining_key(const Secret<64>& first, const SecretKey& shared, const SecretKey& psk) {
  return hkdf_extract(hkdf_extract(first.view(), shared.view()).view(), psk.view());
}

enum class Role : uint8_t { initiator, responder };

SessionKeys session_keys(const Secret<64>& chaining_key, const Hash& hash, Role role) {
  const Secret<64> root = hkdf_extract(chaining_key.view(), hash);
  SecretKey key_ir = expand_key(root, "key initiator to responder");
  SecretKey key_ri = expand_key(root, "key responder to initiator");
  std::array<uint8_t, 12> iv_ir;
  std::array<uint8_t, 12> iv_ri;
  hkdf_expand(root, "iv initiator to responder", iv_ir);
  hkdf_expand(root, "iv responder to initiator", iv_ri);
  SecretKey exporter = expand_key(root, "exporter");
  if (role == Role::initiator) {
    return {std::move(key_ir), iv_ir, std::move(key_ri), iv_ri, std::move(exporter)};
  }
  return {std::move(key_ri), iv_ri, std::move(key_ir), iv_ir, std::move(exporter)};
}

}  // namespace

std::expected<Initiator, HandshakeFailure> Initiator::start(const Inputs& inputs) {
  Initiator initiator;
  InitiationBytes& message = initiator.message_;
  write_start(CP_TYPE_INITIATION, inputs.sid, inputs.ephemeral_secret, message);

  const Hash hash = first_hash(inputs.responder, message);
  const auto shared = shared_secret(inputs.ephemeral_secret, inputs.responder.x25519());
  if (!shared) return refuse(HandshakeFailure::bad_ephemeral);
  initiator.chaining_key_ = hkdf_extract(hash, shared->view());

  std::array<uint8_t, initiation_plain_size> plain;
  const Bytes fields(plain);
  std::ranges::copy(inputs.self.public_key().bytes(), fields.begin());
  const Bytes details = fields.subspan(key_size, 8 + wire::params_size);
  store_be(details.data(), inputs.timestamp_ns);
  wire::write_params(inputs.params, details.data() + 8);
  const SignedText text =
      signed_text(initiator_signature_label, hash, inputs.responder, inputs.self.public_key(), details);
  std::ranges::copy(inputs.self.sign(text), fields.last(signature_size).begin());

  uint8_t* box = message.data() + box_offset;
  seal_box(expand_key(initiator.chaining_key_, initiation_box_label), hash, fields, box);
  write_mac1(receiver_keys(inputs.responder), message);

  initiator.hash_ = blake2b({hash, {box, initiation_box_size}});
  initiator.sid_ = inputs.sid;
  initiator.timestamp_ns_ = inputs.timestamp_ns;
  initiator.responder_ = inputs.responder;
  initiator.ephemeral_secret_ = inputs.ephemeral_secret.clone();
  return initiator;
}

std::expected<Established, HandshakeFailure> Initiator::finish(const Identity& self, const SecretKey& psk,
                                                               ConstBytes response) const {
  if (wire::classify(response) != wire::MessageType::response) return refuse(HandshakeFailure::malformed);
  if (load_be<uint64_t>(response.data() + sid_offset) != sid_) return refuse(HandshakeFailure::unexpected_sid);
  if (!mac1_is_valid(self.receiver_keys(), response)) return refuse(HandshakeFailure::bad_mac1);

  const auto shared = shared_secret(ephemeral_secret_, ephemeral_of(response));
  if (!shared) return refuse(HandshakeFailure::bad_ephemeral);
  const Hash hash = hash_prefix(hash_, response);
  const Secret<64> chaining_key = second_chaining_key(chaining_key_, *shared, psk);

  const ConstBytes box = response.subspan(box_offset, response_box_size);
  std::array<uint8_t, response_plain_size> plain;
  if (!open_box(expand_key(chaining_key, response_box_label), hash, box, plain)) {
    return refuse(HandshakeFailure::bad_box);
  }
  const ConstBytes details = ConstBytes(plain).first(sid_size + wire::params_size);
  const auto params = wire::read_params(details.last(wire::params_size));
  if (!params) return refuse(HandshakeFailure::malformed);
  const SignedText text = signed_text(responder_signature_label, hash, self.public_key(), responder_, details);
  if (!verify(responder_, text, ConstBytes(plain).last(signature_size))) {
    return refuse(HandshakeFailure::bad_signature);
  }
  return Established{.keys = session_keys(chaining_key, blake2b({hash, box}), Role::initiator),
                     .peer_sid = load_be<uint64_t>(plain.data()),
                     .peer_params = *params};
}

std::expected<OpenedInitiation, HandshakeFailure> OpenedInitiation::open(const Identity& self, ConstBytes initiation) {
  if (wire::classify(initiation) != wire::MessageType::initiation) return refuse(HandshakeFailure::malformed);
  if (!mac1_is_valid(self.receiver_keys(), initiation)) return refuse(HandshakeFailure::bad_mac1);

  OpenedInitiation opened;
  opened.peer_ephemeral_ = ephemeral_of(initiation);
  const auto shared = shared_secret(self.x25519_private(), opened.peer_ephemeral_);
  if (!shared) return refuse(HandshakeFailure::bad_ephemeral);
  opened.signed_hash_ = first_hash(self.public_key(), initiation);
  opened.chaining_key_ = hkdf_extract(opened.signed_hash_, shared->view());

  const ConstBytes box = initiation.subspan(box_offset, initiation_box_size);
  std::array<uint8_t, initiation_plain_size> plain;
  if (!open_box(expand_key(opened.chaining_key_, initiation_box_label), opened.signed_hash_, box, plain)) {
    return refuse(HandshakeFailure::bad_box);
  }
  opened.hash_ = blake2b({opened.signed_hash_, box});
  opened.peer_sid_ = load_be<uint64_t>(initiation.data() + sid_offset);

  const ConstBytes fields(plain);
  std::ranges::copy(fields.first(key_size), opened.claimed_peer_.begin());
  std::ranges::copy(fields.subspan(key_size, opened.details_.size()), opened.details_.begin());
  opened.timestamp_ns_ = load_be<uint64_t>(opened.details_.data());
  const auto params = wire::read_params(ConstBytes(opened.details_).last(wire::params_size));
  if (!params) return refuse(HandshakeFailure::malformed);
  opened.params_ = *params;
  std::ranges::copy(fields.last(signature_size), opened.signature_.begin());
  return opened;
}

std::expected<void, HandshakeFailure> OpenedInitiation::verify(const Identity& self, const PublicKey& peer) {
  if (peer.bytes() != claimed_peer_) return refuse(HandshakeFailure::bad_identity);
  const SignedText text = signed_text(initiator_signature_label, signed_hash_, self.public_key(), peer, details_);
  if (!crypto::verify(peer, text, signature_)) return refuse(HandshakeFailure::bad_signature);
  peer_ = peer;
  return {};
}

std::expected<OpenedInitiation::Response, HandshakeFailure> OpenedInitiation::respond(
    const Identity& self, const SecretKey& psk, wire::SessionId sid, const wire::Params& params,
    const SecretKey& ephemeral_secret) const {
  if (!peer_) return refuse(HandshakeFailure::bad_signature);
  ResponseBytes message{};
  write_start(CP_TYPE_RESPONSE, peer_sid_, ephemeral_secret, message);

  // Whether a point gives a secret does not depend on whose secret it meets: open() has refused those that give none.
  const SecretKey shared = shared_secret(ephemeral_secret, peer_ephemeral_).value();
  const Hash hash = hash_prefix(hash_, message);
  const Secret<64> chaining_key = second_chaining_key(chaining_key_, shared, psk);

  std::array<uint8_t, response_plain_size> plain;
  const Bytes details = Bytes(plain).first(sid_size + wire::params_size);
  store_be(details.data(), sid);
  wire::write_params(params, details.data() + sid_size);
  const SignedText text = signed_text(responder_signature_label, hash, *peer_, self.public_key(), details);
  std::ranges::copy(self.sign(text), Bytes(plain).last(signature_size).begin());

  uint8_t* box = message.data() + box_offset;
  seal_box(expand_key(chaining_key, response_box_label), hash, plain, box);
  write_mac1(receiver_keys(*peer_), message);
  return Response{
      .message = message,
      .established = {.keys = session_keys(chaining_key, blake2b({hash, {box, response_box_size}}), Role::responder),
                      .peer_sid = peer_sid_,
                      .peer_params = params_}};
}

}  // namespace centipede::crypto
