#include "dataplane/tun.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>

#ifndef TUN_F_USO4  // Linux 6.2
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

namespace centipede {
namespace {

constexpr short queue_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE;
constexpr short exclusive = static_cast<short>(IFF_TUN_EXCL);

// The kernel's own rules (dev_valid_name), and '%', which it would take for a pattern.
Result<void> check_name(std::string_view name) {
  const std::string quoted = "interface name \"" + std::string(name) + "\"";
  if (name.empty()) return fail("the interface name is empty");
  if (name.size() >= IFNAMSIZ) return fail(quoted + " is longer than 15 characters");
  if (name == "." || name == "..") return fail(quoted + " is reserved");
  const bool odd = std::ranges::any_of(name, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return c == '/' || c == ':' || c == '%' || std::isspace(byte) != 0 || std::iscntrl(byte) != 0;
  });
  if (odd) return fail("the interface name has a character that is not allowed (space, '/', ':', '%' or control)");
  return {};
}

Result<FileDescriptor> open_clone_device() {
  FileDescriptor fd(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (fd) return fd;
  const int code = errno;
  Error error = system_error("opening /dev/net/tun", code);
  if (code == ENOENT || code == ENODEV || code == ENXIO) {
    error.text += " (load the module with \"modprobe tun\"; a container must be given the device)";
  } else if (code == EACCES || code == EPERM) {
    error.text += " (not permitted: needs root, or access to the device and CAP_NET_ADMIN)";
  }
  return std::unexpected(std::move(error));
}

std::string_view hint_for_attach(int code) {
  switch (code) {
    case EPERM:
      return " (needs CAP_NET_ADMIN)";
    case EBUSY:
    case EEXIST:
      return " (the name is taken: another program uses it, or a persistent device is left; see \"ip link\")";
    case EINVAL:
      return " (the name belongs to an interface of another kind, or the kernel lacks multi-queue TUN)";
    case E2BIG:
      return " (the kernel takes no more queues)";
    default:
      return "";
  }
}

Result<FileDescriptor> open_queue(std::string& name, bool first) {
  auto fd = open_clone_device();
  if (!fd) return fd;
  ifreq request{};
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  // Without exclusivity a second program would silently join as one more queue and take a share of the packets.
  request.ifr_flags = static_cast<short>(first ? queue_flags | exclusive : queue_flags);
  if (::ioctl(fd->get(), TUNSETIFF, &request) != 0) {
    const int code = errno;
    Error error = system_error("creating the TUN interface " + name, code);
    error.text += hint_for_attach(code);
    return std::unexpected(std::move(error));
  }
  name = request.ifr_name;
  return fd;
}

// Of the device, not of the queue: set on one queue for all.
Result<void> set_header_format(int fd, const std::string& name) {
  int bytes = VirtioHeader::wire_bytes;
  if (::ioctl(fd, TUNSETVNETHDRSZ, &bytes) != 0) return fail_system("setting the packet header size of " + name);
  int little_endian = 1;
  if (::ioctl(fd, TUNSETVNETLE, &little_endian) != 0) return fail_system("setting the header byte order of " + name);
  return {};
}

TunOffload negotiate_offload(int fd) {
  struct Step {
    TunOffload offload;
    unsigned flags;
  };
  constexpr unsigned tso = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
  constexpr std::array steps{Step{TunOffload::tcp_udp, tso | TUN_F_USO4 | TUN_F_USO6}, Step{TunOffload::tcp, tso},
                             Step{TunOffload::checksum, TUN_F_CSUM}};
  for (const Step& step : steps) {
    if (::ioctl(fd, TUNSETOFFLOAD, static_cast<unsigned long>(step.flags)) == 0) return step.offload;
  }
  return TunOffload::none;
}

TunWriteOutcome outcome_of(ssize_t written) {
  if (written >= 0) return {};
  const int code = errno;
  if (code == EAGAIN || code == EINTR) return {TunWriteStatus::would_block, 0};
  return {TunWriteStatus::refused, code};
}

}  // namespace

std::string_view text(TunOffload offload) {
  switch (offload) {
    case TunOffload::none:
      return "none";
    case TunOffload::checksum:
      return "checksum";
    case TunOffload::tcp:
      return "checksum, TCP segmentation";
    case TunOffload::tcp_udp:
      return "checksum, TCP and UDP segmentation";
  }
  return "unknown";
}

Result<size_t> TunQueue::read(Bytes buffer) const {
  const ssize_t count = ::read(fd_, buffer.data(), buffer.size());
  if (count >= 0) return static_cast<size_t>(count);
  if (errno == EAGAIN || errno == EINTR) return size_t{0};
  return fail_system("reading from the TUN interface");
}

TunWriteOutcome TunQueue::write(std::span<const iovec> chain) const {
  return outcome_of(::writev(fd_, chain.data(), static_cast<int>(chain.size())));
}

TunWriteOutcome TunQueue::write(const VirtioHeader& header, ConstBytes packet) const {
  std::array<uint8_t, VirtioHeader::wire_bytes> head;
  header.store(head.data());
  // writev takes pointers to non-const for both directions.
  const std::array chain{iovec{head.data(), head.size()}, iovec{const_cast<uint8_t*>(packet.data()), packet.size()}};
  return write(chain);
}

Result<Tun> Tun::create(std::string_view name, unsigned queues) {
  if (auto checked = check_name(name); !checked) return std::unexpected(std::move(checked).error());
  if (queues == 0 || queues > max_queues) {
    return fail("a TUN interface has 1 to 256 queues, not " + std::to_string(queues));
  }
  Tun tun;
  tun.name_ = name;
  for (unsigned i = 0; i < queues; ++i) {
    auto fd = open_queue(tun.name_, i == 0);
    if (!fd) return std::unexpected(std::move(fd).error());
    tun.queues_.push_back(std::move(*fd));
  }
  if (auto prepared = tun.prepare(); !prepared) return std::unexpected(std::move(prepared).error());
  return tun;
}

Result<Tun> Tun::adopt(std::string_view name, std::vector<FileDescriptor> queues) {
  const std::string attempt = "taking over the TUN interface " + std::string(name);
  for (const FileDescriptor& queue : queues) {
    ifreq request{};
    if (::ioctl(queue.get(), TUNGETIFF, &request) != 0) return fail_system(attempt);
    if (request.ifr_name != name) return fail(attempt + ": it is called " + request.ifr_name);
    if ((request.ifr_flags & queue_flags) != queue_flags) return fail(attempt + ": it was made by something else");
  }
  Tun tun;
  tun.name_ = name;
  tun.queues_ = std::move(queues);
  tun.adopted_ = true;
  if (auto prepared = tun.prepare(); !prepared) return std::unexpected(std::move(prepared).error());
  return tun;
}

Result<void> Tun::prepare() {
  const int first = queues_.front().get();
  if (auto set = set_header_format(first, name_); !set) return set;
  offload_ = negotiate_offload(first);
  interface_index_ = ::if_nametoindex(name_.c_str());
  if (interface_index_ == 0) return fail_system("looking up the TUN interface " + name_);
  return {};
}

}  // namespace centipede
