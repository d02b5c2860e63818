// Capabilities (capabilities(7)), by their numbers from <linux/capability.h>. The kernel keeps them for each thread,
// and a thread that is started has those of its starter. Threading: any; each call is about the calling thread.
#pragma once

#include <initializer_list>

#include "base/result.h"

namespace centipede {

[[nodiscard]] bool has_capability(unsigned number);  // false when it cannot be told
// For good: this thread, what it starts and what it executes have at most these, and execution gains nothing.
Result<void> keep_capabilities(std::initializer_list<unsigned> kept);

}  // namespace centipede
