// Which XDP program is on a device now, whoever put it there. Threading: any.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"

namespace centipede {

struct PresentProgram {
  uint32_t id = 0;
  std::string name;  // "?" where the kernel does not tell
};

// Nothing when the device runs none. Fails when the kernel does not answer, as for a device that is gone.
[[nodiscard]] Result<std::optional<PresentProgram>> present_program(unsigned ifindex);

}  // namespace centipede
