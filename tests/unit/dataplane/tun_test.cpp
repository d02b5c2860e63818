#include "dataplane/tun.h"

#include <linux/filter.h>
#include <linux/if_tun.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <optional>
#include <set>

#include "dataplane/coalesce.h"
#include "offload_packets.h"
#include "private_network.h"

namespace centipede::test {
namespace {

constexpr size_t mtu = 1400;
constexpr int patience_ms = 5000;

// Both queues are read: the kernel chooses by flow.
std::optional<Written> read_any(const Tun& tun) {
  std::vector<pollfd> entries;
  for (size_t i = 0; i < tun.queue_count(); ++i)
    entries.push_back({tun.queue(i).fd(), POLLIN, 0});
  if (::poll(entries.data(), entries.size(), patience_ms) <= 0) return std::nullopt;
  Packet buffer(tun_buffer_bytes);
  for (size_t i = 0; i < tun.queue_count(); ++i) {
    const auto bytes = tun.queue(i).read(buffer);
    if (!bytes || *bytes == 0) continue;
    buffer.resize(*bytes);
    Written out{VirtioHeader::load(buffer.data()), {}};
    out.packet.assign(buffer.begin() + VirtioHeader::wire_bytes, buffer.end());
    return out;
  }
  return std::nullopt;
}

// The next packet of `protocol` to our address: the kernel sends others of its own accord (router solicitation, MLD).
std::optional<Written> read_protocol(const Tun& tun, uint8_t protocol) {
  for (int tries = 0; tries < 100; ++tries) {
    auto read = read_any(tun);
    if (!read) return std::nullopt;
    const auto layout = inspect_ip(read->packet);
    if (layout && layout->protocol == protocol) return read;
  }
  return std::nullopt;
}

bool checksums_good(const Packet& packet) {
  const bool v6 = packet[0] >> 4 == 6;
  const size_t at = v6 ? 40 : 20;
  if (!v6 && slow_fold(slow_sum(packet.data(), 20)) != 0xffff) return false;
  const uint32_t pseudo = (v6 ? slow_sum(&packet[8], 32) + packet[6] : slow_sum(&packet[12], 8) + packet[9]) +
                          static_cast<uint32_t>(packet.size() - at);
  return slow_fold(pseudo + slow_sum(&packet[at], packet.size() - at)) == 0xffff;
}

// The network as the application sees it: it has .1, everybody else is behind the TUN device.
struct Network {
  Tun tun;
  bool v6;

