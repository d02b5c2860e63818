// What a controller does with datagrams that do not fit its state: each is counted under one reason and harms nothing.
#include <sodium.h>

#include "crypto/kdf.h"
#include "network.h"
#include "wire/frame.h"

namespace centipede::control::test {
namespace {

// What a peer that lies could send: sealed with the true session.
Packet from_first(Network& network, ConstBytes plaintext, const Endpoint& source = at("10.1.0.1")) {
  const auto aead = crypto::make_sodium_aead();
  return {.source = source, .destination = at("10.1.0.2"), .bytes = network.session(0)->seal_control(*aead, plaintext)};
}
Packet heartbeat_from_first(Network& network, const wire::Heartbeat& heartbeat, const Endpoint& source) {
  std::array<uint8_t, CP_HEARTBEAT_SIZE> frame{};
  wire::write_frame(heartbeat, frame.data());
  return from_first(network, frame, source);
}

// Opens the box of an initiation, as whoever made its ephemeral key can, and puts another caller's name in.
void swap_name_in_box(crypto::InitiationBytes& message, const crypto::PublicKey& responder,
                      const crypto::SecretKey& ephemeral, const crypto::PublicKey& name) {
  constexpr size_t box_offset = 48;
  constexpr size_t box_size = CP_INITIATION_OFFSET_MAC1 - box_offset;
  const std::string label = "centipede1";
  const ConstBytes label_bytes(reinterpret_cast<const uint8_t*>(label.data()), label.size());
  const auto hash =
      crypto::blake2b({crypto::blake2b({label_bytes, responder.bytes()}), ConstBytes(message).first(box_offset)});
  crypto::SecretKey shared;
  ASSERT_EQ(crypto_scalarmult(shared.data(), ephemeral.data(), responder.x25519().data()), 0);
  crypto::SecretKey key;
  crypto::hkdf_expand(crypto::hkdf_extract(hash, shared.view()), "m1", {key.data(), key.size});
  const std::array<uint8_t, crypto_aead_chacha20poly1305_ietf_NPUBBYTES> nonce{};
  std::array<uint8_t, box_size - CP_TAG_SIZE> plain;
  uint8_t* box = message.data() + box_offset;
  ASSERT_EQ(crypto_aead_chacha20poly1305_ietf_decrypt(plain.data(), nullptr, nullptr, box, box_size, hash.data(),
                                                      hash.size(), nonce.data(), key.data()),
            0);
  std::ranges::copy(name.bytes(), plain.begin());
  crypto_aead_chacha20poly1305_ietf_encrypt(box, nullptr, plain.data(), plain.size(), hash.data(), hash.size(), nullptr,
                                            nonce.data(), key.data());
  crypto::write_mac1(crypto::receiver_keys(responder), message);
}

void use_up_control_numbers(crypto::Session& session) {
  for (uint32_t step = UINT32_MAX; step != 0; step /= 2) {
    while (session.take_counters(CP_CONTROL_LANE, step)) {
    }
  }
}

std::vector<Route> routes_of(const std::vector<Action>& actions) {
  std::vector<Route> routes;
  for (const Action& action : actions)
    if (const auto* send = std::get_if<SendDatagram>(&action)) routes.push_back(send->route);
  return routes;
}

TEST(Receive, AnUnknownDestinationAddressIsTakenForTheUplinksOwnOfThatFamily) {
  Network network;
  Packet call;
  network.on_packet = [&](Packet& packet) {
    if (packet.is_initiation()) call = packet;
    return false;
  };
  connect_two(network, true, false);
  // Where the answer leaves from: none means that the kernel chooses.
  const auto answered_from = [&](UplinkId uplink, const Endpoint& source) {
    network.controller(1).on_datagram({uplink, IpAddress{}, source}, call.bytes, network.time(1));
    const auto routes = routes_of(network.controller(1).take_actions());
    EXPECT_EQ(routes.size(), 1U);
    return routes.empty() ? IpAddress{} : routes[0].local;
  };
  EXPECT_EQ(answered_from(0, at("10.1.0.1")), ip("10.1.0.2"));
  EXPECT_EQ(answered_from(0, at("2001:db8::1")), IpAddress{});
  EXPECT_EQ(answered_from(9, at("10.1.0.1")), IpAddress{}) << "an uplink that nobody has told of";
}

TEST(Receive, APacketUnderTheIdOfACallIsOfNoSession) {
  Network network;
  Packet call;
  network.on_packet = [&](Packet& packet) {
    if (packet.is_initiation()) call = packet;
    return true;
  };
  connect_two(network, true, false);
  std::vector<uint8_t> bytes(CP_DATA_HEADER_SIZE + CP_HEARTBEAT_SIZE);
  const auto sid = load_be<uint64_t>(call.bytes.data() + CP_OFFSET_CALL_SID);
  wire::write_data_header({.number = {CP_CONTROL_LANE, 0}, .sid = sid}, bytes.data());
  network.deliver({.source = at("10.1.0.2"), .destination = at("10.1.0.1"), .bytes = bytes});
  EXPECT_EQ(network.controller(0).counters().unknown_session, 1U);
  EXPECT_TRUE(network.run_until([&] { return network.agreed(); }, milliseconds(31))) << "the call goes on";
}

TEST(Receive, AnImpostorWhoOnlyLacksThePeersSignatureIsSilence) {
  Network network;
  connect_two(network, false, false);
  // A stranger's own call, its box opened with the ephemeral key, the peer's name put in and closed again.
  crypto::SecretKey ephemeral;
  ephemeral.data()[0] = 7;
  const crypto::PublicKey& responder = identity(1).public_key();
  auto message = crypto::Initiator::start({.self = identity(3),
                                           .responder = responder,
                                           .sid = 5,
                                           .timestamp_ns = network.time(0).wall.ns,
                                           .params = {},
                                           .ephemeral_secret = ephemeral})
                     ->message();
  swap_name_in_box(message, responder, ephemeral, identity(0).public_key());
  network.record = true;
  network.deliver({.source = at("10.1.0.1"), .destination = at("10.1.0.2"), .bytes = {message.begin(), message.end()}});
  EXPECT_EQ(network.controller(1).counters().bad_signature, 1U);
  EXPECT_TRUE(network.sent.empty());
  EXPECT_TRUE(network.hosts[1]->receivable.empty());
}

TEST(Receive, AControlPacketFromBeforeTheWindowIsTooOld) {
  Network network;
  connect_two(network, true, false);
  ASSERT_TRUE(network.run_until([&] { return network.agreed(); }));
  const wire::Heartbeat heartbeat{.path_id = 1, .number = 1000};
  const Packet held = heartbeat_from_first(network, heartbeat, at("10.1.0.1"));
  ASSERT_TRUE(network.session(0)->take_counters(CP_CONTROL_LANE, 1023));
  network.deliver(heartbeat_from_first(network, heartbeat, at("10.1.0.1")));
  network.record = true;
  network.deliver(held);
  EXPECT_EQ(network.controller(1).counters().control_too_old, 1U);
  EXPECT_TRUE(network.sent.empty());
}

TEST(Receive, AnAuthenticPacketThatIsNoFrameIsCountedAndChangesNothing) {
  Network network;
  connect_two(network, true, false);
  network.run_for(seconds(1));
  network.record = true;
  const std::array<uint8_t, 3> no_frame{0, 99, 0};
  network.deliver(from_first(network, no_frame));
  EXPECT_EQ(network.controller(1).counters().bad_frame, 1U);
  EXPECT_TRUE(network.sent.empty());
  EXPECT_TRUE(network.agreed());
  EXPECT_EQ(network.status(1).paths.size(), 1U);
}

TEST(Receive, AHeartbeatToAnAddressThatIsNotOursMakesNoPath) {
  Network network;
  connect_two(network, true, false);
  network.run_for(seconds(1));
  const Packet heartbeat = heartbeat_from_first(network, {.path_id = 900, .number = 1}, at("10.1.0.1"));
  network.controller(1).on_datagram({0, ip("10.9.9.9"), heartbeat.source}, heartbeat.bytes, network.time(1));
  EXPECT_EQ(network.controller(1).counters().misaddressed, 1U);
  EXPECT_EQ(network.status(1).paths.size(), 1U);
}

TEST(Receive, TheTokenProvesAnAddressTogetherWithAnEcho) {
  Network network;
  connect_two(network, true, false);
  network.run_for(seconds(1));
  const Endpoint elsewhere = at("192.0.2.66");
  std::optional<wire::Heartbeat> answer;
  const auto aead = crypto::make_sodium_aead();
  network.on_packet = [&](Packet& packet) {
    if (packet.destination != elsewhere) return true;
    const auto plaintext = network.session(0)->open_control(*aead, packet.bytes);
    answer = std::get<wire::Heartbeat>(wire::read_frame(plaintext.value()).value());
    return false;
  };
  network.deliver(heartbeat_from_first(network, {.path_id = 900, .number = 1, .token = 5}, elsewhere));
  ASSERT_TRUE(answer);
  EXPECT_EQ(network.paths_in(1, PathState::probing), 1U);
  wire::Heartbeat reply{.path_id = 900, .number = 2, .token = 5, .token_echo = answer->token};
  network.deliver(heartbeat_from_first(network, reply, elsewhere));
  EXPECT_EQ(network.paths_in(1, PathState::probing), 1U);
  reply.number = 3;
  reply.flags = wire::Heartbeat::flag_has_echo;
  reply.echoed_number = answer->number;
  network.deliver(heartbeat_from_first(network, reply, elsewhere));
  EXPECT_EQ(network.paths_in(1, PathState::probing), 0U);
  EXPECT_EQ(network.paths_in(1, PathState::active), 2U);
}

// The peer's session is confirmed at the very instant at which we call it: the two cross, and the peer's ranks higher.
TEST(Receive, ASessionThatAHigherOneBeatToItIsConfirmedButNotUsed) {
  Timing timing;
  timing.rekey_after = seconds(1);
  timing.reject_after = milliseconds(2500);
  Network network(1, timing);
  network.add_host();
  network.add_host();
  network.hosts[1]->wall_offset_ns = -10'000'000'000;
  network.set_uplink(0, 0, {"10.1.0.1"});
  network.set_uplink(1, 0, {"10.1.0.2"});
  std::optional<Packet> confirmation;
  int calls_of_first = 0;
  network.on_packet = [&](Packet& packet) {
    if (packet.is_initiation()) return packet.from == 0 && ++calls_of_first == 1;
    if (packet.from == 0 && packet.is_control_lane() && !confirmation) confirmation = packet;
    return packet.is_response();
  };
  network.add_peer(1, 0, {at("10.1.0.1")});
  network.add_peer(0, 1, {at("10.1.0.2")});
  network.run_for(seconds(2));
  ASSERT_TRUE(confirmation);
  ASSERT_EQ(network.session(1), nullptr);

  network.on_packet = [](Packet& packet) { return packet.from == 1 || !packet.is_initiation(); };
  network.now = network.controller(1).next_deadline();
  const uint64_t calls = network.controller(1).counters().initiations_sent;
  network.deliver(*confirmation);
  ASSERT_EQ(network.controller(1).counters().initiations_sent, calls + 1) << "no call at that instant";
  const auto session = network.session(1);
  ASSERT_NE(session, nullptr);
  ASSERT_TRUE(network.run_until([&] { return network.controller(1).counters().responses_accepted == 1; }, seconds(1)));
  EXPECT_EQ(network.session(1), session);
  EXPECT_EQ(network.hosts[1]->receivable.size(), 2U);
  const auto confirmed = [&] { return network.session(0)->peer_sid() != session->local_sid(); };
  EXPECT_TRUE(network.run_until(confirmed, milliseconds(11))) << "the caller knows nothing of it";
}

TEST(Receive, WithoutNumbersLeftAGoodbyeIsSilentAndTheKeysGoAllTheSame) {
  Network network;
  connect_two(network, true, false);
  network.run_for(seconds(1));
  use_up_control_numbers(*network.session(1));
  network.record = true;
  network.close(1);
  EXPECT_TRUE(network.sent.empty());
  EXPECT_TRUE(network.hosts[1]->receivable.empty());
}

TEST(Receive, ASessionWithoutNumbersLeftIsReplaced) {
  Network network;
  connect_two(network, true, false);
  network.run_for(seconds(1));
  const auto session = network.session(0);
  use_up_control_numbers(*session);
  EXPECT_TRUE(network.run_until([&] { return network.session(0) != session && network.agreed(); }, seconds(1)));
}

}  // namespace
}  // namespace centipede::control::test
