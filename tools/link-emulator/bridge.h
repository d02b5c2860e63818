// Joins two network devices through two LinkModels, one a direction, in real time. Sleeps until a frame arrives or the
// next departure is near, and spins only for the last microseconds before one. A device that is missing, or vanishes,
// is waited for (the kernel reports link changes) and joined when it is there again. Owns the ports, the models and the
// control socket. Threading: run() is the only thread.
//
// Commands, one a line: "[set] a2b|b2a|both WORDS... [a2b|b2a|both WORDS...]" (link_settings.h), "stats" (JSON),
// "reset" (counters to 0). Answers: "ok", JSON, or "error: ..." with the running settings kept.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_descriptor.h"
#include "base/result.h"
#include "base/time.h"
#include "link-emulator/control_socket.h"
#include "link-emulator/link_model.h"
#include "link-emulator/packet_port.h"

namespace centipede::emulator {

class Bridge {
 public:
  // `control_path` may be empty. Signals SIGTERM and SIGINT become the end of run().
  [[nodiscard]] static Result<Bridge> create(std::string device_a, std::string device_b,
                                             const std::string& control_path);

  // Applies one command line and returns its answer.
  [[nodiscard]] std::string command(std::string_view line);
  // Until SIGTERM or SIGINT.
  [[nodiscard]] Result<void> run();

 private:
  struct Side {
    std::string device;
    std::optional<PacketPort> port;
    std::string last_problem;  // reported once, not at each attempt
    uint64_t receive_drops = 0;
    uint64_t refused = 0;  // departures the kernel would not send, or that had no device to leave by
  };

  Bridge(std::string device_a, std::string device_b);
  void join_devices();
  [[nodiscard]] bool move_frames();
  [[nodiscard]] Instant next_departure() const;
  [[nodiscard]] Result<void> wait(Duration timeout);
  [[nodiscard]] std::string set(const std::vector<std::string>& words);
  [[nodiscard]] std::string statistics();

  std::array<Side, 2> sides_;
  std::array<LinkModel, 2> models_;  // [0] from side 0 to side 1, [1] back
  std::optional<ControlServer> control_;
  FileDescriptor signals_;
  FileDescriptor link_changes_;
  std::vector<pollfd> waits_;
  std::vector<Departure> departures_;
  bool stopped_ = false;
};

}  // namespace centipede::emulator
