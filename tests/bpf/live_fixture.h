// A loaded program, two hosts, and packets from the far one.
#pragma once

#include <bpf/bpf.h>
#include <centipede/frame.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <stdexcept>
#include <vector>

#include "dataplane/xdp.h"
#include "dataplane/xsk.h"
#include "program_fixture.h"
#include "wire_pair.h"

namespace centipede::test {

// Lets everything pass.
inline FileDescriptor foreign_program() {
  const std::array<bpf_insn, 2> code{
      {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = XDP_PASS},
       {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}}};
  return FileDescriptor(bpf_prog_load(BPF_PROG_TYPE_XDP, "somebody_elses", "GPL", code.data(), code.size(), nullptr));
}

class LiveTest : public ProgramTest {
 protected:
  void SetUp() override {
    ProgramTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    far = std::make_unique<FarNamespace>();
    wire = std::make_unique<WirePair>(*far, 0);
  }

  // The uplink in the map, and its sockets.
  std::unique_ptr<XskQueue> open_uplink(const WirePair& pair, uint32_t row, uint32_t frames = 0) {
    program->put_uplink(row, uplink_entry(pair.ifindex()));
    auto queue = XskQueue::open({.device = pair.near_device(),
                                 .queue = 0,
                                 .workers = live_workers,
                                 .xsks_fd = program->xsks_fd(),
                                 .first_xsk = cp_xsk_slot(row, 0, live_workers, 0),
                                 .frames = frames});
    EXPECT_TRUE(queue) << queue.error().text;
    return queue ? std::move(*queue) : nullptr;
  }

  XdpAttachment attach(const WirePair& pair) {
    auto attached = program->attach(pair.ifindex());
    if (!attached) throw std::runtime_error(attached.error().text);
    return std::move(*attached);
  }

  FileDescriptor far_udp(const WirePair& pair, uint16_t port = tunnel_port) {
    return far_socket(*far, Transport::udp, pair.near_address(), port);
  }

  // The number of a data packet, after a check that all of it is what the far host sent.
  static uint64_t intact_number(ConstBytes payload) {
    if (payload.size() < 16) return UINT64_MAX;
    const auto number = load_be<uint64_t>(payload.data());
    const auto expected =
        data_packet(static_cast<uint8_t>(number >> 56), number & 0xffffffffffffff, sid, payload.size());
    return std::equal(payload.begin(), payload.end(), expected.begin()) ? number : UINT64_MAX;
  }

  // What the worker's socket holds now: the numbers of the packets, UINT64_MAX for a mangled one.
  static std::vector<uint64_t> take(XskQueue& queue, uint32_t worker) {
    std::array<XskFrame, 64> frames;
    std::vector<uint64_t> numbers;
    const size_t count = queue.receive(worker, frames);
    for (const XskFrame& frame : std::span(frames).first(count)) {
      cp_frame parsed{};
      const bool udp = cp_parse_frame(frame.data, frame.data + frame.size, &parsed) == CP_KIND_UDP;
      numbers.push_back(udp ? intact_number({frame.data + parsed.payload_offset, parsed.payload_length}) : UINT64_MAX);
    }
    queue.release(worker, std::span(frames).first(count));
    return numbers;
  }

  static bool send(const FileDescriptor& socket, uint8_t lane, uint64_t counter, size_t size = 100) {
    const auto payload = data_packet(lane, counter, sid, size);
    return ::send(socket.get(), payload.data(), payload.size(), 0) == static_cast<ssize_t>(payload.size());
  }

  std::unique_ptr<FarNamespace> far;
  std::unique_ptr<WirePair> wire;
};

}  // namespace centipede::test
