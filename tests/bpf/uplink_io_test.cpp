// What becomes of an uplink, by the mode that is asked for and by what its device is and has. A veth device stands in
// for hardware: it is the one of software that has native XDP.
#include "dataplane/uplink_io.h"

#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sys/utsname.h>

#include <string_view>

#include "live_fixture.h"

namespace centipede::test {
namespace {

class UplinkIoTest : public LiveTest {
 protected:
  Result<std::shared_ptr<UplinkIo>> open(const std::string& device, bool hardware, ReceiveMode mode) {
    LinkState link;
    link.ifindex = static_cast<int>(if_nametoindex(device.c_str()));
    link.name = device;
    link.up = link.carrier = true;
    link.hardware = hardware;
    return UplinkIo::open({.id = 0,
                           .link = link,
                           .port = tunnel_port,
                           .workers = live_workers,
                           .mode = mode,
                           .program = program.get(),
                           .no_program_reason = ""});
  }
};

bool has_program(const std::string& device) {
  uint32_t id = 0;
  return bpf_xdp_query_id(static_cast<int>(if_nametoindex(device.c_str())), 0, &id) == 0 && id != 0;
}

TEST_F(UplinkIoTest, auto_takes_native_xdp_on_hardware) {
  const auto uplink = open("n0", true, ReceiveMode::automatic);
  ASSERT_TRUE(uplink) << uplink.error().text;
  EXPECT_TRUE((*uplink)->mode().starts_with("native")) << (*uplink)->mode();
  EXPECT_EQ((*uplink)->reason(), "");
  EXPECT_EQ((*uplink)->queues().size(), 1U);
  EXPECT_TRUE(has_program("n0"));
}

TEST_F(UplinkIoTest, auto_takes_udp_sockets_on_a_device_of_software_and_says_why) {
  const auto uplink = open("n0", false, ReceiveMode::automatic);
  ASSERT_TRUE(uplink) << uplink.error().text;
  EXPECT_EQ((*uplink)->mode(), "udp");
  EXPECT_EQ((*uplink)->reason(), choose_receive(ReceiveMode::automatic, false).reason);
  EXPECT_TRUE((*uplink)->queues().empty());
  EXPECT_FALSE(has_program("n0"));
}

TEST_F(UplinkIoTest, mode_xdp_takes_it_on_a_device_of_software_that_has_it) {
  const auto uplink = open("n0", false, ReceiveMode::xdp);
  ASSERT_TRUE(uplink) << uplink.error().text;
  EXPECT_TRUE((*uplink)->mode().starts_with("native")) << (*uplink)->mode();
}

TEST_F(UplinkIoTest, a_device_without_native_xdp_gets_udp_sockets_or_is_refused_with_a_way_out) {
  ASSERT_EQ(std::system("ip link add link n0 name upper0 up type macvlan"), 0);
  {
    const auto uplink = open("upper0", true, ReceiveMode::automatic);
    ASSERT_TRUE(uplink) << uplink.error().text;
    EXPECT_EQ((*uplink)->mode(), "udp");
    EXPECT_NE((*uplink)->reason().find("native"), std::string::npos) << (*uplink)->reason();
  }
  const auto refused = open("upper0", false, ReceiveMode::xdp);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().text.find("native"), std::string::npos) << refused.error().text;
  EXPECT_NE(refused.error().text.find("mode = \"auto\""), std::string::npos) << refused.error().text;
  EXPECT_FALSE(has_program("upper0")) << "not in generic mode either";
  ASSERT_EQ(std::system("ip link del upper0"), 0);
}

TEST_F(UplinkIoTest, on_hardware_with_a_foreign_program_auto_takes_udp_sockets_and_names_it) {
  const FileDescriptor foreign = foreign_program();
  LIBBPF_OPTS(bpf_link_create_opts, options, .flags = XDP_FLAGS_DRV_MODE);
  const FileDescriptor link(bpf_link_create(foreign.get(), static_cast<int>(wire->ifindex()), BPF_XDP, &options));
  ASSERT_TRUE(link);
  const auto uplink = open("n0", true, ReceiveMode::automatic);
  ASSERT_TRUE(uplink) << uplink.error().text;
  EXPECT_EQ((*uplink)->mode(), "udp");
  EXPECT_NE((*uplink)->reason().find("somebody_elses"), std::string::npos) << (*uplink)->reason();
  EXPECT_TRUE(has_program("n0")) << "it is left alone";
}

// From a card, packets come one by one, and the kernel joins them if one socket, picked by the flow's hash, wants that.
TEST_F(UplinkIoTest, packets_that_come_one_by_one_are_joined_whatever_the_flows_hash) {
  constexpr size_t flows = 24;
  constexpr size_t segments = 16;
  constexpr uint16_t size = 1000;
  // Linux 6.1 joins nothing for sockets that are bound to a device, unless it is told so (see `centipede doctor`).
  utsname kernel{};
  uname(&kernel);
  const bool told = std::string_view(kernel.release).starts_with("6.1.");
  ASSERT_EQ(std::system(told ? "ethtool -K n0 gro on rx-udp-gro-forwarding on" : "ethtool -K n0 gro on"), 0);
  far->command("ethtool -K f0 tso off tx-tcp-mangleid-segmentation off tx-udp-segmentation off");
  const auto uplink = open("n0", false, ReceiveMode::udp);
  ASSERT_TRUE(uplink) << uplink.error().text;
  std::vector<uint8_t> memory(size_t{65536} * 8);
  std::vector<Bytes> buffers;
  for (size_t at = 0; at < memory.size(); at += 65536)
    buffers.push_back(Bytes(memory).subspan(at, 65536));
  UdpReceiveBatch batch(buffers);
  const Endpoint near{*IpAddress::parse(wire->near_address()), tunnel_port};
  for (size_t flow = 0; flow < flows; ++flow) {
    std::optional<UdpSocket> sender;  // with a port of its own
    far->in([&] { sender.emplace(std::move(*UdpSocket::open({}))); });
    const std::vector<uint8_t> data(segments * size, flow % 2 == 0 ? 0 : CP_CONTROL_LANE);
    UdpSocket& socket = flow % 2 == 0 ? (*uplink)->data_socket(0) : (*uplink)->control_socket();
    ASSERT_EQ(sender->send(near, {}, data, size).status, SendStatus::sent);
    size_t datagrams = 0;
    size_t trains = 0;
    const bool all = eventually([&] {
      const auto received = socket.receive(batch);
      for (const ReceivedDatagram& train : *received) {
        ++trains;
        for_each_datagram(train, [&](ConstBytes datagram) { datagrams += datagram.size() == size ? 1 : 0; });
      }
      return datagrams == segments;
    });
    ASSERT_TRUE(all) << "flow " << flow << ": " << datagrams;
    EXPECT_LE(trains, segments / 2) << "flow " << flow;
  }
}

}  // namespace
}  // namespace centipede::test
