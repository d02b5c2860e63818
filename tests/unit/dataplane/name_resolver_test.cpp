// The resolver beside a name server of our own on the loopback interface of a private network.
#include "dataplane/name_resolver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <mutex>

#include "private_network.h"

namespace centipede {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

using Clock = std::chrono::steady_clock;

// Answers the questions that come in as `reply` makes them; no reply: none.
class NameServer {
 public:
  using Reply = std::function<std::vector<uint8_t>(const std::vector<uint8_t>& question)>;

  explicit NameServer(Reply reply) : reply_(std::move(reply)), socket_(::socket(AF_INET, SOCK_DGRAM, 0)) {
    sockaddr_storage address{};
    const auto length =
        static_cast<socklen_t>(Endpoint{*IpAddress::parse("127.0.0.1"), 53}.to_sockaddr(address, false));
    EXPECT_EQ(::bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), length), 0);
    thread_ = std::thread([this] { run(); });
  }
  ~NameServer() {
    ::shutdown(socket_.get(), SHUT_RDWR);
    thread_.join();
  }
  std::atomic<int> questions = 0;

 private:
  void run() {
    while (true) {
      std::vector<uint8_t> question(512);
      sockaddr_storage from{};
      socklen_t length = sizeof from;
      auto* generic = reinterpret_cast<sockaddr*>(&from);
      const ssize_t got = ::recvfrom(socket_.get(), question.data(), question.size(), 0, generic, &length);
      if (got <= 0) return;
      question.resize(static_cast<size_t>(got));
      const auto answer = reply_(question);
      ++questions;
      if (!answer.empty()) (void)::sendto(socket_.get(), answer.data(), answer.size(), 0, generic, length);
    }
  }

  Reply reply_;
  FileDescriptor socket_;
  std::thread thread_;
};

constexpr uint8_t type_a = 1;
constexpr uint8_t type_aaaa = 28;

uint8_t type_of(const std::vector<uint8_t>& question) {
  return question[question.size() - 3];  // ends with type and class, two bytes each
}

// The question again, with these addresses for answers.
std::vector<uint8_t> answer(std::vector<uint8_t> message, const std::vector<std::string>& addresses,
                            uint8_t error = 0) {
  const uint8_t type = type_of(message);
  message[2] = 0x81;
  message[3] = 0x80 | error;
  message[7] = static_cast<uint8_t>(addresses.size());
  for (const std::string& text : addresses) {
    const IpAddress address = *IpAddress::parse(text);
    const std::vector<uint8_t> head{0xc0, 12, 0, type, 0, 1, 0, 0, 0, 60, 0, static_cast<uint8_t>(address.bits() / 8)};
    message.insert(message.end(), head.begin(), head.end());
    message.insert(message.end(), address.bytes().begin(), address.bytes().end());
  }
  return message;
}

class NameResolverTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root: makes network namespaces";
    std::string pattern = std::filesystem::temp_directory_path() / "centipede-test-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    name_servers("127.0.0.1");
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void name_servers(const std::string& address) {
    std::ofstream(folder_ + "/resolv.conf") << "nameserver " << address << "\n";
  }

  std::unique_ptr<NameResolver> start(std::chrono::milliseconds give_up_after = std::chrono::seconds(10)) {
    auto resolver = NameResolver::start({.done =
                                             [this](NameResolver::Answer answer) {
                                               const std::scoped_lock lock(mutex_);
                                               answers_.push_back(std::move(answer));
                                               arrived_.notify_all();
                                             },
                                         .files = {folder_ + "/resolv.conf", folder_ + "/none", {}},
                                         .give_up_after = give_up_after});
    EXPECT_TRUE(resolver);
    return std::move(*resolver);
  }

  NameResolver::Answer wait() {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(arrived_.wait_for(lock, std::chrono::seconds(20), [&] { return !answers_.empty(); }));
    if (answers_.empty()) return {};
    NameResolver::Answer first = std::move(answers_.front());
    answers_.erase(answers_.begin());
    return first;
  }

  std::string folder_;
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<NameResolver::Answer> answers_;
};

std::vector<std::string> texts(const NameResolver::Answer& answer) {
  std::vector<std::string> all;
  for (const Endpoint& endpoint : answer.endpoints)
    all.push_back(endpoint.text());
  return all;
}

TEST_F(NameResolverTest, all_addresses_of_both_families_count_but_for_those_that_no_server_can_have) {
  test::in_private_network([&] {
    test::set_up("lo");
    const NameServer server([](const auto& question) {
      if (type_of(question) == type_a) return answer(question, {"192.0.2.1", "192.0.2.2", "127.0.0.1", "224.0.0.1"});
      return answer(question, {"2001:db8::1", "fe80::1", "::"});
    });
    const auto resolver = start();
    ASSERT_TRUE(resolver->ask({.peer = 7, .hosts = {{"vpn.example.org", 5820}}, .uplinks = {}}));
    const auto got = wait();
    EXPECT_EQ(got.peer, 7U);
    EXPECT_EQ(got.hosts, (std::vector<control::HostEndpoint>{{"vpn.example.org", 5820}}));
    EXPECT_EQ(got.problem, "");
    EXPECT_THAT(texts(got), UnorderedElementsAre("192.0.2.1:5820", "192.0.2.2:5820", "[2001:db8::1]:5820"));
  });
}

