// Everything of one uplink device that carries datagrams: a group of UDP sockets (one a worker, one for the control
// lane, one for handshakes; the workers' with the early-drop filter), and where it receives through XDP, the AF_XDP
// sockets of every queue and the attached program.
//
// Immutable once open but for its counters; a device that went away and came back gets a new UplinkIo.
// Ownership: shared by the control thread and the plans; detaches and closes everything with the last reference.
// Threading: data_socket(k) and worker k's side of each queue belong to worker k, the other sockets to the
// control thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "control/settings.h"
#include "dataplane/netlink.h"
#include "dataplane/receive_mode.h"
#include "dataplane/tunnel_status.h"
#include "dataplane/udp_socket.h"
#include "dataplane/xdp.h"
#include "dataplane/xsk.h"

namespace centipede {

class UplinkIo {
 public:
  struct Setup {
    control::UplinkId id = 0;
    LinkState link;
    uint16_t port = 0;
    unsigned workers = 1;
    ReceiveMode mode = ReceiveMode::automatic;
    unsigned busy_poll_us = 0;
    uint32_t mark = 0;
    XdpProgram* program = nullptr;  // null: neither XDP nor early drop is to be had, see no_program_reason
    std::string no_program_reason;
  };
  static Result<std::shared_ptr<UplinkIo>> open(const Setup& setup);
  ~UplinkIo();
  UplinkIo(const UplinkIo&) = delete;
  UplinkIo& operator=(const UplinkIo&) = delete;

  [[nodiscard]] control::UplinkId id() const { return id_; }
  [[nodiscard]] int ifindex() const { return ifindex_; }
  [[nodiscard]] UdpSocket& data_socket(unsigned worker) { return sockets_[worker]; }
  [[nodiscard]] UdpSocket& control_socket() { return sockets_[sockets_.size() - 2]; }
  [[nodiscard]] UdpSocket& handshake_socket() { return sockets_.back(); }
  // One an XDP queue; none in mode udp.
  [[nodiscard]] std::vector<std::unique_ptr<XskQueue>>& queues() { return queues_; }

  [[nodiscard]] const std::string& mode() const { return mode_; }      // as in status
  [[nodiscard]] const std::string& reason() const { return reason_; }  // why not XDP

  // Control thread: no frame is steered to the AF_XDP sockets from here on; the UDP sockets go on. Called before the
  // last plan with this uplink in it is let go, so that workers only ever close sockets.
  void detach_xdp();
  // Control thread: mode, reason and XDP counters.
  void fill_status(UplinkStatus& status) const;

  // UDP_SEGMENT, until a device says that it cannot.
  [[nodiscard]] bool segmentation_works() const { return segmentation_works_.load(std::memory_order_relaxed); }
  void give_up_segmentation() { segmentation_works_.store(false, std::memory_order_relaxed); }

 private:
  UplinkIo() = default;
  Result<void> open_xdp(const Setup& setup);
  Result<void> enter(const Setup& setup, uint32_t queues);
  void abandon_xdp();

  control::UplinkId id_ = 0;
  int ifindex_ = 0;
  std::vector<UdpSocket> sockets_;
  std::vector<std::unique_ptr<XskQueue>> queues_;
  XdpProgram* program_ = nullptr;
  std::optional<XdpAttachment> attachment_;
  std::string mode_ = "udp";
  std::string reason_;
  std::atomic<bool> segmentation_works_{true};
};

}  // namespace centipede
