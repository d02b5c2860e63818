#include "dataplane/udp_socket.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_tun.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstddef>

#include "private_network.h"

namespace centipede::test {
namespace {

constexpr int answer_within_ms = 5000;
using Data = std::vector<uint8_t>;

struct Inbox {
  explicit Inbox(size_t count = 8, size_t bytes = 65536) : memory(count, Data(bytes)), batch(views()) {}
  std::vector<Bytes> views() { return {memory.begin(), memory.end()}; }
  std::vector<Data> memory;
  UdpReceiveBatch batch;
};

IpAddress loopback(bool v6) {
  return *IpAddress::parse(v6 ? "::1" : "127.0.0.1");
}

class UdpTest : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(, UdpTest, testing::Bool(), [](const auto& which) { return which.param ? "v6" : "v4"; });

// The socket of the group that has something to read.
std::optional<size_t> receiver(const std::vector<UdpSocket>& group) {
  std::vector<pollfd> entries;
  for (const UdpSocket& socket : group)
    entries.push_back({socket.fd(), POLLIN, 0});
  if (::poll(entries.data(), entries.size(), answer_within_ms) != 1) return std::nullopt;
  for (size_t i = 0; i < entries.size(); ++i) {
    if (entries[i].revents != 0) return i;
  }
  return std::nullopt;
}

TEST_P(UdpTest, DatagramArrivesWithItsAddressesAndTheReplyLeavesFromTheAddressCalled) {
  in_private_network([] {
    set_up("lo");
    const bool v6 = GetParam();
    if (v6) add_address("lo", *Prefix::parse("fd00::5/128"));
    const IpAddress called = *IpAddress::parse(v6 ? "fd00::5" : "127.0.0.5");
    const auto server = UdpSocket::open({});
    const auto client = UdpSocket::open({});
    ASSERT_TRUE(server && client);
    EXPECT_TRUE(server->dual_stack());
    Inbox inbox;
    EXPECT_TRUE(server->receive(inbox.batch)->empty());
    const Data question{1, 2, 3};
    EXPECT_EQ(client->send({called, server->port()}, loopback(v6), question).status, SendStatus::sent);
    ASSERT_TRUE(readable_within(server->fd(), answer_within_ms));
    const auto got = server->receive(inbox.batch);
    ASSERT_EQ(got->size(), 1U);
    const ReceivedDatagram& one = got->front();
    EXPECT_EQ(Data(one.bytes.begin(), one.bytes.end()), question);
    EXPECT_EQ(one.remote, (Endpoint{loopback(v6), client->port()}));
    EXPECT_EQ(one.local, called);
    EXPECT_EQ(one.segment_size, 3);
    EXPECT_FALSE(one.truncated);

    EXPECT_EQ(server->send(one.remote, one.local, question).status, SendStatus::sent);
    ASSERT_TRUE(readable_within(client->fd(), answer_within_ms));
    EXPECT_EQ(client->receive(inbox.batch)->front().remote, (Endpoint{called, server->port()}));
  });
}

TEST_P(UdpTest, TrainOfSegmentsIsReceivedWholeWithItsSegmentSize) {
  in_private_network([] {
    set_up("lo");
    const bool v6 = GetParam();
    const auto server = UdpSocket::open({});
    const auto client = UdpSocket::open({});
    ASSERT_TRUE(server && client && server->gro());
    Data train(1472 * 44 - 100);
    for (size_t i = 0; i < train.size(); ++i)
      train[i] = static_cast<uint8_t>(i / 1472);
    ASSERT_EQ(client->send({loopback(v6), server->port()}, {}, train, 1472).status, SendStatus::sent);
    Inbox inbox;
    Data whole;
    while (whole.size() < train.size()) {
      ASSERT_TRUE(readable_within(server->fd(), answer_within_ms));
      const auto received = server->receive(inbox.batch);
      ASSERT_TRUE(received);
      for (const ReceivedDatagram& one : *received) {
        EXPECT_EQ(one.segment_size, 1472);
        EXPECT_FALSE(one.truncated);
        whole.insert(whole.end(), one.bytes.begin(), one.bytes.end());
      }
    }
    EXPECT_EQ(whole, train);
  });
}

TEST_P(UdpTest, FailuresOfSendingAreTold) {
  in_private_network([] {
    set_up("lo");
    const bool v6 = GetParam();
    const auto client = UdpSocket::open({});
    ASSERT_TRUE(client);
    const Endpoint remote{loopback(v6), 9};
    const Data small(10);
    const Data huge(65536);
    const IpAddress foreign = *IpAddress::parse(v6 ? "2001:db8::1" : "192.0.2.1");
    EXPECT_EQ(client->send({foreign, 9}, {}, small).status, SendStatus::unreachable);
    EXPECT_EQ(client->send(remote, {}, huge).status, SendStatus::too_big);
    const SendStatus gone = client->send(remote, foreign, small).status;
    EXPECT_TRUE(gone == SendStatus::address_gone || (!v6 && gone == SendStatus::unreachable)) << text(gone);
    const Data train(60000);  // 60,000 segments
    EXPECT_EQ(client->send(remote, {}, train, 1).status, SendStatus::gso_refused);
  });
}

TEST_P(UdpTest, PortUnreachableDoesNotStallSendingOrReceiving) {
  in_private_network([] {
    set_up("lo");
    const bool v6 = GetParam();
    const auto dead_port = UdpSocket::open({})->port();
    const auto server = UdpSocket::open({});
    const auto client = UdpSocket::open({});
    ASSERT_TRUE(server && client);
    Inbox inbox;
    const Data small(10);
    for (int i = 0; i < 5; ++i) {
      EXPECT_EQ(server->send({loopback(v6), dead_port}, {}, small).status, SendStatus::sent);
      EXPECT_EQ(client->send({loopback(v6), server->port()}, {}, small).status, SendStatus::sent);
      ASSERT_TRUE(readable_within(server->fd(), answer_within_ms));
      const auto received = server->receive(inbox.batch);
      ASSERT_TRUE(received) << received.error().text;
      EXPECT_EQ(received->size(), 1U);
    }
  });
}

TEST_P(UdpTest, AnErrorPendingOnTheSocketDoesNotHideTheDatagramBehindIt) {
  in_private_network([] {
    set_up("lo");
    const bool v6 = GetParam();
    const auto dead_port = UdpSocket::open({})->port();
    const auto server = UdpSocket::open({});
    const auto client = UdpSocket::open({});
    ASSERT_TRUE(server && client);
    // With the extended error option the kernel reports ICMP errors on unconnected sockets too.
    const int on = 1;
    ASSERT_EQ(::setsockopt(server->fd(), IPPROTO_IP, IP_RECVERR, &on, sizeof on), 0);
    ASSERT_EQ(::setsockopt(server->fd(), IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof on), 0);
    const Data small(10);
    EXPECT_EQ(server->send({loopback(v6), dead_port}, {}, small).status, SendStatus::sent);
    pollfd entry{server->fd(), 0, 0};
    ASSERT_EQ(::poll(&entry, 1, answer_within_ms), 1);
    ASSERT_NE(entry.revents & POLLERR, 0);
    EXPECT_EQ(client->send({loopback(v6), server->port()}, {}, small).status, SendStatus::sent);
    Inbox inbox;
    const auto received = server->receive(inbox.batch);
    ASSERT_TRUE(received) << received.error().text;
    EXPECT_EQ(received->size(), 1U);
  });
}

TEST(Udp, SmallBufferIsReportedAsTruncated) {
  in_private_network([] {
    set_up("lo");
    const auto server = UdpSocket::open({.gro = false});
    const auto client = UdpSocket::open({});
    Inbox inbox(2, 100);
    const Data large(200);
    EXPECT_EQ(client->send({loopback(false), server->port()}, {}, large).status, SendStatus::sent);
    ASSERT_TRUE(readable_within(server->fd(), answer_within_ms));
    const auto received = server->receive(inbox.batch);
    ASSERT_EQ(received->size(), 1U);
    EXPECT_TRUE(received->front().truncated);
    EXPECT_EQ(received->front().bytes.size(), 100U);
  });
}

TEST_P(UdpTest, FirstByteChoosesTheSocketOfTheGroup) {
  in_private_network([] {
    set_up("lo");
    for (const bool gro : {true, false}) {
      for (const unsigned workers : {1U, 3U, 4U}) {
        const auto group = UdpSocket::open_group({.uplink = "lo", .gro = gro}, workers);
        ASSERT_TRUE(group) << group.error().text;
        ASSERT_EQ(group->size(), workers + 2);
        const auto client = UdpSocket::open({});
        Inbox inbox;
        const Endpoint remote{loopback(GetParam()), group->front().port()};
        for (unsigned first = 0; first < 256; ++first) {
          Data datagram(40, static_cast<uint8_t>(first));
          datagram[14] = 0xff;  // with the next byte what cp_first_worker() makes of the session id
          datagram[15] = 0xfe;
          ASSERT_EQ(client->send(remote, {}, datagram).status, SendStatus::sent);
          const auto who = receiver(*group);
          ASSERT_TRUE(who);
          EXPECT_EQ(*who, first > 127    ? workers + 1
                          : first == 127 ? workers
                                         : (0xfffe + first) % workers)
              << first << " of " << workers;
          ASSERT_EQ((*group)[*who].receive(inbox.batch)->size(), 1U);
        }
      }
    }
  });
}

TEST_P(UdpTest, TrainOfControlDatagramsIsTakenApart) {
  in_private_network([] {
    set_up("lo");
    const auto group = UdpSocket::open_group({}, 2);
    ASSERT_TRUE(group) << group.error().text;
    const auto client = UdpSocket::open({});
    Inbox inbox;
    const Data train(size_t{3} * 216, 0x81);
    ASSERT_EQ(client->send({loopback(GetParam()), group->front().port()}, {}, train, 216).status, SendStatus::sent);
    size_t datagrams = 0;
    while (datagrams < 3 && readable_within(group->back().fd(), answer_within_ms)) {
      const auto received = group->back().receive(inbox.batch);
      for (const ReceivedDatagram& joined : *received) {
        for_each_datagram(joined, [&](ConstBytes datagram) {
          EXPECT_EQ(datagram.size(), 216U);
          ++datagrams;
        });
      }
    }
    EXPECT_EQ(datagrams, 3U);
  });
}

// The kernel asks one socket of the group whether it wants trains: whichever the flow's hash picks, it does.
TEST_P(UdpTest, EverySocketOfTheGroupTakesTrains) {
  in_private_network([] {
    set_up("lo");
    const auto group = UdpSocket::open_group({.uplink = "lo"}, 3);
    ASSERT_TRUE(group) << group.error().text;
    EXPECT_TRUE(std::ranges::all_of(*group, &UdpSocket::gro));
    const auto without = UdpSocket::open_group({.uplink = "lo", .gro = false}, 3);
    ASSERT_TRUE(without) << without.error().text;
    EXPECT_TRUE(std::ranges::none_of(*without, &UdpSocket::gro));
  });
}

TEST_P(UdpTest, WholeTrainGoesToTheSocketOfItsLane) {
  in_private_network([] {
    set_up("lo");
    const auto group = UdpSocket::open_group({.receive_buffer_bytes = 4 << 20}, 3);
    ASSERT_TRUE(group) << group.error().text;
    const auto client = UdpSocket::open({});
    Inbox inbox;
    const Endpoint remote{loopback(GetParam()), group->front().port()};
    for (unsigned lane = 0; lane < 127; ++lane) {
      Data train(20 * 1000, 0xff);
      for (size_t at = 0; at < train.size(); at += 1000)
        train[at] = static_cast<uint8_t>(lane);
      ASSERT_EQ(client->send(remote, {}, train, 1000).status, SendStatus::sent);
      size_t total = 0;
      while (total < train.size()) {
        const auto who = receiver(*group);
        ASSERT_TRUE(who);
        ASSERT_EQ(*who, (0xffff + lane) % 3);
        const auto received = (*group)[*who].receive(inbox.batch);
        ASSERT_TRUE(received);
        for (const ReceivedDatagram& one : *received)
          total += one.bytes.size();
      }
    }
  });
}

TEST(Udp, TakenPortIsReportedEvenIfItsOwnerWouldShareIt) {
  in_private_network([] {
    set_up("lo");
    for (const bool share : {false, true}) {
      const auto other = UdpSocket::open({.uplink = "lo", .reuse_port = share});
      ASSERT_TRUE(other);
      const auto group = UdpSocket::open_group({.uplink = "lo", .port = other->port()}, 2);
      ASSERT_FALSE(group);
      EXPECT_EQ(group.error().code, EADDRINUSE);
      const std::string expected = "port " + std::to_string(other->port()) + " on lo is taken";
      EXPECT_NE(group.error().text.find(expected), std::string::npos) << group.error().text;
    }
  });
}

TEST(Udp, MissingUplinkIsNamed) {
  const auto socket = UdpSocket::open({.uplink = "nosuch0"});
  ASSERT_FALSE(socket);
  EXPECT_NE(socket.error().text.find("nosuch0"), std::string::npos);
  EXPECT_FALSE(UdpSocket::open_group({}, 0));
  EXPECT_FALSE(UdpSocket::open_group({}, 128));
}

// Without IPv6, as a filter makes the kernel look: a group on IPv4 alone, steered and with the address called.
bool works_without_ipv6() {
  std::array filter{
      sock_filter{BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
      sock_filter{BPF_JMP | BPF_JEQ | BPF_K, 0, 3, __NR_socket},
      sock_filter{BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, args)},
      sock_filter{BPF_JMP | BPF_JEQ | BPF_K, 0, 1, AF_INET6},
      sock_filter{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | EAFNOSUPPORT},
      sock_filter{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
  };
  const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
  if (::unshare(CLONE_NEWNET) != 0 || ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return false;
  if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) return false;
  set_up("lo");
  const auto group = UdpSocket::open_group({}, 3);
  const auto client = UdpSocket::open({});
  if (!group || !client || client->dual_stack()) return false;
  const IpAddress called = *IpAddress::parse("127.0.0.5");
  Data datagram(40);
  datagram[0] = 2;  // the lane
  const SendOutcome sent = client->send({called, group->front().port()}, loopback(false), datagram);
  if (sent.status != SendStatus::sent || receiver(*group) != 2) return false;
  Inbox inbox;
  const auto received = (*group)[2].receive(inbox.batch);
  return received && received->size() == 1 && received->front().local == called &&
         received->front().remote == Endpoint{loopback(false), client->port()};
}

TEST(Udp, KernelWithoutIpv6IsServedOverIpv4) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(works_without_ipv6() ? 0 : 1);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

// Datagrams to a neighbour that does not answer stay charged to the socket: a TAP device that nobody reads has such
// ones.
TEST(Udp, FullSendBufferWouldBlock) {
  in_private_network([] {
    const FileDescriptor tap(::open("/dev/net/tun", O_RDWR | O_CLOEXEC));
    ifreq request{};
    std::string_view("ctap0").copy(request.ifr_name, IFNAMSIZ - 1);
    request.ifr_flags = IFF_TAP | IFF_NO_PI;
    ASSERT_EQ(::ioctl(tap.get(), TUNSETIFF, &request), 0) << std::strerror(errno);
    set_up("ctap0");
    add_address("ctap0", *Prefix::parse("10.9.0.1/24"));
    const auto client = UdpSocket::open({.send_buffer_bytes = 4608});
    ASSERT_TRUE(client);
    const Data large(1400);
    SendOutcome outcome;
    for (int i = 0; i < 50 && outcome.status == SendStatus::sent; ++i) {
      outcome = client->send({*IpAddress::parse("10.9.0.2"), 9}, {}, large);
    }
    EXPECT_EQ(outcome.status, SendStatus::would_block) << text(outcome.status);
    EXPECT_EQ(outcome.error, EAGAIN);
  });
}

}  // namespace
}  // namespace centipede::test
