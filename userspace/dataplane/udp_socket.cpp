#include "dataplane/udp_socket.h"

#include <centipede/wire.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/udp.h>

#include <algorithm>
#include <array>
#include <cstring>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#define UDP_GRO 104
#endif

namespace centipede {
namespace {

constexpr unsigned control_lane = CP_CONTROL_LANE;
constexpr size_t send_control_bytes = CMSG_SPACE(sizeof(in6_pktinfo)) + CMSG_SPACE(sizeof(uint16_t));

bool set_option(int fd, int level, int name, int value) {
  return ::setsockopt(fd, level, name, &value, sizeof value) == 0;
}

// The forced form passes the system's limit (net.core.rmem_max) but needs CAP_NET_ADMIN. Too small a buffer is no
// reason to fail.
void set_buffer_bytes(int fd, int forced, int plain, int bytes) {
  if (bytes > 0 && !set_option(fd, SOL_SOCKET, forced, bytes)) set_option(fd, SOL_SOCKET, plain, bytes);
}

template <class T>
void append_control(msghdr& message, int level, int type, const T& value) {
  auto* header = reinterpret_cast<cmsghdr*>(static_cast<uint8_t*>(message.msg_control) + message.msg_controllen);
  header->cmsg_level = level;
  header->cmsg_type = type;
  header->cmsg_len = CMSG_LEN(sizeof value);
  std::memcpy(CMSG_DATA(header), &value, sizeof value);
  message.msg_controllen += CMSG_SPACE(sizeof value);
}

SendOutcome classify(int error, bool segmented) {
  switch (error) {
    case EAGAIN:
    case EINTR:
      return {SendStatus::would_block, error};
    case EMSGSIZE:
      return {SendStatus::too_big, error};
    case EIO:
      return {segmented ? SendStatus::gso_refused : SendStatus::other, error};
    case EINVAL:
      return {segmented ? SendStatus::gso_refused : SendStatus::address_gone, error};
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EHOSTDOWN:
    case ENODEV:
    case ENXIO:
      return {SendStatus::unreachable, error};
    case EADDRNOTAVAIL:
      return {SendStatus::address_gone, error};
    case ENOBUFS:
    case ENOMEM:
      return {SendStatus::no_buffers, error};
    case EPERM:
    case EACCES:
    case ECONNREFUSED:
      return {SendStatus::refused, error};
    default:
      return {SendStatus::other, error};
  }
}

// Errors that belong to an earlier datagram (ICMP), not to the call that reports them.
bool is_asynchronous(int error) {
  constexpr std::array codes{ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EHOSTDOWN, ENETDOWN, EMSGSIZE,  EPROTO,
                             ENOPROTOOPT,  EACCES,       EPERM,       EINTR,     ENONET,   EOPNOTSUPP};
  return std::ranges::find(codes, error) != codes.end();
}

std::string where(const UdpSocketOptions& options) {
  return "port " + std::to_string(options.port) + (options.uplink.empty() ? "" : " on " + options.uplink);
}

}  // namespace

std::string_view text(SendStatus status) {
  constexpr std::array<std::string_view, 9> texts{"sent",        "would block",  "too big",    "segmentation refused",
                                                  "unreachable", "address gone", "no buffers", "refused",
                                                  "failed"};
  return texts[static_cast<size_t>(status)];
}

UdpReceiveBatch::UdpReceiveBatch(std::span<const Bytes> buffers)
    : slots_(buffers.size()), messages_(buffers.size()), received_(buffers.size()) {
  for (size_t i = 0; i < buffers.size(); ++i) {
    set_buffer(i, buffers[i]);
    msghdr& header = messages_[i].msg_hdr;
    header.msg_name = &slots_[i].remote;
    header.msg_iov = &slots_[i].buffer;
    header.msg_iovlen = 1;
    header.msg_control = slots_[i].control;
  }
  prepare(buffers.size());
}

void UdpReceiveBatch::prepare(size_t used) {
  for (size_t i = 0; i < used; ++i) {
    messages_[i].msg_hdr.msg_namelen = sizeof(sockaddr_storage);
    messages_[i].msg_hdr.msg_controllen = control_bytes;
    messages_[i].msg_hdr.msg_flags = 0;
  }
}

bool UdpReceiveBatch::take(size_t index, ReceivedDatagram& out) {
  const Slot& slot = slots_[index];
  mmsghdr& message = messages_[index];
  const auto remote = Endpoint::from_sockaddr(reinterpret_cast<const sockaddr*>(&slot.remote));
  if (message.msg_hdr.msg_namelen == 0 || !remote) return false;
  const size_t bytes = std::min<size_t>(message.msg_len, slot.buffer.iov_len);
  out = {};
  out.bytes = {static_cast<uint8_t*>(slot.buffer.iov_base), bytes};
  out.remote = *remote;
  out.segment_size = static_cast<uint16_t>(std::min<size_t>(bytes, UINT16_MAX));
  out.truncated = (message.msg_hdr.msg_flags & MSG_TRUNC) != 0;
  for (cmsghdr* control = CMSG_FIRSTHDR(&message.msg_hdr); control != nullptr;
       control = CMSG_NXTHDR(&message.msg_hdr, control)) {
    const uint8_t* data = CMSG_DATA(control);
    if (control->cmsg_level == SOL_UDP && control->cmsg_type == UDP_GRO) {
      int size = 0;
      std::memcpy(&size, data, sizeof size);
      if (size > 0 && static_cast<size_t>(size) < bytes) out.segment_size = static_cast<uint16_t>(size);
    } else if (control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_PKTINFO) {
      out.local = IpAddress::v4(data + offsetof(in_pktinfo, ipi_addr));
    } else if (control->cmsg_level == IPPROTO_IPV6 && control->cmsg_type == IPV6_PKTINFO && !out.local) {
      in6_addr address;
      std::memcpy(&address, data + offsetof(in6_pktinfo, ipi6_addr), sizeof address);
      const bool mapped = IN6_IS_ADDR_V4MAPPED(&address);
      out.local = mapped ? IpAddress::v4(address.s6_addr + 12) : IpAddress::v6(address.s6_addr);
    }
  }
  return true;
}

Result<UdpSocket> UdpSocket::open(const UdpSocketOptions& options) {
  return open_either(options, 0);
}

Result<UdpSocket> UdpSocket::open_either(const UdpSocketOptions& options, unsigned steer_over_workers) {
  auto socket = open_family(options, true, steer_over_workers);
  if (socket) return socket;
  // IPv6 is missing from the kernel, or switched off at boot.
  const int code = socket.error().code;
  if (code != EAFNOSUPPORT && code != EADDRNOTAVAIL && code != EPROTONOSUPPORT) return socket;
  return open_family(options, false, steer_over_workers);
}

Result<UdpSocket> UdpSocket::open_family(const UdpSocketOptions& options, bool dual_stack,
                                         unsigned steer_over_workers) {
  FileDescriptor fd(::socket(dual_stack ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP));
  if (!fd) return fail_system("opening a UDP socket");
  UdpSocket socket(std::move(fd), dual_stack);
  Result<void> done = socket.configure(options);
  // Before bind, so that no datagram is spread by hash in between.
  if (done && steer_over_workers != 0) done = socket.steer(steer_over_workers);
  if (done) done = socket.bind(options);
  if (!done) return std::unexpected(std::move(done).error());
  return socket;
}

Result<void> UdpSocket::configure(const UdpSocketOptions& options) {
  const int fd = fd_.get();
  if (dual_stack_ && !set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0))
    return fail_system("making a UDP socket dual-stack");
  if (!options.uplink.empty() && ::setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, options.uplink.data(),
                                              static_cast<socklen_t>(options.uplink.size())) != 0) {
    return fail_system("binding a UDP socket to the interface " + options.uplink);
  }
  if (options.mark != 0 && !set_option(fd, SOL_SOCKET, SO_MARK, static_cast<int>(options.mark)))
    return fail_system("marking a UDP socket for the kill switch");
  if (options.reuse_port && !set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1)) return fail_system("setting SO_REUSEPORT");
  if (options.filter_fd >= 0 && !set_option(fd, SOL_SOCKET, SO_ATTACH_BPF, options.filter_fd))
    return fail_system("attaching a filter to a UDP socket");

  // For IPv4 datagrams a dual-stack socket needs the IPv4 options as well.
  bool set = set_option(fd, IPPROTO_IP, IP_PKTINFO, 1) && set_option(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
  if (dual_stack_) {
    set = set && set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1) &&
          set_option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT);
  }
  if (!set) return fail_system("setting the address and path MTU options of a UDP socket");

  set_buffer_bytes(fd, SO_RCVBUFFORCE, SO_RCVBUF, options.receive_buffer_bytes);
  set_buffer_bytes(fd, SO_SNDBUFFORCE, SO_SNDBUF, options.send_buffer_bytes);
  // Where the kernel or the device cannot, nothing is lost but the time that it would have saved.
  if (options.busy_poll_us != 0) set_option(fd, SOL_SOCKET, SO_BUSY_POLL, static_cast<int>(options.busy_poll_us));
  if (options.traffic_class != 0) {
    set_option(fd, IPPROTO_IP, IP_TOS, options.traffic_class);
    if (dual_stack_) set_option(fd, IPPROTO_IPV6, IPV6_TCLASS, options.traffic_class);
  }
  gro_ = options.gro && set_option(fd, SOL_UDP, UDP_GRO, 1);  // without it datagrams simply come one by one
  return {};
}

