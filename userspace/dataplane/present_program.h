// Which XDP program is on a device now, whoever put it there. Threading: any.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace centipede {

// Its name cannot be asked for without CAP_SYS_ADMIN.
inline constexpr std::string_view nameless_program = "?";

struct PresentProgram {
  uint32_t id = 0;
  std::string name;  // "?" where the kernel does not tell
};

// Nothing when the device runs none. Fails when the kernel does not answer, as for a device that is gone.
[[nodiscard]] Result<std::optional<PresentProgram>> present_program(unsigned ifindex);

}  // namespace centipede
