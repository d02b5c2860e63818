#include "link-emulator/packet_port.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>

#include "link-emulator/frame.h"

namespace centipede::emulator {
namespace {

constexpr size_t ring_slots = 8192;
constexpr size_t block_bytes = 1U << 18;
// In a slot, in front of and behind the frame: the ring's header, the kernel's headroom, the Ethernet header and tags.
constexpr size_t slot_overhead = 256;
constexpr size_t send_batch = 64;
constexpr size_t address_bytes = 12;

Result<size_t> device_mtu(int socket, const std::string& device) {
  ifreq request{};
  device.copy(request.ifr_name, IFNAMSIZ - 1);
  if (ioctl(socket, SIOCGIFMTU, &request) != 0) return fail_system("reading the MTU of " + device);
  return static_cast<size_t>(request.ifr_mtu);
}

template <class T>
Result<void> set_option(int socket, int option, const T& value, const char* attempt) {
  if (setsockopt(socket, SOL_PACKET, option, &value, sizeof value) != 0) return fail_system(attempt);
  return {};
}

Result<void> prepare(int socket, int index) {
  if (auto set = set_option(socket, PACKET_VERSION, int{TPACKET_V2}, "choosing packet ring version 2"); !set)
    return set;
  // Room to put a VLAN tag back in place.
  if (auto set = set_option(socket, PACKET_RESERVE, unsigned{vlan_tag_bytes}, "reserving room for a VLAN tag"); !set)
    return set;
  // Else each frame sent would come back as received.
  if (auto set = set_option(socket, PACKET_IGNORE_OUTGOING, int{1}, "ignoring outgoing frames"); !set) return set;
  packet_mreq promiscuous{};
  promiscuous.mr_ifindex = index;
  promiscuous.mr_type = PACKET_MR_PROMISC;
  return set_option(socket, PACKET_ADD_MEMBERSHIP, promiscuous, "making the device promiscuous");
}

}  // namespace

PacketPort::PacketPort(FileDescriptor socket, int index, size_t mtu)
    : socket_(std::move(socket)), index_(index), mtu_(mtu) {}

PacketPort::PacketPort(PacketPort&& other) noexcept
    : socket_(std::move(other.socket_)),
      index_(other.index_),
      mtu_(other.mtu_),
      ring_(std::exchange(other.ring_, nullptr)),
      slot_bytes_(other.slot_bytes_),
      next_slot_(other.next_slot_),
      oversized_(other.oversized_) {}

PacketPort& PacketPort::operator=(PacketPort&& other) noexcept {
  std::swap(socket_, other.socket_);
  std::swap(index_, other.index_);
  std::swap(mtu_, other.mtu_);
  std::swap(ring_, other.ring_);
  std::swap(slot_bytes_, other.slot_bytes_);
  std::swap(next_slot_, other.next_slot_);
  std::swap(oversized_, other.oversized_);
  return *this;
}

PacketPort::~PacketPort() {
  if (ring_ != nullptr) munmap(ring_, ring_slots * slot_bytes_);
}

Result<PacketPort> PacketPort::open(const std::string& device) {
  // Protocol 0: nothing is received before bind() names the device and the protocols.
  FileDescriptor socket(::socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) return fail_system("opening a packet socket");
  const auto index = static_cast<int>(if_nametoindex(device.c_str()));
  if (index == 0) return fail_system("finding device " + device);
  const auto mtu = device_mtu(socket.get(), device);
  if (!mtu) return std::unexpected(mtu.error());
  if (auto prepared = prepare(socket.get(), index); !prepared) return std::unexpected(prepared.error());
  PacketPort port(std::move(socket), index, *mtu);
  if (auto mapped = port.map_ring(); !mapped) return std::unexpected(mapped.error());
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = index;
  if (bind(port.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return fail_system("binding a packet socket to " + device);
  return port;
}

Result<void> PacketPort::map_ring() {
  slot_bytes_ = std::bit_ceil(mtu_ + slot_overhead);
  tpacket_req request{};
  request.tp_frame_size = static_cast<unsigned>(slot_bytes_);
  request.tp_frame_nr = ring_slots;
  request.tp_block_size = block_bytes;
  request.tp_block_nr = static_cast<unsigned>(ring_slots * slot_bytes_ / block_bytes);
  if (auto set = set_option(fd(), PACKET_RX_RING, request, "setting up a packet ring"); !set) return set;
  void* const memory = mmap(nullptr, ring_slots * slot_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, fd(), 0);
  if (memory == MAP_FAILED) return fail_system("mapping a packet ring");
  ring_ = static_cast<uint8_t*>(memory);
  return {};
}

bool PacketPort::matches(const std::string& device) const {
  if (static_cast<int>(if_nametoindex(device.c_str())) != index_) return false;
  const auto mtu = device_mtu(fd(), device);
  return mtu && *mtu + slot_overhead <= slot_bytes_;
}

void PacketPort::clear_error() const {
  int error = 0;
  socklen_t length = sizeof error;
  getsockopt(fd(), SOL_SOCKET, SO_ERROR, &error, &length);
}

tpacket2_hdr* PacketPort::slot() const {
  return reinterpret_cast<tpacket2_hdr*>(ring_ + next_slot_ * slot_bytes_);
}

bool PacketPort::next_frame(Bytes& frame) {
  tpacket2_hdr* const header = slot();
  const uint32_t status = __atomic_load_n(&header->tp_status, __ATOMIC_ACQUIRE);
  if ((status & TP_STATUS_USER) == 0) return false;
  frame = {};
  if (header->tp_snaplen != header->tp_len) {
    ++oversized_;
    return true;
  }
  uint8_t* start = reinterpret_cast<uint8_t*>(header) + header->tp_mac;
  size_t length = header->tp_snaplen;
  if ((status & TP_STATUS_VLAN_VALID) != 0 && length >= address_bytes) {
    const uint16_t type = (status & TP_STATUS_VLAN_TPID_VALID) != 0 ? header->tp_vlan_tpid : uint16_t{ETH_P_8021Q};
    std::memmove(start - vlan_tag_bytes, start, address_bytes);
    start -= vlan_tag_bytes;
    length += vlan_tag_bytes;
    store_be(start + address_bytes, type);
    store_be(start + address_bytes + 2, static_cast<uint16_t>(header->tp_vlan_tci));
  }
  frame = {start, length};
  return true;
}

void PacketPort::release_frame() {
  __atomic_store_n(&slot()->tp_status, uint32_t{TP_STATUS_KERNEL}, __ATOMIC_RELEASE);
  next_slot_ = (next_slot_ + 1) % ring_slots;
}

size_t PacketPort::send(std::span<const Departure> departures) {
  std::array<iovec, send_batch> vectors;
  std::array<mmsghdr, send_batch> messages;
  size_t refused = 0;
  while (!departures.empty()) {
    const size_t count = std::min(departures.size(), send_batch);
    for (size_t i = 0; i < count; ++i) {
      // sendmmsg() only reads what the iovec points to.
      vectors[i] = {const_cast<uint8_t*>(departures[i].frame.data()), departures[i].frame.size()};
      messages[i] = {};
      messages[i].msg_hdr.msg_iov = &vectors[i];
      messages[i].msg_hdr.msg_iovlen = 1;
    }
    const int sent = sendmmsg(fd(), messages.data(), static_cast<unsigned>(count), MSG_DONTWAIT);
    // An error is about the first message of the call, which is given up.
    if (sent <= 0) ++refused;
    departures = departures.subspan(sent <= 0 ? 1 : static_cast<size_t>(sent));
  }
  return refused;
}

uint64_t PacketPort::take_receive_drops() {
  tpacket_stats statistics{};
  socklen_t length = sizeof statistics;
  uint64_t drops = std::exchange(oversized_, 0);
  if (getsockopt(fd(), SOL_PACKET, PACKET_STATISTICS, &statistics, &length) == 0) drops += statistics.tp_drops;
  return drops;
}

}  // namespace centipede::emulator