Result<void> UdpSocket::steer(unsigned workers) const {
  // Returns the index of the socket in the group, in order of binding. A datagram too short for what is read ends the
  // program with 0: the first worker.
  std::array program{
      sock_filter{BPF_LD | BPF_B | BPF_ABS, 0, 0, 0},
      sock_filter{BPF_JMP | BPF_JGT | BPF_K, 7, 0, control_lane},
      sock_filter{BPF_JMP | BPF_JEQ | BPF_K, 5, 0, control_lane},
      sock_filter{BPF_MISC | BPF_TAX, 0, 0, 0},
      sock_filter{BPF_LD | BPF_H | BPF_ABS, 0, 0, CP_OFFSET_SID + 6},  // cp_first_worker()
      sock_filter{BPF_ALU | BPF_ADD | BPF_X, 0, 0, 0},
      sock_filter{BPF_ALU | BPF_MOD | BPF_K, 0, 0, workers},
      sock_filter{BPF_RET | BPF_A, 0, 0, 0},
      sock_filter{BPF_RET | BPF_K, 0, 0, workers},
      sock_filter{BPF_RET | BPF_K, 0, 0, workers + 1},
  };
  const sock_fprog description{static_cast<unsigned short>(program.size()), program.data()};
  if (::setsockopt(fd_.get(), SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &description, sizeof description) != 0) {
    return fail_system("attaching the program that chooses among the UDP sockets");
  }
  return {};
}