TEST_F(NameResolverTest, no_more_than_eight_addresses_of_a_name_count) {
  test::in_private_network([&] {
    test::set_up("lo");
    const NameServer server([](const auto& question) {
      std::vector<std::string> many;
      for (int i = 1; i <= 20 && type_of(question) == type_a; ++i)
        many.push_back("192.0.2." + std::to_string(i));
      return answer(question, many);
    });
    const auto resolver = start();
    resolver->ask({.peer = 1, .hosts = {{"a.example.org", 1}, {"b.example.org", 2}}, .uplinks = {}});
    EXPECT_EQ(wait().endpoints.size(), 16U);
  });
}

TEST_F(NameResolverTest, a_name_that_does_not_exist_has_a_problem_that_says_so) {
  test::in_private_network([&] {
    test::set_up("lo");
    const NameServer server([](const auto& question) { return answer(question, {}, 3); });
    const auto resolver = start();
    resolver->ask({.peer = 1, .hosts = {{"no.example.org", 5820}}, .uplinks = {}});
    const auto got = wait();
    EXPECT_TRUE(got.endpoints.empty());
    EXPECT_THAT(got.problem, HasSubstr("resolving no.example.org: Domain name not found"));
  });
}

TEST_F(NameResolverTest, garbage_for_answers_is_a_problem_and_nothing_else) {
  test::in_private_network([&] {
    test::set_up("lo");
    std::atomic<uint8_t> seed = 1;
    const NameServer server([&](std::vector<uint8_t> message) {
      const uint8_t kind = seed++;
      message = answer(std::move(message), {"192.0.2.1"});
      if (kind % 3 == 0) message.resize(message.size() - 3);
      if (kind % 3 == 1) message[message.size() - 5] = 200;                         // says that it is longer
      if (kind % 3 == 2) message[message.size() - 15] = message[5] = uint8_t{255};  // counts, a pointer to nowhere
      return message;
    });
    const auto resolver = start(std::chrono::milliseconds(300));
    for (uint32_t i = 0; i < 9; ++i)
      resolver->ask({.peer = i, .hosts = {{"x" + std::to_string(i) + ".example.org", 5820}}, .uplinks = {}});
    for (int i = 0; i < 9; ++i)
      EXPECT_NE(wait().problem, "");
  });
}

TEST_F(NameResolverTest, a_silent_name_server_holds_up_neither_the_other_names_nor_the_end) {
  test::in_private_network([&] {
    test::set_up("lo");
    const NameServer server([](const std::vector<uint8_t>& question) {
      const bool silent = std::ranges::search(question, std::string_view("silent")).begin() != question.end();
      return silent ? std::vector<uint8_t>{}
                    : answer(question, {type_of(question) == type_a ? "192.0.2.9" : "fd00::9"});
    });
    auto resolver = start();
    resolver->ask({.peer = 1, .hosts = {{"silent.example.org", 1}}, .uplinks = {}});
    resolver->ask({.peer = 2, .hosts = {{"quick.example.org", 1}}, .uplinks = {}});
    EXPECT_EQ(wait().peer, 2U);
    const auto before = Clock::now();
    resolver.reset();
    EXPECT_LT(Clock::now() - before, std::chrono::milliseconds(500));
    EXPECT_TRUE(answers_.empty());
    resolver = start(std::chrono::milliseconds(200));
    resolver->ask({.peer = 3, .hosts = {{"silent.example.org", 1}}, .uplinks = {}});
    EXPECT_EQ(wait().problem, "resolving silent.example.org: the name servers do not answer");
  });
}

TEST_F(NameResolverTest, many_names_that_nobody_answers_for_hold_up_the_next_one_no_longer_than_their_share) {
  test::in_private_network([&] {
    test::set_up("lo");
    const NameServer server([](const std::vector<uint8_t>& question) {
      const bool silent = std::ranges::search(question, std::string_view("silent")).begin() != question.end();
      return silent ? std::vector<uint8_t>{}
                    : answer(question, {type_of(question) == type_a ? "192.0.2.9" : "fd00::9"});
    });
    const auto resolver = start();
    constexpr uint32_t silent = NameResolver::at_once + 10;
    for (uint32_t peer = 1; peer <= silent; ++peer)
      resolver->ask({.peer = peer, .hosts = {{"silent" + std::to_string(peer) + ".example.org", 1}}, .uplinks = {}});
    resolver->ask({.peer = silent + 1, .hosts = {{"quick.example.org", 1}}, .uplinks = {}});
    const auto asked = Clock::now();
    uint32_t gave_way = 0;
    auto got = wait();
    for (; got.endpoints.empty() && got.peer != 0; got = wait())
      ++gave_way;
    EXPECT_EQ(got.peer, silent + 1);
    EXPECT_LT(Clock::now() - asked, std::chrono::seconds(4)) << "not the 10 s that silence may last";
    EXPECT_GE(gave_way, 11U) << "those that had waited longest";
    EXPECT_LE(gave_way, NameResolver::at_once) << "and nobody without need";
  });
}

