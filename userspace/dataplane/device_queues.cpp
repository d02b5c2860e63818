#include "dataplane/device_queues.h"

#include <centipede/abi.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "base/file_descriptor.h"

namespace centipede {
namespace {

// 0 when the driver knows no channels.
uint32_t ethtool_queues(const std::string& device) {
  const FileDescriptor fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd || device.size() >= IFNAMSIZ) return 0;
  ethtool_channels channels{};
  channels.cmd = ETHTOOL_GCHANNELS;
  ifreq request{};
  std::memcpy(request.ifr_name, device.data(), device.size());
  request.ifr_data = reinterpret_cast<char*>(&channels);
  if (ioctl(fd.get(), SIOCETHTOOL, &request) != 0) return 0;
  return channels.combined_count + channels.rx_count;
}

uint32_t sysfs_queues(const std::string& device) {
  namespace fs = std::filesystem;
  uint32_t count = 0;
  std::error_code error;
  for (fs::directory_iterator it("/sys/class/net/" + device + "/queues", error), end; !error && it != end;
       it.increment(error))
    if (it->path().filename().string().starts_with("rx-")) ++count;
  return count;
}

}  // namespace

uint32_t receive_queues(const std::string& device) {
  uint32_t count = ethtool_queues(device);
  if (count == 0) count = sysfs_queues(device);
  return std::clamp<uint32_t>(count, 1, CP_MAX_QUEUES);
}

}  // namespace centipede
