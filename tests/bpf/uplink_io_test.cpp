// What becomes of an uplink, by the mode that is asked for and by what its device is and has. A veth device stands in
// for hardware: it is the one of software that has native XDP.
#include "dataplane/uplink_io.h"

#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <net/if.h>

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

}  // namespace
}  // namespace centipede::test
