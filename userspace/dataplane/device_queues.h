// How many receive queues a network device uses now. Threading: any.
#pragma once

#include <cstdint>
#include <string>

namespace centipede {

// 1..CP_MAX_QUEUES, by ethtool's channels, else by /sys/class/net; 1 where neither tells.
[[nodiscard]] uint32_t receive_queues(const std::string& device);

}  // namespace centipede
