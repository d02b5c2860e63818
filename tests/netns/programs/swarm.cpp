// Many peers of one gateway in one process: each a controller with an address, a socket and a key of its own, and no
// tunnel interface. They call the gateway, keep their paths alive and carry no data.
//
//   swarm keys COUNT                           prints their public keys, one a line
//   swarm run COUNT NETWORK REMOTE PUBLIC_KEY  calls; prints "in session N" when the number changes, until SIGTERM
//
// NETWORK: "10.9.0.0"; member n has the address NETWORK + 1 + n, which the host must have for its own
// (ip route add local 10.9.0.0/16 dev lo).
#include <arpa/inet.h>
#include <sodium.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "base/file_descriptor.h"
#include "control/controller.h"
#include "control/deadlines.h"

namespace centipede {
namespace {

class SystemRandomness : public control::Randomness {
 public:
  void fill(Bytes out) override { randombytes_buf(out.data(), out.size()); }
};

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "swarm: %s\n", why.c_str());
  std::exit(1);
}

crypto::Identity identity(uint32_t member) {
  crypto::SecretKey seed;
  store_be(seed.data(), member);
  seed.data()[31] = 1;
  return crypto::Identity::from_seed(seed);
}

Now read_clocks() {
  using namespace std::chrono;
  return {.monotonic = Instant(steady_clock::now().time_since_epoch()),
          .wall = {static_cast<uint64_t>(duration_cast<nanoseconds>(system_clock::now().time_since_epoch()).count())}};
}

struct Member {
  FileDescriptor socket;
  IpAddress local;
  std::unique_ptr<control::Controller> controller;
  bool in_session = false;
};

class Swarm {
 public:
  Swarm(uint32_t count, in_addr network, Endpoint remote, const crypto::PublicKey& gateway)
      : events_(epoll_create1(EPOLL_CLOEXEC)) {
    for (uint32_t i = 0; i < count; ++i)
      add(htonl(ntohl(network.s_addr) + 1 + i), remote, gateway);
  }

  void run() {
    std::vector<epoll_event> ready(256);
    std::vector<uint8_t> buffer(2048);
    for (size_t reported = SIZE_MAX;;) {
      if (reported != in_session_) {
        std::printf("in session %zu\n", reported = in_session_);
        std::fflush(stdout);
      }
      const Duration wait = deadlines_.next() - read_clocks().monotonic;
      const auto ms =
          std::chrono::duration_cast<milliseconds>(std::clamp<Duration>(wait, Duration::zero(), seconds(1)));
      const int count = epoll_wait(events_.get(), ready.data(), static_cast<int>(ready.size()),
                                   static_cast<int>(ms.count()) + (wait > Duration::zero() ? 1 : 0));
      const Now now = read_clocks();
      for (int i = 0; i < count; ++i)
        receive(ready[static_cast<size_t>(i)].data.u32, buffer, now);
      for (const control::PeerId id : deadlines_.due(now.monotonic)) {
        members_[id].controller->on_timer(now);
        settle(id);
      }
    }
  }

 private:
  void add(in_addr_t address, const Endpoint& remote, const crypto::PublicKey& gateway) {
    const auto id = static_cast<uint32_t>(members_.size());
    Member member{.socket = FileDescriptor(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)),
                  .local = IpAddress::v4(reinterpret_cast<const uint8_t*>(&address))};
    const sockaddr_in local{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {address}, .sin_zero = {}};
    if (bind(member.socket.get(), reinterpret_cast<const sockaddr*>(&local), sizeof local) != 0)
      give_up("binding to " + member.local.text());
    epoll_event event{.events = EPOLLIN, .data = {.u32 = id}};
    (void)epoll_ctl(events_.get(), EPOLL_CTL_ADD, member.socket.get(), &event);
    control::Settings settings{.identity = identity(id), .params = {.heartbeat_ms = 250}};
    member.controller = std::make_unique<control::Controller>(std::move(settings), randomness_);
    control::PeerSettings peer{.name = "gateway", .public_key = gateway, .endpoints = {remote}};
    if (!member.controller->add_peer(std::move(peer), read_clocks())) give_up("the gateway's key is none");
    members_.push_back(std::move(member));
    control::Uplink uplink{.name = "swarm", .usable = true, .addresses = {members_[id].local}};
    members_[id].controller->set_uplink(std::move(uplink), read_clocks());
    settle(id);
  }

  void receive(uint32_t id, std::vector<uint8_t>& buffer, const Now& now) {
    sockaddr_storage from{};
    socklen_t length = sizeof from;
    Member& member = members_[id];
    const ssize_t got =
        recvfrom(member.socket.get(), buffer.data(), buffer.size(), 0, reinterpret_cast<sockaddr*>(&from), &length);
    const auto remote = Endpoint::from_sockaddr(reinterpret_cast<const sockaddr*>(&from));
    if (got < 0 || !remote) return;
    member.controller->on_datagram({.uplink = 0, .local = member.local, .remote = *remote},
                                   ConstBytes(buffer).first(static_cast<size_t>(got)), now);
    settle(id);
  }

  void settle(uint32_t id) {
    Member& member = members_[id];
    for (const control::Action& action : member.controller->take_actions()) {
      if (const auto* send = std::get_if<control::SendDatagram>(&action)) {
        sockaddr_storage to{};
        const size_t length = send->route.remote.to_sockaddr(to, false);
        (void)sendto(member.socket.get(), send->bytes.data(), send->bytes.size(), 0,
                     reinterpret_cast<const sockaddr*>(&to), static_cast<socklen_t>(length));
      } else if (std::holds_alternative<control::ForwardingChanged>(action)) {
        const auto forwarding = member.controller->forwarding();
        const bool in_session = forwarding.peers[0]->send_session && !forwarding.peers[0]->send_paths.empty();
        in_session_ += static_cast<size_t>(in_session) - static_cast<size_t>(member.in_session);
        member.in_session = in_session;
      }
    }
    deadlines_.set(id, member.controller->next_deadline());
  }

  FileDescriptor events_;
  SystemRandomness randomness_;
  std::vector<Member> members_;
  control::Deadlines deadlines_;
  size_t in_session_ = 0;
};

int main_of(const std::vector<std::string>& words) {
  if (!crypto::initialise()) give_up("no libsodium");
  const auto count = words.size() < 2 ? 0U : static_cast<uint32_t>(std::strtoul(words[1].c_str(), nullptr, 10));
  if (words.size() == 2 && words[0] == "keys") {
    for (uint32_t i = 0; i < count; ++i)
      std::puts(identity(i).public_key().base64().c_str());
    return 0;
  }
  if (words.size() != 5 || words[0] != "run") give_up("usage: swarm keys COUNT | run COUNT NETWORK REMOTE PUBLIC_KEY");
  in_addr network{};
  const auto remote = Endpoint::parse(words[3]);
  const auto gateway = crypto::PublicKey::from_base64(words[4]);
  if (inet_pton(AF_INET, words[2].c_str(), &network) != 1 || !remote || !gateway) give_up("no network, remote or key");
  const rlimit descriptors{.rlim_cur = count + 64, .rlim_max = count + 64};
  if (setrlimit(RLIMIT_NOFILE, &descriptors) != 0) give_up("too many descriptors");
  Swarm(count, network, *remote, *gateway).run();
  return 0;
}

}  // namespace
}  // namespace centipede

int main(int argc, char** argv) {
  return centipede::main_of({argv + 1, argv + argc});
}
