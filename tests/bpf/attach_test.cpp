// The program on real devices: veth pairs.
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <net/if.h>

#include <atomic>

#include "dataplane/device_queues.h"
#include "live_fixture.h"

namespace centipede::test {
namespace {

// flags: of which mode, any unless given.
uint32_t attached_program(unsigned ifindex, int flags = 0) {
  uint32_t id = 0;
  return bpf_xdp_query_id(static_cast<int>(ifindex), flags, &id) == 0 ? id : 0;
}

class AttachTest : public LiveTest {};

TEST_F(AttachTest, packets_reach_the_worker_of_their_lane) {
  const auto queue = open_uplink(*wire, 0);
  ASSERT_TRUE(queue);
  const XdpAttachment attachment = attach(*wire);
  EXPECT_TRUE(attachment.attached());
  const FileDescriptor socket = far_udp(*wire);
  for (uint64_t counter = 0; counter < 300; ++counter)
    ASSERT_TRUE(send(socket, static_cast<uint8_t>(counter % lanes), counter));
  std::array<std::vector<uint64_t>, live_workers> got;
  EXPECT_TRUE(eventually([&] {
    for (uint32_t worker = 0; worker < live_workers; ++worker)
      for (const uint64_t number : take(*queue, worker))
        got[worker].push_back(number);
    return got[0].size() + got[1].size() >= 300;
  }));
  EXPECT_EQ(got[0].size(), 200U) << "lanes 0 and 2";
  EXPECT_EQ(got[1].size(), 100U) << "lane 1";
  for (uint32_t worker = 0; worker < live_workers; ++worker)
    for (const uint64_t number : got[worker])
      EXPECT_EQ((number >> 56) % live_workers, worker) << number;
  EXPECT_EQ(counts(0)[CP_VERDICT_REDIRECTED], 300U);
  const auto worth = program->session_counters(counter_slot, 0);
  ASSERT_TRUE(worth);
  EXPECT_EQ(worth->redirected, 300U);
}

TEST_F(AttachTest, others_traffic_is_untouched) {
  const auto queue = open_uplink(*wire, 0);
  ASSERT_TRUE(queue);
  const XdpAttachment attachment = attach(*wire);
  const FileDescriptor near_udp = bound_socket(Transport::udp, 5353);
  const FileDescriptor other = far_udp(*wire, 5353);
  ASSERT_TRUE(send(other, 0, 1));
  std::array<uint8_t, 2048> buffer{};
  EXPECT_TRUE(eventually([&] { return recv(near_udp.get(), buffer.data(), buffer.size(), 0) == 100; }));

  const FileDescriptor listener = bound_socket(Transport::tcp, 8080);
  const FileDescriptor client = far_socket(*far, Transport::tcp, wire->near_address(), 8080);
  const FileDescriptor server(accept(listener.get(), nullptr, nullptr));
  std::vector<uint8_t> sent(200'000);
  for (size_t i = 0; i < sent.size(); ++i)
    sent[i] = static_cast<uint8_t>(i * 31);
  std::thread writer(
      [&] { EXPECT_EQ(::send(client.get(), sent.data(), sent.size(), 0), static_cast<ssize_t>(sent.size())); });
  std::vector<uint8_t> received(sent.size());
  EXPECT_EQ(recv(server.get(), received.data(), received.size(), MSG_WAITALL), static_cast<ssize_t>(sent.size()));
  writer.join();
  EXPECT_EQ(received, sent);
  EXPECT_GT(counts(0)[CP_VERDICT_FOREIGN], 10U);
  EXPECT_EQ(counts(0)[CP_VERDICT_REDIRECTED], 0U);
}

TEST_F(AttachTest, the_program_runs_in_the_driver_or_not_at_all) {
  {
    const XdpAttachment veth = attach(*wire);
    EXPECT_EQ(attached_program(wire->ifindex(), XDP_FLAGS_DRV_MODE), attached_program(wire->ifindex()));
    EXPECT_NE(attached_program(wire->ifindex()), 0U);
  }
  EXPECT_EQ(attached_program(wire->ifindex()), 0U) << "detached by the destructor";
  ASSERT_EQ(std::system("ip link add link n0 name upper0 type macvlan"), 0);
  for (const unsigned without_xdp : {loopback, if_nametoindex("upper0")}) {
    const auto refused = program->attach(without_xdp);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().text.find("native"), std::string::npos) << refused.error().text;
    EXPECT_EQ(attached_program(without_xdp), 0U);
  }
  ASSERT_EQ(std::system("ip link del upper0"), 0);
}

TEST_F(AttachTest, one_program_serves_two_devices_at_once) {
  const WirePair second(*far, 1);
  const auto first_queue = open_uplink(*wire, 0);
  const auto second_queue = open_uplink(second, 1);
  ASSERT_TRUE(first_queue && second_queue);
  XdpAttachment first = attach(*wire);
  const XdpAttachment other = attach(second);
  const FileDescriptor first_socket = far_udp(*wire);
  const FileDescriptor second_socket = far_udp(second);
  const auto arrives = [&](const FileDescriptor& socket, XskQueue& queue, uint64_t counter) {
    return send(socket, 0, counter) && eventually([&] {
             const auto numbers = take(queue, 0);
             return numbers.size() == 1 && numbers[0] == counter;
           });
  };
  EXPECT_TRUE(arrives(first_socket, *first_queue, 1));
  EXPECT_TRUE(arrives(second_socket, *second_queue, 2));
  first.detach();
  EXPECT_FALSE(first.attached());
  EXPECT_EQ(attached_program(wire->ifindex()), 0U);
  EXPECT_TRUE(arrives(second_socket, *second_queue, 3)) << "the other device goes on";
  EXPECT_EQ(counts(0)[CP_VERDICT_REDIRECTED], 1U);
  EXPECT_EQ(counts(1)[CP_VERDICT_REDIRECTED], 2U);
}

TEST_F(AttachTest, a_foreign_program_is_named_and_left_alone) {
  const FileDescriptor foreign = foreign_program();
  LIBBPF_OPTS(bpf_link_create_opts, options, .flags = XDP_FLAGS_DRV_MODE);
  const FileDescriptor link(bpf_link_create(foreign.get(), static_cast<int>(wire->ifindex()), BPF_XDP, &options));
  ASSERT_TRUE(link);
  const uint32_t id = attached_program(wire->ifindex());
  const auto refused = program->attach(wire->ifindex());
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().text.find("n0"), std::string::npos) << refused.error().text;
  EXPECT_NE(refused.error().text.find("somebody_elses (id " + std::to_string(id)), std::string::npos)
      << refused.error().text;
  EXPECT_EQ(attached_program(wire->ifindex()), id);
}

TEST_F(AttachTest, another_live_tunnels_program_is_joined_or_else_named_and_left_alone) {
  const XdpAttachment ours = attach(*wire);
  const auto other = XdpProgram::load({.tunnel = "other", .window_words = 64, .max_sessions = 1, .xsk_slots = 1});
  ASSERT_TRUE(other) << other.error().text;
  auto joined = (*other)->attach(wire->ifindex());
  ASSERT_EQ(joined.has_value(), program->dispatcher_possible());
  if (joined) {
    EXPECT_TRUE(joined->attached());
    EXPECT_TRUE(ours.attached());
    joined->detach();
    EXPECT_FALSE(joined->attached());
  } else {
    EXPECT_NE(joined.error().text.find(xdp_program_name), std::string::npos) << joined.error().text;
  }
  EXPECT_TRUE(ours.attached());
}

TEST_F(AttachTest, detaching_in_mid_traffic_moves_packets_to_the_udp_socket_intact) {
  const FileDescriptor near_udp = bound_socket(Transport::udp, tunnel_port);
  const auto queue = open_uplink(*wire, 0);
  ASSERT_TRUE(queue);
  XdpAttachment attachment = attach(*wire);
  const FileDescriptor socket = far_udp(*wire);
  std::atomic<bool> stop = false;
  std::thread sender([&] {
    for (uint64_t counter = 0; !stop; ++counter)
      (void)send(socket, static_cast<uint8_t>(counter % lanes), counter, 1300);
  });
  size_t through_xdp = 0;
  size_t through_udp = 0;
  size_t mangled = 0;
  const auto poll_both = [&] {
    for (uint32_t worker = 0; worker < live_workers; ++worker)
      for (const uint64_t number : take(*queue, worker))
        ++(number == UINT64_MAX ? mangled : through_xdp);
    std::array<uint8_t, 2048> buffer{};
    for (ssize_t size = 0; (size = recv(near_udp.get(), buffer.data(), buffer.size(), 0)) > 0;)
      ++(intact_number({buffer.data(), static_cast<size_t>(size)}) == UINT64_MAX ? mangled : through_udp);
  };
  for (int round = 0; round < 5; ++round) {
    const size_t xdp_before = through_xdp;
    EXPECT_TRUE(eventually([&] { return poll_both(), through_xdp >= xdp_before + 500; }));
    attachment.detach();
    const size_t udp_before = through_udp;
    EXPECT_TRUE(eventually([&] { return poll_both(), through_udp >= udp_before + 500; }));
    attachment = attach(*wire);
  }
  stop = true;
  sender.join();
  EXPECT_EQ(mangled, 0U);
}

TEST_F(AttachTest, closing_the_sockets_while_attached_moves_packets_to_the_udp_socket) {
  const FileDescriptor near_udp = bound_socket(Transport::udp, tunnel_port);
  auto queue = open_uplink(*wire, 0);
  const XdpAttachment attachment = attach(*wire);
  const FileDescriptor socket = far_udp(*wire);
  ASSERT_TRUE(send(socket, 0, 1));
  EXPECT_TRUE(eventually([&] { return take(*queue, 0).size() == 1; }));
  queue.reset();
  ASSERT_TRUE(send(socket, 0, 2));
  std::array<uint8_t, 2048> buffer{};
  EXPECT_TRUE(eventually([&] { return recv(near_udp.get(), buffer.data(), buffer.size(), 0) == 100; }));
  EXPECT_EQ(counts(0)[CP_VERDICT_NO_SOCKET], 1U);
  queue = open_uplink(*wire, 0);
  ASSERT_TRUE(queue) << "and the same queue can be opened again";
}

TEST_F(AttachTest, an_attachment_and_its_sockets_survive_their_device) {
  const auto queue = open_uplink(*wire, 0);
  ASSERT_TRUE(queue);
  XdpAttachment attachment = attach(*wire);
  testing::internal::CaptureStderr();
  wire->unplug();
  EXPECT_TRUE(eventually([&] { return !attachment.attached(); }));
  EXPECT_TRUE(take(*queue, 0).empty());
  attachment.detach();
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST_F(AttachTest, attaching_to_a_device_that_is_not_there_is_an_error) {
  const auto refused = program->attach(4711);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().text.find("device 4711"), std::string::npos) << refused.error().text;
}

TEST_F(AttachTest, receive_queues_are_counted) {
  ASSERT_EQ(std::system("ip link add q0 numrxqueues 4 numtxqueues 4 type veth peer name q1"), 0);
  EXPECT_EQ(receive_queues("q0"), 4U);
  EXPECT_EQ(receive_queues("lo"), 1U);
  EXPECT_EQ(receive_queues("no such device"), 1U);
  ASSERT_EQ(std::system("ip link del q0"), 0);
}

}  // namespace
}  // namespace centipede::test