  explicit Network(bool use_v6, unsigned queues = 2) : tun(Tun::create("ctest0", queues).value()), v6(use_v6) {
    set_up("lo");
    set_up(tun.name(), mtu);
    add_address(tun.name(), *Prefix::parse(v6 ? "fd00::1/64" : "10.9.0.1/24"));
  }
  [[nodiscard]] Endpoint far(uint16_t port) const { return {*IpAddress::parse(v6 ? "fd00::2" : "10.9.0.2"), port}; }
  [[nodiscard]] FileDescriptor socket(int type) const {
    return FileDescriptor(::socket(v6 ? AF_INET6 : AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  }
  [[nodiscard]] int connect(int fd, uint16_t port) const {
    sockaddr_storage address{};
    const auto length = far(port).to_sockaddr(address, false);
    return ::connect(fd, reinterpret_cast<const sockaddr*>(&address), static_cast<socklen_t>(length));
  }
  // From the far end to the application: the addresses and ports of `request` the other way round.
  [[nodiscard]] Packet reply(PacketSpec spec, const Packet& request) const {
    spec.v6 = v6;
    const size_t at = v6 ? 40 : 20;
    spec.source_port = load_be<uint16_t>(&request[at + 2]);
    spec.destination_port = load_be<uint16_t>(&request[at]);
    Packet out = build(spec);
    const size_t address = v6 ? 16 : 4;
    const size_t first = v6 ? 8 : 12;
    // Replacing the addresses changes the sums: build once more with the fields cleared.
    std::copy_n(request.begin() + static_cast<std::ptrdiff_t>(first + address), address,
                out.begin() + static_cast<std::ptrdiff_t>(first));
    std::copy_n(request.begin() + static_cast<std::ptrdiff_t>(first), address,
                out.begin() + static_cast<std::ptrdiff_t>(first + address));
    if (!v6) {
      put16(out, 10, 0);
      put16(out, 10, static_cast<uint16_t>(~slow_fold(slow_sum(out.data(), 20))));
    }
    const size_t field = at + (spec.udp ? 6 : 16);
    put16(out, field, 0);
    const auto sum =
        static_cast<uint16_t>(~slow_fold(slow_fold(pseudo_sum(spec, out)) + slow_sum(&out[at], out.size() - at)));
    put16(out, field, sum == 0 ? 0xffff : sum);
    return out;
  }
};

class TunTest : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(, TunTest, testing::Bool(), [](const auto& which) { return which.param ? "v6" : "v4"; });

TEST_P(TunTest, UdpPassesBothWaysWithGoodChecksums) {
  in_private_network([] {
    const Network network(GetParam());
    const FileDescriptor app = network.socket(SOCK_DGRAM);
    ASSERT_EQ(network.connect(app.get(), 7777), 0);
    ASSERT_EQ(::send(app.get(), "hello", 5, 0), 5);
    const auto request = read_protocol(network.tun, protocol_udp);
    ASSERT_TRUE(request);
    const auto segments = segments_of(request->header, request->packet, mtu);
    ASSERT_EQ(segments.size(), 1U);
    EXPECT_TRUE(checksums_good(segments[0]));

    PacketSpec answer;
    answer.udp = true;
    answer.payload = {'w', 'o', 'r', 'l', 'd'};
    const Packet packet = network.reply(answer, segments[0]);
    ASSERT_TRUE(checksums_good(packet));
    EXPECT_EQ(network.tun.queue(0).write(VirtioHeader{}, packet).status, TunWriteStatus::written);
    ASSERT_TRUE(readable_within(app.get(), patience_ms));
    std::array<char, 16> text{};
    EXPECT_EQ(::recv(app.get(), text.data(), text.size(), 0), 5);
    EXPECT_STREQ(text.data(), "world");
  });
}

TEST_P(TunTest, UdpSuperPacketsPassBothWays) {
  in_private_network([] {
    const Network network(GetParam());
    if (!network.tun.takes_udp_segments()) GTEST_SKIP() << "kernel without USO";
    const FileDescriptor app = network.socket(SOCK_DGRAM);
    ASSERT_EQ(network.connect(app.get(), 7777), 0);
    const int segment = 1000;
    ASSERT_EQ(::setsockopt(app.get(), SOL_UDP, UDP_SEGMENT, &segment, sizeof segment), 0);
    std::mt19937 random(1);
    const Packet data = bytes_from(random, 20'500);
    ASSERT_EQ(::send(app.get(), data.data(), data.size(), 0), 20'500);
    const auto request = read_protocol(network.tun, protocol_udp);
    ASSERT_TRUE(request);
    EXPECT_EQ(request->header.gso_type(), GsoType::udp_segments);
    const auto segments = segments_of(request->header, request->packet, mtu);
    ASSERT_EQ(segments.size(), 21U);
    for (const Packet& one : segments)
      EXPECT_TRUE(checksums_good(one));

    std::vector<Packet> answers;
    for (size_t i = 0; i < 21; ++i) {
      PacketSpec answer;
      answer.udp = true;
      answer.id = static_cast<uint16_t>(i);
      answer.payload = Packet(i == 20 ? 500 : 1000, static_cast<uint8_t>(i));
      answers.push_back(network.reply(answer, segments[0]));
    }
    Coalescer coalescer(64, {.tcp = true, .udp = true});
    for (Packet& answer : answers)
      ASSERT_TRUE(coalescer.add(answer));
    const auto joined = coalescer.finish();
    ASSERT_EQ(joined.size(), 1U);
    EXPECT_EQ(network.tun.queue(1).write(joined[0].chain).status, TunWriteStatus::written);
    for (size_t i = 0; i < 21; ++i) {
      ASSERT_TRUE(readable_within(app.get(), patience_ms));
      Packet got(2000);
      ASSERT_EQ(::recv(app.get(), got.data(), got.size(), 0), i == 20 ? 500 : 1000);
      EXPECT_EQ(got[0], i);
    }
  });
}

// From now on this thread's kernel refuses what those before 6.2 do not know.
void refuse_udp_segmentation() {
  constexpr unsigned uso = 0x20 | 0x40;  // TUN_F_USO4, TUN_F_USO6
  std::array code{sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                  sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_ioctl, 0, 5),
                  sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[1])),
                  sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(TUNSETOFFLOAD), 0, 3),
                  sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[2])),
                  sock_filter BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, uso, 0, 1),
                  sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
                  sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  const sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
  ASSERT_EQ(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
  ASSERT_EQ(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), 0) << std::strerror(errno);
}

