// How often this process has allocated by operator new: what "no allocation" is tested with. Defined in
// allocations_test.cpp, which replaces the operators.
#pragma once

#include <cstdint>

namespace centipede::crypto {

[[nodiscard]] uint64_t allocations();

}  // namespace centipede::crypto
