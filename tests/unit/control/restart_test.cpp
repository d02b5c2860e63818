// What a host remembers over a restart, and what follows from clocks that jump.
#include <gtest/gtest.h>

#include "network.h"

namespace centipede::control::test {
namespace {

constexpr int64_t year_ns = int64_t{365} * 86'400 * 1'000'000'000;
using Disk = Network::Disk;

void restart_both_sides_of(Network& network, size_t host, size_t peer, std::vector<Endpoint> endpoints, Disk disk) {
  network.restart(host, disk);
  network.add_peer(host, peer, std::move(endpoints));
}

TEST(Restart, ARecordedInitiationIsSilenceAfterIt) {  // m1_replay_after_restart
  for (const Disk disk : {Disk::kept, Disk::lost}) {
    Network network;
    Packet recorded;
    network.on_packet = [&](Packet& packet) {
      if (packet.is_initiation()) recorded = packet;
      return true;
    };
    connect_two(network, true, false);
    network.run_for(seconds(2));
    ASSERT_TRUE(network.agreed());
    restart_both_sides_of(network, 1, 0, {}, disk);
    network.record = true;
    network.deliver(recorded);
    const bool silent = network.sent.empty() && network.hosts[1]->receivable.empty();
    EXPECT_EQ(silent, disk == Disk::kept);
  }
}

TEST(Restart, WithTheClockAYearBackACallerIsBelievedIfItsDiskIsThere) {  // clock_back_1y
  for (const Disk disk : {Disk::kept, Disk::lost}) {
    Network network;
    connect_two(network, true, false);
    network.run_for(seconds(2));
    ASSERT_TRUE(network.agreed());
    network.hosts[0]->wall_offset_ns = -year_ns;
    restart_both_sides_of(network, 0, 1, {at("10.1.0.2")}, disk);
    // The listener forgets the paths first, so that it is the caller who has to be believed.
    network.on_packet = [](Packet& packet) { return !(packet.from == 1 && packet.is_initiation()); };
    EXPECT_EQ(network.run_until([&] { return network.agreed(); }, seconds(10)), disk == Disk::kept);
  }
}

// The listener is started anew, and its peer has not noticed.
TEST(Restart, WhoHasNoEndpointOfItsPeerCallsWhereThatWasLast) {
  for (const bool told : {true, false}) {
    Network network;
    connect_two(network, true, false);
    network.run_for(seconds(2));
    ASSERT_TRUE(network.agreed());
    restart_both_sides_of(network, 1, 0, {}, Disk::kept);
    if (told) network.controller(1).set_last_addresses(identity(0).public_key(), {at("10.1.0.1")}, network.time(1));
    network.settle(1);
    EXPECT_EQ(network.run_until([&] { return network.agreed(); }, milliseconds(500)), told);
    if (!told) continue;
    network.run_for(seconds(2));
    const auto paths = network.controller(1).status(network.time(1)).front().paths;
    ASSERT_EQ(paths.size(), 1U);
    EXPECT_EQ(paths.front().state, PathState::active);
    EXPECT_FALSE(paths.front().configured) << "an address of before is no endpoint";
    EXPECT_TRUE(network.controller(1).peers().front().endpoints.empty());
  }
}

TEST(Restart, WhereAPeerWasLastIsForgottenWhenNobodyIsThere) {
  Network network;
  connect_two(network, false, false);
  network.set_uplink(0, 0, {"10.1.0.7"});
  network.controller(1).set_last_addresses(identity(0).public_key(), {at("10.1.0.1")}, network.time(1));
  network.controller(1).set_last_addresses(identity(3).public_key(), {at("10.1.0.1")}, network.time(1));
  network.settle(1);
  network.run_for(seconds(600));
  network.record = true;
  network.run_for(seconds(600));
  EXPECT_TRUE(network.sent.empty());
}

TEST(Restart, ReservationsAreSeldomAndAlwaysAhead) {
  Network network;
  connect_two(network, true, false);
  network.on_packet = [](Packet& packet) { return !packet.is_response(); };
  int writes = 0;
  uint64_t limit = 0;
  const Instant end = network.now + seconds(600);
  while (network.now < end) {
    network.run_until(std::min(end, network.now + milliseconds(100)), [] { return false; });
    const uint64_t kept = network.hosts[0]->kept.sent_limit_ns;
    if (kept != limit) ++writes;
    limit = kept;
    ASSERT_GT(kept, network.time(0).wall.ns - 31'000'000'000U);
  }
  EXPECT_GE(writes, 10);
  EXPECT_LE(writes, 21) << "a minute at a time, in calls half a minute apart";
}

TEST(Restart, NoTimestampIsEverSentTwiceOverThousandRestartsAndJumps) {
  Network network;
  network.add_host();
  network.add_host();
  network.set_uplink(0, 0, {"10.1.0.1"});
  network.set_uplink(1, 0, {"10.1.0.2"});
  network.add_peer(1, 0, {});
  uint64_t last = 0;
  network.on_packet = [&](Packet& packet) {
    if (!packet.is_initiation()) return false;
    const auto opened = crypto::OpenedInitiation::open(identity(1), packet.bytes);
    EXPECT_GT(opened->claimed_timestamp_ns(), last);
    last = opened->claimed_timestamp_ns();
    return false;
  };
  for (int i = 0; i < 1000; ++i) {
    network.hosts[0]->wall_offset_ns = static_cast<int64_t>(network.random.below(1'000'000'000'000)) - 500'000'000'000;
    restart_both_sides_of(network, 0, 1, {at("10.1.0.2")}, Disk::kept);
    network.run_for(milliseconds(network.random.below(3000)));
  }
  EXPECT_GT(last, 0U);
}

TEST(Restart, ImpossibleStateLocksNobodyIn) {
  Network network;
  network.add_host();
  network.add_host();
  network.hosts[0]->kept.sent_limit_ns = UINT64_MAX;
  network.restart(0, Disk::kept);
  network.set_uplink(0, 0, {"10.1.0.1"});
  network.set_uplink(1, 0, {"10.1.0.2"});
  network.add_peer(1, 0, {});
  network.add_peer(0, 1, {at("10.1.0.2")});
  EXPECT_TRUE(network.run_until([&] { return network.agreed(); }, seconds(2)));
}

// Each start begins above what the one before reserved; that must not add up.
TEST(Restart, AThousandCrashesInTenMinutesKeepTimestampsNearTheClock) {
  for (const Duration life : {milliseconds(600), milliseconds(3000), milliseconds(40'000)}) {
    Network network;
    network.add_host();
    network.add_host();
    network.set_uplink(0, 0, {"10.1.0.1"});
    network.set_uplink(1, 0, {"10.1.0.2"});
    network.add_peer(1, 0, {});
    for (int start = 0; start < 1000; ++start) {
      network.restart(0, Network::Disk::kept);
      network.add_peer(0, 1, {at("10.1.0.2")});
      network.run_for(life);
    }
    const uint64_t ahead = network.hosts[0]->kept.sent_limit_ns - network.time(0).wall.ns;
    // A minute is what a start reserves that has the clock's time; faster than once a second each adds a second and a
    // little, since timestamps are rounded.
    const auto faster = std::max(Duration::zero(), 1000 * (milliseconds(1035) - life));
    EXPECT_LE(static_cast<int64_t>(ahead), nanoseconds(seconds(61) + faster).count()) << life.count() << " ns";
  }
}

crypto::SecretKey key() {
  crypto::SecretKey secret;
  secret.data()[0] = 9;
  return secret;
}

TEST(PresharedKeyFile, IsReadAnewAtEachHandshake) {
  Network network;
  network.add_host();
  network.add_host();
  const auto write = [&](size_t host, uint8_t byte) {
    crypto::SecretKey key;
    key.data()[0] = byte;
    network.hosts[host]->key_files.files.insert_or_assign("psk", std::move(key));
  };
  write(0, 1);
  write(1, 1);
  network.set_uplink(0, 0, {"10.1.0.1"});
  network.set_uplink(1, 0, {"10.1.0.2"});
  network.add_peer(1, 0, {});
  network.add_peer(0, 1, {at("10.1.0.2")});
  ASSERT_TRUE(network.run_until([&] { return network.agreed(); }, seconds(1)));
  const auto first = network.session(0);

  write(0, 2);  // one side is a little later than the other
  network.run_for(seconds(125));
  EXPECT_EQ(network.session(0), first) << "different keys make no session; the old one goes on";
  write(1, 2);
  EXPECT_TRUE(network.run_until([&] { return network.session(0) != first && network.agreed(); }, seconds(40)));
  EXPECT_GE(network.hosts[1]->key_files.reads, 3);
}

TEST(PresharedKeyFile, WithNobodyToReadItLeavesTheKeyOfTheSettingsInForce) {
  Network network;
  network.add_host();
  network.add_host();
  network.hosts[1]->key_files.files.emplace("psk", key());
  network.hosts[0]->controller = std::make_unique<Controller>(Settings{.identity = identity(0).clone(), .params = {}},
                                                              network.hosts[0]->randomness);
  network.set_uplink(0, 0, {"10.1.0.1"});
  network.set_uplink(1, 0, {"10.1.0.2"});
  network.add_peer(1, 0, {});
  PeerSettings peer{.name = "x",
                    .public_key = identity(1).public_key(),
                    .preshared_key = std::make_shared<const crypto::SecretKey>(key()),
                    .preshared_key_file = "psk",
                    .endpoints = {at("10.1.0.2")}};
  ASSERT_TRUE(network.controller(0).add_peer(std::move(peer), network.time(0)).has_value());
  network.settle(0);
  EXPECT_TRUE(network.run_until([&] { return network.agreed(); }, seconds(1)));
}

TEST(PresharedKeyFile, ThatCannotBeReadLeavesTheLastKeyInForceAndSaysSoOnce) {
  Network network;
  network.add_host();
  network.add_host();
  for (const size_t host : {0, 1})
    network.hosts[host]->key_files.files.emplace("psk", crypto::SecretKey{});
  network.set_uplink(0, 0, {"10.1.0.1"});
  network.set_uplink(1, 0, {"10.1.0.2"});
  network.add_peer(1, 0, {});
  network.add_peer(0, 1, {at("10.1.0.2")});
  network.run_for(seconds(1));
  network.hosts[1]->key_files.files.clear();
  network.run_for(seconds(300));
  EXPECT_TRUE(network.agreed());
  EXPECT_EQ(std::ranges::count_if(network.hosts[1]->log,
                                  [](const auto& line) { return line.find("psk") != std::string::npos; }),
            1);
}

TEST(PresharedKeyFile, ThatGoesBeforeTheFirstHandshakeIsInForceAsItWasWhenThePeerWasAdded) {
  Network network;
  network.add_host();
  network.add_host();
  for (const size_t host : {0, 1})
    network.hosts[host]->key_files.files.emplace("psk", key());
  network.set_uplink(0, 0, {"10.1.0.1"});
  network.set_uplink(1, 0, {"10.1.0.2"});
  network.add_peer(1, 0, {});
  network.hosts[1]->key_files.files.clear();
  network.add_peer(0, 1, {at("10.1.0.2")});
  EXPECT_TRUE(network.run_until([&] { return network.agreed(); }, seconds(1)));
}

TEST(PresharedKeyFile, ThatCannotBeReadFirstIsRefused) {
  Network network;
  network.add_host();
  const auto refused = [&](Controller& controller) {
    const PeerSettings peer{.name = "x", .public_key = identity(1).public_key(), .preshared_key_file = "psk"};
    const auto added = controller.add_peer(peer, network.time(0));
    ASSERT_FALSE(added.has_value());
    EXPECT_NE(added.error().text.find("peer x: psk holds no readable key"), std::string::npos) << added.error().text;
    EXPECT_FALSE(controller.check_peers({peer}).has_value());
    EXPECT_FALSE(controller.set_peers({peer}, network.time(0)).has_value());
    EXPECT_TRUE(controller.peers().empty());
  };
  refused(network.controller(0));
  Controller without_files(Settings{.identity = identity(0).clone(), .params = {}}, network.hosts[0]->randomness);
  refused(without_files);
}

}  // namespace
}  // namespace centipede::control::test