TEST_P(TunTest, WithoutUdpSegmentationDatagramsPassSinglyAndTcpAsEver) {
  in_private_network([] {
    refuse_udp_segmentation();
    const Network network(GetParam());
    EXPECT_TRUE(network.tun.takes_tcp_segments());
    ASSERT_FALSE(network.tun.takes_udp_segments());
    EXPECT_EQ(text(network.tun.offload()).find("UDP"), std::string_view::npos);
    const FileDescriptor app = network.socket(SOCK_DGRAM);
    ASSERT_EQ(network.connect(app.get(), 7777), 0);
    const int segment = 1000;
    ASSERT_EQ(::setsockopt(app.get(), SOL_UDP, UDP_SEGMENT, &segment, sizeof segment), 0);
    std::mt19937 random(3);
    const Packet data = bytes_from(random, 4500);
    ASSERT_EQ(::send(app.get(), data.data(), data.size(), 0), 4500);
    Packet sent;
    std::vector<Packet> answers;
    while (sent.size() < data.size()) {
      const auto request = read_protocol(network.tun, protocol_udp);
      ASSERT_TRUE(request);
      EXPECT_EQ(request->header.gso_type(), GsoType::none);
      const auto segments = segments_of(request->header, request->packet, mtu);
      ASSERT_EQ(segments.size(), 1U);
      EXPECT_TRUE(checksums_good(segments[0]));
      sent.insert(sent.end(), segments[0].begin() + (GetParam() ? 48 : 28), segments[0].end());
      PacketSpec answer;
      answer.udp = true;
      answer.id = static_cast<uint16_t>(answers.size());
      answer.payload = Packet(1000, static_cast<uint8_t>(answers.size()));
      answers.push_back(network.reply(answer, segments[0]));
    }
    EXPECT_EQ(sent, data);
    EXPECT_EQ(answers.size(), 5U);

    // Joined as the daemon does, which goes by what the device takes.
    Coalescer coalescer(64, {.tcp = network.tun.takes_tcp_segments(), .udp = network.tun.takes_udp_segments()});
    for (Packet& answer : answers)
      ASSERT_TRUE(coalescer.add(answer));
    for (const CoalescedPacket& one : coalescer.finish())
      EXPECT_EQ(network.tun.queue(0).write(one.chain).status, TunWriteStatus::written);
    for (size_t i = 0; i < answers.size(); ++i) {
      ASSERT_TRUE(readable_within(app.get(), patience_ms));
      Packet got(2000);
      ASSERT_EQ(::recv(app.get(), got.data(), got.size(), 0), 1000);
      EXPECT_EQ(got[0], i);
    }
  });
}

TEST_P(TunTest, FlowsSpreadOverTheQueuesAndEachKeepsToItsOwn) {
  in_private_network([] {
    const Network network(GetParam(), 2);
    std::array<std::set<uint16_t>, 2> ports;
    Packet buffer(tun_buffer_bytes);
    const size_t at = VirtioHeader::wire_bytes + (GetParam() ? 40 : 20);
    std::vector<FileDescriptor> apps;  // all open at once, so that each has a port of its own
    for (unsigned flow = 0; flow < 64; ++flow) {
      apps.push_back(network.socket(SOCK_DGRAM));
      ASSERT_EQ(network.connect(apps.back().get(), 7777), 0);
      for (unsigned packet = 0; packet < 3; ++packet)
        ASSERT_EQ(::send(apps.back().get(), "x", 1, 0), 1);
    }
    for (size_t queue = 0; queue < 2; ++queue) {
      while (const size_t bytes = network.tun.queue(queue).read(buffer).value_or(0)) {
        const auto layout = inspect_ip(ConstBytes(buffer).first(bytes).subspan(VirtioHeader::wire_bytes));
        if (layout && layout->protocol == protocol_udp) ports[queue].insert(load_be<uint16_t>(&buffer[at]));
      }
      EXPECT_GT(ports[queue].size(), 8U) << "queue " << queue;
    }
    EXPECT_EQ(ports[0].size() + ports[1].size(), 64U) << "a flow is in one queue";
  });
}