TEST_F(NameResolverTest, nobody_to_ask_is_said_and_nothing_is_asked) {
  test::in_private_network([&] {
    test::set_up("lo");
    name_servers("192.0.2.53");
    const auto resolver = start();
    resolver->ask({.peer = 1, .hosts = {{"vpn.example.org", 1}}, .uplinks = {}});
    EXPECT_EQ(wait().problem, "resolving vpn.example.org: no uplink can send yet");
    resolver->ask({.peer = 1, .hosts = {{"vpn.example.org", 1}}, .uplinks = {"nodevice"}});
    EXPECT_NE(wait().problem, "") << "a socket that cannot be bound to its device is not used";
    name_servers("");
    resolver->ask({.peer = 1, .hosts = {{"vpn.example.org", 1}}, .uplinks = {"lo"}});
    EXPECT_THAT(wait().problem, HasSubstr("no name server outside of the tunnel is known"));
  });
}

TEST(ResolverFiles, name_servers_are_read_as_the_system_reads_them) {
  const auto servers = parse_name_servers(
      "# nameserver 192.0.2.1\nnameserver 192.0.2.2\n nameserver 192.0.2.3\nnameserver\t2001:db8::1 # here\n"
      "nameserver fe80::1%eth0\nnameserver192.0.2.4\nnameserver no\nnameserver\nsearch a b\nnameserver 192.0.2.2\r\n"
      "nameserver 192.0.2.5");
  std::vector<std::string> all;
  for (const IpAddress& server : servers)
    all.push_back(server.text());
  EXPECT_THAT(all, ElementsAre("192.0.2.2", "2001:db8::1", "fe80::1", "192.0.2.5"));
}

TEST_F(NameResolverTest, the_stub_of_resolved_stands_for_its_servers_and_those_inside_the_tunnel_are_left_out) {
  const ResolverFiles files{folder_ + "/resolv.conf", folder_ + "/resolved", {}};
  name_servers("127.0.0.53");
  std::ofstream(files.resolved) << "nameserver 10.10.0.53\nnameserver 192.0.2.1\n";
  EXPECT_THAT(outside_name_servers(files, {}),
              ElementsAre(*IpAddress::parse("10.10.0.53"), *IpAddress::parse("192.0.2.1")));
  const std::vector<IpAddress> inside{*IpAddress::parse("10.10.0.53")};
  EXPECT_THAT(outside_name_servers(files, inside), ElementsAre(*IpAddress::parse("192.0.2.1")));
  name_servers("127.0.0.1");
  EXPECT_THAT(outside_name_servers(files, inside), ElementsAre(*IpAddress::parse("127.0.0.1")));
}

TEST_F(NameResolverTest, where_resolvconf_shows_our_own_servers_alone_those_of_its_records_count) {
  const ResolverFiles files{folder_ + "/resolv.conf", folder_ + "/resolved", {folder_ + "/none", folder_ + "/records"}};
  const std::vector<IpAddress> inside{*IpAddress::parse("10.10.0.53")};
  name_servers("10.10.0.53");
  EXPECT_THAT(outside_name_servers(files, inside), ElementsAre());
  std::ofstream(folder_ + "/resolv.conf.bak") << "nameserver 192.0.2.9\n";
  EXPECT_THAT(outside_name_servers(files, inside), ElementsAre(*IpAddress::parse("192.0.2.9")));
  std::filesystem::create_directory(folder_ + "/records");
  std::ofstream(folder_ + "/records/cp0") << "nameserver 10.10.0.53\n";
  std::ofstream(folder_ + "/records/wlan0") << "nameserver 192.0.2.1\nnameserver 192.0.2.2\n";
  std::ofstream(folder_ + "/records/eth0") << "nameserver 192.0.2.2\n";
  EXPECT_THAT(outside_name_servers(files, inside),
              ElementsAre(*IpAddress::parse("192.0.2.2"), *IpAddress::parse("192.0.2.1")));
  name_servers("192.0.2.3");
  EXPECT_THAT(outside_name_servers(files, inside), ElementsAre(*IpAddress::parse("192.0.2.3")));
}

}  // namespace
}  // namespace centipede