Result<void> UdpSocket::bind(const UdpSocketOptions& options) {
  sockaddr_storage address{};
  socklen_t length = sizeof(sockaddr_in);
  if (dual_stack_) {
    sockaddr_in6 any{};
    any.sin6_family = AF_INET6;
    any.sin6_port = htons(options.port);
    std::memcpy(&address, &any, sizeof any);
    length = sizeof any;
  } else {
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_port = htons(options.port);
    std::memcpy(&address, &any, sizeof any);
  }
  if (::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), length) != 0) {
    if (errno == EADDRINUSE) {
      return fail(
          where(options) +
              " is taken: by this tunnel's own sockets from before, which go in a moment, or by another program "
              "(`ss -lnup` names it; then choose another listen_port)",
          EADDRINUSE);
    }
    return fail_system("binding UDP " + where(options));
  }
  length = sizeof address;
  if (::getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    return fail_system("asking for the UDP port");
  }
  const auto bound = Endpoint::from_sockaddr(reinterpret_cast<const sockaddr*>(&address));
  port_ = bound ? bound->port : 0;
  return {};
}

Result<std::vector<UdpSocket>> UdpSocket::open_group(const UdpSocketOptions& options, unsigned workers) {
  if (workers == 0 || workers > control_lane) {
    return fail("a group of UDP sockets serves 1 to 127 workers, not " + std::to_string(workers));
  }
  UdpSocketOptions shared = options;
  // Without SO_REUSEPORT, so that a port held by another program of the same user is refused rather than shared.
  // (Recent kernels refuse it below too, as the first socket brings a program of its own; that is not documented.)
  shared.reuse_port = false;
  {
    const auto probe = open_either(shared, 0);
    if (!probe) return std::unexpected(probe.error());
    shared.port = probe->port();
  }
  shared.reuse_port = true;
  std::vector<UdpSocket> group;
  const unsigned sockets = workers + 2;
  group.reserve(sockets);
  for (unsigned i = 0; i < sockets; ++i) {
    // All of them have GRO or none: whether the kernel joins datagrams depends on one socket that it picks from the
    // group by the flow's hash, whatever the program says.
    shared.filter_fd = i < workers ? options.filter_fd : -1;
    shared.busy_poll_us = i < workers ? options.busy_poll_us : 0;
    auto socket = open_either(shared, i == 0 ? workers : 0);
    if (!socket) return std::unexpected(std::move(socket).error());
    group.push_back(std::move(*socket));
  }
  return group;
}