// We play the far end of one TCP connection: handshake, its data as super-packets, ours as coalesced segments.
TEST_P(TunTest, TcpSuperPacketsPassBothWays) {
  in_private_network([] {
    const Network network(GetParam());
    ASSERT_TRUE(network.tun.takes_tcp_segments());
    const FileDescriptor app = network.socket(SOCK_STREAM);
    ASSERT_EQ(network.connect(app.get(), 80), -1);
    ASSERT_EQ(errno, EINPROGRESS);
    const auto request = read_protocol(network.tun, protocol_tcp);
    ASSERT_TRUE(request);
    const auto opening = segments_of(request->header, request->packet, mtu);
    ASSERT_EQ(opening.size(), 1U);
    ASSERT_TRUE(checksums_good(opening[0]));
    const size_t tcp = GetParam() ? 40 : 20;
    const auto their_first = load_be<uint32_t>(&opening[0][tcp + 4]) + 1;

    PacketSpec answer;
    answer.flags = syn | ack;
    answer.sequence = 0xfffffff0;
    answer.acknowledgement = their_first;
    answer.window = 65535;
    answer.options = {2, 4, 0x05, 0x00, 1, 3, 3, 7};  // segments of 1,280 bytes, window scale 7
    ASSERT_EQ(network.tun.queue(0).write(VirtioHeader{}, network.reply(answer, opening[0])).status,
              TunWriteStatus::written);
    answer.sequence++;
    answer.options.clear();
    answer.flags = ack;

    std::mt19937 random(2);
    const Packet upload = bytes_from(random, 12'000);
    pollfd connected{app.get(), POLLOUT, 0};
    ASSERT_EQ(::poll(&connected, 1, patience_ms), 1);
    ASSERT_EQ(::send(app.get(), upload.data(), upload.size(), 0), 12'000);
    Packet received(upload.size());
    size_t total = 0;
    bool saw_super = false;
    while (total < upload.size()) {
      const auto data = read_protocol(network.tun, protocol_tcp);
      ASSERT_TRUE(data);
      saw_super = saw_super || data->header.gso_type() != GsoType::none;
      for (const Packet& one : segments_of(data->header, data->packet, mtu)) {
        ASSERT_TRUE(checksums_good(one));
        const size_t header = tcp + (one[tcp + 12] >> 4) * 4U;
        const size_t at = load_be<uint32_t>(&one[tcp + 4]) - their_first;
        if (one.size() == header) continue;
        ASSERT_LE(at + one.size() - header, received.size());
        std::copy(one.begin() + static_cast<std::ptrdiff_t>(header), one.end(),
                  received.begin() + static_cast<std::ptrdiff_t>(at));
        total = std::max(total, at + one.size() - header);
      }
    }
    EXPECT_EQ(received, upload);
    EXPECT_TRUE(saw_super);

    const Packet download = bytes_from(random, 40'000);
    answer.acknowledgement += static_cast<uint32_t>(upload.size());
    answer.payload = download;
    std::vector<Packet> packets;
    for (const PacketSpec& one : cut(answer, 1280))
      packets.push_back(network.reply(one, opening[0]));
    Coalescer coalescer(64, {.tcp = true, .udp = false});
    for (Packet& one : packets)
      ASSERT_TRUE(coalescer.add(one));
    const auto joined = coalescer.finish();
    ASSERT_EQ(joined.size(), 1U);
    EXPECT_EQ(network.tun.queue(0).write(joined[0].chain).status, TunWriteStatus::written);
    Packet got(download.size());
    for (size_t have = 0; have < got.size();) {
      ASSERT_TRUE(readable_within(app.get(), patience_ms));
      const ssize_t count = ::recv(app.get(), &got[have], got.size() - have, 0);
      ASSERT_GT(count, 0);
      have += static_cast<size_t>(count);
    }
    EXPECT_EQ(got, download);
  });
}

TEST(Tun, EmptyQueueReadsZeroAndGarbageIsRefused) {
  in_private_network([] {
    const auto tun = Tun::create("ctest1", 1);
    ASSERT_TRUE(tun) << tun.error().text;
    set_up("lo");
    Packet buffer(tun_buffer_bytes);
    const TunQueue queue = tun->queue(0);
    const auto down = queue.write(VirtioHeader{}, build(PacketSpec{}));
    EXPECT_EQ(down.status, TunWriteStatus::refused);
    EXPECT_EQ(down.error, EIO);
    set_up("ctest1");
    while (const auto bytes = queue.read(buffer)) {
      if (*bytes == 0) break;
    }
    EXPECT_EQ(queue.read(buffer).value(), 0U);
    const auto garbage = queue.write(VirtioHeader{}, Packet{0x12, 0x34});
    EXPECT_EQ(garbage.status, TunWriteStatus::refused);
    EXPECT_EQ(garbage.error, EINVAL);
    EXPECT_EQ(queue.write(VirtioHeader{}, build(PacketSpec{})).status, TunWriteStatus::written) << "and goes on";
  });
}

bool kernel_has_uso() {
  utsname name{};
  unsigned major = 0;
  unsigned minor = 0;
  if (::uname(&name) != 0 || std::sscanf(name.release, "%u.%u", &major, &minor) != 2) return false;
  return major > 6 || (major == 6 && minor >= 2);
}

TEST(Tun, NewKernelsGiveUdpSegmentationAndTheTextSaysSo) {
  in_private_network([] {
    const auto tun = Tun::create("ctest2", 3);
    ASSERT_TRUE(tun) << tun.error().text;
    EXPECT_EQ(tun->queue_count(), 3U);
    EXPECT_EQ(tun->interface_index(), ::if_nametoindex("ctest2"));
    EXPECT_TRUE(tun->takes_tcp_segments());
    EXPECT_EQ(tun->takes_udp_segments(), kernel_has_uso());
    EXPECT_EQ(text(tun->offload()).find("UDP") != std::string_view::npos, kernel_has_uso());
    EXPECT_NE(text(tun->offload()).find("TCP"), std::string_view::npos);
  });
}

TEST(Tun, VanishesWithItsOwner) {
  in_private_network([] {
    {
      const auto tun = Tun::create("ctest3", 2);
    }
    EXPECT_EQ(::if_nametoindex("ctest3"), 0U);
  });
}

TEST(Tun, TakenNameIsAnErrorAndNotAShare) {
  in_private_network([] {
    const auto first = Tun::create("ctest4", 1);
    ASSERT_TRUE(first);
    const auto second = Tun::create("ctest4", 1);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, EBUSY);
    EXPECT_NE(second.error().text.find("ctest4"), std::string::npos);
    EXPECT_NE(second.error().text.find("taken"), std::string::npos);
    EXPECT_FALSE(Tun::create("lo", 1));
  });
}

TEST(Tun, OddNamesAndQueueCountsAreRefusedInWords) {
  for (const std::string_view name : {"", ".", "..", "a/b", "a b", "a:b", "cp%d", "0123456789abcdef", "tab\t"}) {
    const auto tun = Tun::create(name, 1);
    ASSERT_FALSE(tun) << name;
    EXPECT_NE(tun.error().text.find("name"), std::string::npos) << tun.error().text;
  }
  EXPECT_FALSE(Tun::create("ctest5", 0));
  EXPECT_FALSE(Tun::create("ctest5", 257));
}

TEST(Tun, WithoutPrivilegeTheErrorNamesTheCapability) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setresgid(65534, 65534, 65534) != 0 || ::setresuid(65534, 65534, 65534) != 0) ::_exit(2);
    const auto tun = Tun::create("ctest6", 1);
    ::_exit(!tun && tun.error().text.find("CAP_NET_ADMIN") != std::string::npos ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace centipede::test
