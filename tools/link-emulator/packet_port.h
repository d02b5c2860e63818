// A raw packet socket on one network device: receives what arrives there through a memory-mapped ring (TPACKET_V2,
// which hands over each frame at once), sends frames in batches past the queueing discipline. VLAN tags that the kernel
// took out of a frame are put back. Owns the socket and the ring. Threading: one caller at a time. Bound to the
// device's index: when the device is deleted the port is dead (a device that goes down and up again is not) and a new
// one is needed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/bytes.h"
#include "base/file_descriptor.h"
#include "base/result.h"
#include "link-emulator/link_model.h"

struct tpacket2_hdr;

namespace centipede::emulator {

class PacketPort {
 public:
  [[nodiscard]] static Result<PacketPort> open(const std::string& device);
  PacketPort(PacketPort&& other) noexcept;
  PacketPort& operator=(PacketPort&& other) noexcept;
  PacketPort(const PacketPort&) = delete;
  PacketPort& operator=(const PacketPort&) = delete;
  ~PacketPort();

  [[nodiscard]] int fd() const { return socket_.get(); }
  // Whether this port still suits the device of that name as it is now.
  [[nodiscard]] bool matches(const std::string& device) const;
  // After POLLERR: fetches the pending error, which would otherwise be reported for ever.
  void clear_error() const;

  // Hands at most `limit` waiting frames to on_frame(Bytes), each valid during that call only; returns how many.
  template <class OnFrame>
  size_t receive(size_t limit, OnFrame&& on_frame) {
    size_t received = 0;
    for (Bytes frame; received < limit && next_frame(frame); ++received) {
      if (!frame.empty()) on_frame(frame);
      release_frame();
    }
    return received;
  }

  // Returns how many the kernel refused (device down, no buffers): those are gone.
  size_t send(std::span<const Departure> departures);

  // Frames that found the ring full or were longer than its slots, since the call before.
  [[nodiscard]] uint64_t take_receive_drops();

 private:
  PacketPort(FileDescriptor socket, int index, size_t mtu);
  Result<void> map_ring();
  [[nodiscard]] tpacket2_hdr* slot() const;
  bool next_frame(Bytes& frame);
  void release_frame();

  FileDescriptor socket_;
  int index_ = 0;
  size_t mtu_ = 0;
  uint8_t* ring_ = nullptr;
  size_t slot_bytes_ = 0;
  size_t next_slot_ = 0;
  uint64_t oversized_ = 0;
};

}  // namespace centipede::emulator