SendOutcome UdpSocket::send(const Endpoint& remote, const IpAddress& local, ConstBytes payload,
                            uint16_t segment_size) const {
  sockaddr_storage name;
  alignas(cmsghdr) std::array<uint8_t, send_control_bytes> control;
  iovec piece{const_cast<uint8_t*>(payload.data()), payload.size()};  // sendmsg only reads it
  msghdr message{};
  message.msg_name = &name;
  message.msg_namelen = static_cast<socklen_t>(remote.to_sockaddr(name, dual_stack_));
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  if (local.is_v4()) {
    in_pktinfo info{};
    std::memcpy(&info.ipi_spec_dst, local.bytes().data(), sizeof info.ipi_spec_dst);
    append_control(message, IPPROTO_IP, IP_PKTINFO, info);
  } else if (local.is_v6()) {
    in6_pktinfo info{};
    std::memcpy(&info.ipi6_addr, local.bytes().data(), sizeof info.ipi6_addr);
    append_control(message, IPPROTO_IPV6, IPV6_PKTINFO, info);
  }
  if (segment_size != 0) append_control(message, SOL_UDP, UDP_SEGMENT, segment_size);
  if (message.msg_controllen == 0) message.msg_control = nullptr;
  if (::sendmsg(fd_.get(), &message, MSG_DONTWAIT) >= 0) return {};
  return classify(errno, segment_size != 0);
}

Result<std::span<const ReceivedDatagram>> UdpSocket::receive(UdpReceiveBatch& batch) const {
  batch.prepare(batch.used_);
  batch.used_ = 0;
  // Reporting an asynchronous error clears it, so the next call goes on to the datagrams behind it.
  int count = -1;
  for (int attempt = 0; attempt < 8 && count < 0; ++attempt) {
    count = ::recvmmsg(fd_.get(), batch.messages_.data(), static_cast<unsigned>(batch.size()), MSG_DONTWAIT, nullptr);
    if (count >= 0 || is_asynchronous(errno)) continue;
    if (errno == EAGAIN) break;
    return fail_system("receiving from a UDP socket");
  }
  if (count <= 0) return std::span<const ReceivedDatagram>{};
  batch.used_ = static_cast<size_t>(count);
  size_t kept = 0;
  for (size_t i = 0; i < batch.used_; ++i) {
    if (batch.take(i, batch.received_[kept])) ++kept;
  }
  return std::span<const ReceivedDatagram>{batch.received_.data(), kept};
}

}  // namespace centipede
