// The daemon's log: one line an event through spdlog's default logger, which the command line sets up. Never a secret.
#pragma once

#include <spdlog/spdlog.h>

namespace centipede::log {

using spdlog::debug;
using spdlog::error;
using spdlog::info;

template <class... Arguments>
void warning(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  spdlog::warn(format, std::forward<Arguments>(arguments)...);
}

}  // namespace centipede::log
