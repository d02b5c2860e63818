// Peers, endpoints and paths that change while the controller runs: what stays, what is refused, what is remembered.
#include <gtest/gtest.h>

#include <cerrno>
#include <set>

#include "network.h"

namespace centipede::control::test {
namespace {

Prefix net(const std::string& text) {
  return *Prefix::parse(text);
}

Result<std::vector<PeerChange>> set_peers(Network& network, size_t host, std::vector<PeerSettings> peers) {
  auto changes = network.controller(host).set_peers(std::move(peers), network.time(host));
  network.settle(host);
  return changes;
}

// With `edit` done to the settings of the host's only peer.
template <class Edit>
void edit_peer(Network& network, size_t host, Edit edit) {
  auto peers = network.controller(host).peers();
  ASSERT_EQ(peers.size(), 1U);
  edit(peers[0]);
  const auto changes = set_peers(network, host, std::move(peers));
  ASSERT_TRUE(changes.has_value()) << changes.error().text;
}

std::shared_ptr<const crypto::SecretKey> preshared(uint8_t first) {
  crypto::SecretKey key;
  key.data()[0] = first;
  return std::make_shared<const crypto::SecretKey>(std::move(key));
}

std::set<UplinkId> sending_on(const Network& network, size_t host) {
  std::set<UplinkId> uplinks;
  for (const DataPath& path : network.peer(host)->send_paths)
    uplinks.insert(path.uplink);
  return uplinks;
}

// Those that cross from link to link reach nobody.
bool on_link(const IpAddress& local, const Endpoint& remote, UplinkId uplink) {
  return local.bytes()[1] == uplink + 1 && remote.address.bytes()[1] == uplink + 1;
}

PathStatus path_on(const Network& network, size_t host, UplinkId uplink) {
  for (const PathStatus& row : network.status(host).paths)
    if (on_link(row.local, row.remote, uplink)) return row;
  ADD_FAILURE() << "no path on link " << int{uplink};
  return {};
}

void connect_over_two_links(Network& network, Policy policy = Policy::redundant) {
  add_two_with_two_links(network);
  network.add_peer(1, 0, {}, policy);
  network.add_peer(0, 1, {at("10.1.0.2"), at("10.2.0.2")}, policy);
  network.on_packet = same_link;
  network.run_for(seconds(3));
  ASSERT_EQ(network.paths_in(0, PathState::active), 2U);
}

TEST(LiveChanges, APeerThatStaysKeepsItsSessionAndItsPaths) {
  Network network;
  connect_over_two_links(network);
  const auto session = network.session(0);
  const auto counters = network.peer(0)->paths.at(0).counters;
  edit_peer(network, 0, [](PeerSettings& peer) {
    peer.name = "another name";
    peer.allowed_ips = {net("10.10.0.2/32"), net("192.168.0.0/16")};
    peer.policy = Policy::backup;
    peer.preshared_key = preshared(1);
    peer.endpoints.push_back(at("10.1.0.9"));
    peer.paths = {{.uplink = "eth1", .enabled = true, .priority = 7}};
  });
  EXPECT_EQ(network.session(0), session);
  EXPECT_EQ(network.peer(0)->paths.at(0).counters, counters);
  EXPECT_EQ(sending_on(network, 0).size(), 1U) << "policy backup";
  const PeerStatus status = network.status(0);
  EXPECT_EQ(status.name, "another name");
  EXPECT_EQ(status.policy, Policy::backup);
  EXPECT_TRUE(status.preshared);
  EXPECT_EQ(status.endpoints, (std::vector<std::string>{"10.1.0.2:5820", "10.2.0.2:5820", "10.1.0.9:5820"}));
  EXPECT_EQ(network.paths_in(0, PathState::active), 2U);
  EXPECT_EQ(std::ranges::count(status.paths, at("10.1.0.9"), &PathStatus::remote), 2) << "from either address";
  const uint8_t inner[4] = {192, 168, 3, 4};
  EXPECT_EQ(network.controller(0).forwarding().routes->lookup_v4(inner), 0U);
}

TEST(LiveChanges, WhatIsSaidOfThemIsWhatWasDone) {
  Network network;
  network.add_host();
  const PeerSettings first{.name = "first", .public_key = identity(1).public_key()};
  const PeerSettings second{.name = "second", .public_key = identity(2).public_key()};
  PeerSettings edited = first;
  edited.policy = Policy::backup;
  const auto told = [&](std::vector<PeerSettings> peers) {
    std::string all;
    const auto changes = set_peers(network, 0, std::move(peers));
    EXPECT_TRUE(changes.has_value());
    for (const PeerChange& one : *changes)
      all += one.peer + " " + one.what + ". ";
    return all;
  };
  EXPECT_EQ(told({first, second}), "first added. second added. ");
  EXPECT_EQ(told({first, second}), "");
  EXPECT_EQ(told({second, edited}), "first policy changed. ");
  EXPECT_EQ(network.controller(0).peers().at(1).name, "first") << "in the order that they were given in";
  EXPECT_EQ(told({second}), "first removed. ");
  EXPECT_EQ(told({}), "second removed. ");
  EXPECT_TRUE(network.controller(0).peers().empty());
}

TEST(LiveChanges, EveryFieldThatChangesIsNamed) {
  Network network;
  network.add_host();
  network.hosts[0]->key_files.files.emplace("psk", crypto::SecretKey{});
  PeerSettings peer{.name = "a", .public_key = identity(1).public_key()};
  const auto changed = [&](auto edit) {
    edit(peer);
    const auto changes = set_peers(network, 0, {peer});
    EXPECT_TRUE(changes.has_value());
    return changes->size() == 1 ? changes->at(0).what : "nothing";
  };
  EXPECT_EQ(changed([](auto&) {}), "added");
  EXPECT_EQ(changed([](auto&) {}), "nothing");
  EXPECT_EQ(changed([](auto& p) { p.name = "b"; }), "name changed");
  EXPECT_EQ(changed([](auto& p) { p.preshared_key = preshared(1); }), "preshared_key changed");
  EXPECT_EQ(changed([](auto& p) { p.preshared_key = preshared(1); }), "nothing") << "the same bytes";
  EXPECT_EQ(changed([](auto& p) { p.preshared_key = preshared(2); }), "preshared_key changed");
  EXPECT_EQ(changed([](auto& p) { p.preshared_key = nullptr; }), "preshared_key changed");
  EXPECT_EQ(changed([](auto& p) { p.preshared_key_file = "psk"; }), "preshared_key, preshared_key_file changed");
  EXPECT_EQ(changed([](auto& p) { p.allowed_ips = {net("10.0.0.0/8")}; }), "allowed_ips changed");
  EXPECT_EQ(changed([](auto& p) { p.endpoints = {at("10.1.0.2")}; }), "endpoints changed");
  EXPECT_EQ(changed([](auto& p) { p.host_endpoints = {{"vpn.example.org", port}}; }), "endpoints changed");
  EXPECT_EQ(changed([](auto& p) { p.policy = Policy::backup; }), "policy changed");
  EXPECT_EQ(changed([](auto& p) { p.paths = {{.uplink = "eth0", .priority = 1}}; }), "paths changed");
}

TEST(LiveChanges, TwoPeersSwapANetworkInOneChange) {
  Network network;
  network.add_host();
  PeerSettings a{.name = "a", .public_key = identity(1).public_key(), .allowed_ips = {net("10.1.0.0/16")}};
  PeerSettings b{.name = "b", .public_key = identity(2).public_key(), .allowed_ips = {net("10.2.0.1/32")}};
  ASSERT_TRUE(set_peers(network, 0, {a, b}).has_value());
  const auto before = network.controller(0).forwarding().routes;
  std::swap(a.allowed_ips, b.allowed_ips);
  ASSERT_TRUE(set_peers(network, 0, {a, b}).has_value());
  const auto after = network.controller(0).forwarding().routes;
  const uint8_t in_10_1[4] = {10, 1, 2, 3};
  const uint8_t in_10_2[4] = {10, 2, 0, 1};
  EXPECT_EQ(after->lookup_v4(in_10_1), 1U);
  EXPECT_EQ(after->lookup_v4(in_10_2), 0U);
  EXPECT_EQ(before->lookup_v4(in_10_1), 0U) << "what workers hold stays as it was";
}

TEST(LiveChanges, AListThatCannotBeIsRefusedWithItsReasonAndChangesNothing) {
  Network network;
  network.add_host();
  const PeerSettings a{.name = "a", .public_key = identity(1).public_key(), .allowed_ips = {net("10.1.0.0/16")}};
  const PeerSettings b{.name = "b", .public_key = identity(2).public_key(), .allowed_ips = {net("10.2.0.0/16")}};
  ASSERT_TRUE(set_peers(network, 0, {a, b}).has_value());
  const auto refused = [&](int code, const std::string& words, std::vector<PeerSettings> peers) {
    const auto changes = set_peers(network, 0, std::move(peers));
    ASSERT_FALSE(changes.has_value()) << words;
    EXPECT_EQ(changes.error().code, code) << changes.error().text;
    EXPECT_NE(changes.error().text.find(words), std::string::npos) << changes.error().text;
    const auto peers_now = network.controller(0).peers();
    ASSERT_EQ(peers_now.size(), 2U);
    EXPECT_EQ(peers_now[0].name, "a");
    EXPECT_EQ(peers_now[1].allowed_ips, b.allowed_ips);
  };
  const auto changed = [](PeerSettings peer, auto change) {
    change(peer);
    return peer;
  };
  const auto c = [&](auto change) { return changed({.name = "c", .public_key = identity(3).public_key()}, change); };
  refused(EINVAL, "our own", {a, c([](auto& p) { p.public_key = identity(0).public_key(); })});
  refused(EINVAL, "no public key", {a, c([](auto& p) { p.public_key = {}; })});
  refused(EEXIST, "has this public key", {a, c([](auto& p) { p.public_key = identity(1).public_key(); })});
  refused(EEXIST, "has this name", {a, c([](auto& p) { p.name = "a"; })});
  refused(EEXIST, "another peer's public key", {a, c([](auto& p) { p.name = identity(1).public_key().base64(); })});
  refused(EEXIST, "peer a has the network 10.1.0.0/16",
          {a, b, c([](auto& p) { p.allowed_ips = {net("10.1.0.0/16")}; })});
  refused(EINVAL, "beyond its length", {a, c([](auto& p) { p.allowed_ips = {net("10.3.0.1/16")}; })});
  refused(EINVAL, "no address", {a, c([](auto& p) { p.allowed_ips = {Prefix{}}; })});
  refused(EINVAL, "lacks address or port", {a, c([](auto& p) { p.endpoints = {at("10.1.0.2", 0)}; })});
  refused(EINVAL, "lacks name or port", {a, c([](auto& p) { p.host_endpoints = {{"", 5820}}; })});
  refused(EINVAL, "no uplink", {a, c([](auto& p) { p.paths = {{.uplink = "", .priority = {}}}; })});
  refused(EINVAL, "eth0 has settings twice",
          {a, c([](auto& p) { p.paths = {{.uplink = "eth0", .priority = {}}, {.uplink = "eth0", .priority = {}}}; })});
  refused(EINVAL, "no-such-file", {a, c([](auto& p) { p.preshared_key_file = "no-such-file"; })});
}

TEST(LiveChanges, AnEndpointThatIsGoneLeavesItsPathAsALearnedOne) {
  Network network;
  connect_over_two_links(network);
  edit_peer(network, 0, [](PeerSettings& peer) { peer.endpoints.pop_back(); });
  EXPECT_TRUE(path_on(network, 0, 0).configured);
  EXPECT_FALSE(path_on(network, 0, 1).configured);
  EXPECT_EQ(sending_on(network, 0).size(), 2U);
  network.on_packet = [](const Packet& packet) { return same_link(packet) && packet.source.address.bytes()[1] == 1; };
  network.run_for(seconds(600));
  EXPECT_EQ(network.status(0).paths.size(), 2U) << "it is long down: only what the other endpoint has is left";
  edit_peer(network, 0, [](PeerSettings& peer) { peer.endpoints.push_back(at("10.2.0.2")); });
  network.on_packet = same_link;
  network.run_for(seconds(6));
  EXPECT_TRUE(path_on(network, 0, 1).configured);
  EXPECT_EQ(sending_on(network, 0).size(), 2U);
}

TEST(LiveChanges, ADisabledPathHasHeartbeatsAndNoData) {
  for (const Policy policy : {Policy::redundant, Policy::backup}) {
    Network network;
    connect_over_two_links(network, policy);
    ASSERT_TRUE(sending_on(network, 0).contains(0));
    edit_peer(network, 0,
              [](PeerSettings& peer) { peer.paths = {{.uplink = "eth0", .enabled = false, .priority = {}}}; });
    EXPECT_EQ(sending_on(network, 0), std::set<UplinkId>{1});
    EXPECT_FALSE(path_on(network, 0, 0).enabled);
    network.run_for(seconds(20));
    EXPECT_EQ(path_on(network, 0, 0).state, PathState::active);
    EXPECT_EQ(sending_on(network, 0), std::set<UplinkId>{1});
    // The last one goes: what is sent is not taken where the user forbids it.
    network.on_packet = [](const Packet& packet) { return same_link(packet) && packet.source.address.bytes()[1] == 1; };
    network.run_for(seconds(20));
    EXPECT_EQ(sending_on(network, 0), std::set<UplinkId>{1}) << "the last resort";
    edit_peer(network, 0,
              [](PeerSettings& peer) { peer.paths.push_back({.uplink = "eth1", .enabled = false, .priority = {}}); });
    EXPECT_TRUE(sending_on(network, 0).empty());
    edit_peer(network, 0, [](PeerSettings& peer) { peer.paths.clear(); });
    EXPECT_EQ(sending_on(network, 0), std::set<UplinkId>{0});
  }
}

TEST(LiveChanges, PrioritiesOfPathsAndOfUplinksCountAtOnce) {
  Network network;
  connect_over_two_links(network, Policy::backup);
  ASSERT_EQ(sending_on(network, 0), std::set<UplinkId>{0});
  EXPECT_EQ(path_on(network, 0, 1).priority, 1U);
  edit_peer(network, 0, [](PeerSettings& peer) { peer.paths = {{.uplink = "eth0", .enabled = true, .priority = 2}}; });
  EXPECT_EQ(sending_on(network, 0), std::set<UplinkId>{1});
  EXPECT_EQ(path_on(network, 0, 0).priority, 2U);
  network.set_uplink(0, 1, {"10.2.0.1"}, 3);
  EXPECT_EQ(sending_on(network, 0), std::set<UplinkId>{0});
  network.set_uplink(0, {.id = 0, .name = "eth0", .usable = true, .addresses = {ip("10.1.0.1")}, .metered = true});
  EXPECT_EQ(sending_on(network, 0), std::set<UplinkId>{1}) << "what costs money comes last";
}

TEST(LiveChanges, ARecordedCallStaysStaleWhenItsPeerIsRemovedAndAddedAgain) {
  for (const bool restarted : {false, true}) {
    Network network;
    Packet recorded;
    network.on_packet = [&](Packet& packet) {
      if (packet.is_initiation()) recorded = packet;
      return true;
    };
    connect_two(network, true, false);
    network.run_for(seconds(2));
    ASSERT_TRUE(network.agreed());
    const auto peers = network.controller(1).peers();
    ASSERT_TRUE(set_peers(network, 1, {}).has_value());
    if (restarted) network.restart(1, Network::Disk::kept);
    ASSERT_TRUE(set_peers(network, 1, peers).has_value());
    network.record = true;
    network.deliver(recorded);
    EXPECT_TRUE(network.sent.empty());
    EXPECT_TRUE(network.hosts[1]->receivable.empty());
    EXPECT_EQ(network.controller(1).counters().stale_timestamp, 1U);
  }
}

TEST(LiveChanges, APeerAddedAgainIsCalledWithANewerTimestampThoughTheClockWasSetBack) {
  Network network;
  connect_two(network, true, false);
  network.run_for(seconds(2));
  ASSERT_TRUE(network.agreed());
  const auto peers = network.controller(0).peers();
  ASSERT_TRUE(set_peers(network, 0, {}).has_value());
  network.hosts[0]->wall_offset_ns = -int64_t{86'400'000'000'000};
  ASSERT_TRUE(set_peers(network, 0, peers).has_value());
  EXPECT_TRUE(network.run_until([&] { return network.peer(0, 1)->send_session != nullptr; }, seconds(5)));
}

TEST(LiveChanges, ANewPresharedKeyCountsFromTheNextHandshake) {
  for (const bool both : {true, false}) {
    Network network;
    connect_two(network, true, true);
    network.run_for(seconds(2));
    const auto session = network.session(0);
    ASSERT_TRUE(network.agreed());
    edit_peer(network, 0, [](PeerSettings& peer) { peer.preshared_key = preshared(1); });
    if (both) edit_peer(network, 1, [](PeerSettings& peer) { peer.preshared_key = preshared(1); });
    network.run_for(seconds(100));
    EXPECT_EQ(network.session(0), session);
    network.run_for(seconds(100));
    EXPECT_EQ(network.agreed(), both);
    EXPECT_NE(network.session(0), session);
  }
}

TEST(LiveChanges, NamesAreWantedUntilTheyAreResolvedAndWheneverNoPathIsUp) {
  Network network;
  add_two_with_two_links(network);
  network.add_peer(1, 0, {});
  const HostEndpoint host{"vpn.example.org", port};
  const PeerSettings peer{.name = "x", .public_key = identity(1).public_key(), .host_endpoints = {host}};
  ASSERT_TRUE(set_peers(network, 0, {peer}).has_value());
  Controller& controller = network.controller(0);
  const auto resolve = [&](std::vector<Endpoint> endpoints) {
    controller.set_resolved(0, {host}, std::move(endpoints), network.time(0));
    network.settle(0);
  };
  ASSERT_EQ(controller.unresolved().size(), 1U);
  EXPECT_EQ(controller.unresolved()[0].hosts, std::vector{host});
  network.run_for(seconds(10));
  EXPECT_EQ(network.session(0), nullptr) << "nowhere to call";
  bool cut = false;
  network.on_packet = [&cut](const Packet& packet) {
    return same_link(packet) && !(cut && packet.source.address.bytes()[1] == 1);
  };
  resolve({at("10.1.0.2")});
  EXPECT_EQ(controller.unresolved().size(), 1U) << "not up yet";
  ASSERT_TRUE(network.run_until([&] { return network.agreed(); }, seconds(2)));
  ASSERT_TRUE(network.run_until([&] { return controller.unresolved().empty(); }, seconds(2)));
  EXPECT_EQ(network.status(0).endpoints, std::vector<std::string>{"vpn.example.org:5820"});

  // Its address changes: what works is kept, and the new one is taken.
  resolve({at("10.2.0.2")});
  network.run_for(seconds(2));
  EXPECT_EQ(network.paths_in(0, PathState::active), 2U);
  EXPECT_FALSE(path_on(network, 0, 0).configured);
  EXPECT_TRUE(path_on(network, 0, 1).configured);
  resolve({at("10.1.0.2")});
  cut = true;
  network.on_packet = [](const Packet&) { return false; };
  ASSERT_TRUE(network.run_until([&] { return !controller.unresolved().empty(); }, seconds(10)));

  edit_peer(network, 0, [](PeerSettings& one) { one.host_endpoints.clear(); });
  EXPECT_TRUE(controller.unresolved().empty());
  controller.set_resolved(77, {host}, {at("10.1.0.2")}, network.time(0));  // a peer that has gone meanwhile
}

TEST(LiveChanges, AddressesOfNamesThatThePeerHasNoMoreAreNotCalled) {
  Network network;
  add_two_with_two_links(network);
  network.on_packet = same_link;
  network.add_peer(1, 0, {});
  const HostEndpoint old_name{"old.example.org", port};
  const HostEndpoint new_name{"new.example.org", port};
  const PeerSettings peer{.name = "x", .public_key = identity(1).public_key(), .host_endpoints = {old_name}};
  ASSERT_TRUE(set_peers(network, 0, {peer}).has_value());
  const auto resolve = [&](const HostEndpoint& name, Endpoint endpoint) {
    network.controller(0).set_resolved(0, {name}, {endpoint}, network.time(0));
    network.settle(0);
  };
  const auto rename = [&](const HostEndpoint& name) {
    edit_peer(network, 0, [&](PeerSettings& one) { one.host_endpoints = {name}; });
  };
  rename(new_name);
  resolve(old_name, at("10.1.0.2"));  // asked before the change
  EXPECT_TRUE(network.status(0).paths.empty());
  network.run_for(seconds(5));
  EXPECT_EQ(network.session(0), nullptr);

  // Those that were known before the change: one that works is kept, as a learned one.
  rename(old_name);
  resolve(old_name, at("10.1.0.2"));
  ASSERT_TRUE(network.run_until([&] { return network.agreed(); }, seconds(2)));
  rename(new_name);
  EXPECT_FALSE(path_on(network, 0, 0).configured);
  network.run_for(seconds(2));
  EXPECT_EQ(network.paths_in(0, PathState::active), 1U);
  EXPECT_EQ(network.controller(0).unresolved().size(), 1U);
}

TEST(LiveChanges, AProbeTellsTheRoundTripOfItsOwn) {
  Network network;
  connect_over_two_links(network);
  network.on_packet = [&](Packet& packet) {
    if (packet.source.address.bytes()[1] == 2) packet.extra_delay = milliseconds(30);
    return same_link(packet);
  };
  Controller& controller = network.controller(0);
  auto probes = controller.probe(0, network.time(0));
  network.settle(0);
  ASSERT_EQ(probes.size(), 4U);
  EXPECT_EQ(std::ranges::count(probes, true, &PathProbe::sending), 2);
  controller.answers(0, probes);
  const auto rtt_on = [&](UplinkId uplink) -> std::optional<Duration> {
    for (const PathProbe& probe : probes)
      if (on_link(probe.route.local, probe.route.remote, uplink)) return probe.rtt;
    return std::nullopt;
  };
  EXPECT_FALSE(rtt_on(0));
  network.run_for(milliseconds(100));
  controller.answers(0, probes);
  EXPECT_EQ(rtt_on(0), milliseconds(20));
  EXPECT_EQ(rtt_on(1), milliseconds(80)) << "not the 20 ms of those before";

  network.on_packet = [](const Packet& packet) { return same_link(packet) && packet.source.address.bytes()[1] == 1; };
  probes = controller.probe(0, network.time(0));
  network.settle(0);
  network.run_for(seconds(1));
  controller.answers(0, probes);
  EXPECT_EQ(rtt_on(0), milliseconds(20));
  EXPECT_FALSE(rtt_on(1));
  EXPECT_TRUE(controller.probe(7, network.time(0)).empty());
}

TEST(LiveChanges, LatenessIsMeasuredAgainstTheEarliestPath) {
  Network network;
  connect_over_two_links(network);
  network.on_packet = [&](Packet& packet) {
    if (packet.from == 1 && packet.source.address.bytes()[1] == 2) packet.extra_delay = milliseconds(30);
    return same_link(packet);
  };
  network.run_for(seconds(30));
  EXPECT_EQ(path_on(network, 0, 0).late, Duration::zero());
  ASSERT_TRUE(path_on(network, 0, 1).late);
  EXPECT_NEAR(static_cast<double>(path_on(network, 0, 1).late->count()), 30e6, 1e5);
  EXPECT_EQ(path_on(network, 1, 1).late, Duration::zero()) << "the other way is as fast";
  network.on_packet = [](const Packet& packet) { return same_link(packet) && packet.source.address.bytes()[1] == 1; };
  network.run_for(seconds(5));
  EXPECT_FALSE(path_on(network, 0, 0).late) << "nothing to compare with";
}

TEST(LiveChanges, PeersAreFoundByNameAndByKey) {
  Network network;
  network.add_host();
  const PeerSettings named{.name = "office", .public_key = identity(1).public_key()};
  const PeerSettings unnamed{.name = "", .public_key = identity(2).public_key()};
  ASSERT_TRUE(set_peers(network, 0, {named, unnamed}).has_value());
  const Controller& controller = network.controller(0);
  EXPECT_EQ(controller.find_peer("office"), 0U);
  EXPECT_EQ(controller.find_peer(identity(1).public_key().base64()), 0U);
  EXPECT_EQ(controller.find_peer(identity(2).public_key().base64()), 1U);
  EXPECT_EQ(controller.find_peer("offic"), std::nullopt);
  EXPECT_EQ(controller.find_peer(""), std::nullopt);
  EXPECT_EQ(controller.peer_name(0), "office");
  EXPECT_EQ(controller.peer_name(9), "");
}

}  // namespace
}  // namespace centipede::control::test
