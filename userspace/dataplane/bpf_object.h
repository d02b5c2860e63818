// The compiled-in BPF object (bpf/centipede.bpf.c): its maps, the XDP program and the socket filter. The first object
// of a tunnel makes the maps; twins share them, have the XDP program alone and differ only in what it is loaded as,
// because a program for libxdp's dispatcher is of another type (freplace) than one that is attached by itself.
// Threading: one thread.
#pragma once

#include <cstdint>
#include <memory>

#include "base/result.h"

struct bpf_object;
struct bpf_program;
struct centipede_bpf;

namespace centipede {

struct BpfMapSizes {
  uint32_t window_words = 0;
  uint32_t max_sessions = 0;
  uint32_t counted_sessions = 0;
  uint32_t max_calls = 0;
  uint32_t xsk_slots = 0;
};

struct BpfMapFds {
  int uplinks = -1;
  int addresses = -1;
  int sessions = -1;
  int windows = -1;
  int xsks = -1;
  int counters = -1;
  int session_counters = -1;
  int shield = -1;
  int calls = -1;
  int sources = -1;
  int unproven = -1;
};

inline constexpr const char* xdp_program_name = "centipede_xdp";
inline constexpr const char* xdp_section_name = "xdp";

class BpfObject {
 public:
  // Makes the maps and loads the program for a plain attachment.
  [[nodiscard]] static Result<BpfObject> load(const BpfMapSizes& sizes);
  // Another program over this object's maps, opened but not loaded.
  [[nodiscard]] Result<BpfObject> twin() const;

  [[nodiscard]] bpf_object* object() const;
  [[nodiscard]] bpf_program* program() const;
  [[nodiscard]] int program_fd() const;
  [[nodiscard]] int socket_filter_fd() const;
  [[nodiscard]] BpfMapFds maps() const;

 private:
  struct Destroy {
    void operator()(centipede_bpf* skeleton) const;
  };

  explicit BpfObject(centipede_bpf* skeleton) : skeleton_(skeleton) {}

  std::unique_ptr<centipede_bpf, Destroy> skeleton_;
};

}  // namespace centipede
