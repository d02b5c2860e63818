// What a device joins and cuts by itself, as `ethtool -k` shows it.
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <string>

#include "base/file_descriptor.h"
#include "cli/doctor.h"

namespace centipede::cli {
namespace {

constexpr unsigned most_features = 1024;

class Ethtool {
 public:
  explicit Ethtool(const std::string& device) : socket_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    std::memcpy(request_.ifr_name, device.data(), std::min(device.size(), sizeof request_.ifr_name - 1));
  }
  // The command's structure begins with its number.
  bool ask(void* command) {
    request_.ifr_data = static_cast<char*>(command);
    return ioctl(socket_.get(), SIOCETHTOOL, &request_) == 0;
  }

 private:
  FileDescriptor socket_;
  ifreq request_{};
};

// The kernel's features of devices by name, in its order of bits; the same for all devices.
std::vector<std::string> feature_names(Ethtool& ethtool) {
  std::array<uint32_t, 5> info{ETHTOOL_GSSET_INFO};  // command, reserved, mask of sets (64 bits), their size
  const uint64_t features = uint64_t{1} << ETH_SS_FEATURES;
  std::memcpy(&info[2], &features, sizeof features);
  if (!ethtool.ask(info.data()) || info[4] == 0 || info[4] > most_features) return {};
  const unsigned count = info[4];
  std::vector<char> buffer(sizeof(ethtool_gstrings) + size_t{count} * ETH_GSTRING_LEN);
  const ethtool_gstrings head{.cmd = ETHTOOL_GSTRINGS, .string_set = ETH_SS_FEATURES, .len = count};
  std::memcpy(buffer.data(), &head, sizeof head);
  if (!ethtool.ask(buffer.data())) return {};
  std::vector<std::string> names;
  for (unsigned i = 0; i < count; ++i) {
    const char* text = buffer.data() + sizeof(ethtool_gstrings) + size_t{i} * ETH_GSTRING_LEN;
    names.emplace_back(text, strnlen(text, ETH_GSTRING_LEN));
  }
  return names;
}

// Which of them are on; empty when the device does not say.
std::map<std::string, bool> features_of(const std::string& device) {
  Ethtool ethtool(device);
  const auto names = feature_names(ethtool);
  const auto blocks = static_cast<unsigned>((names.size() + 31) / 32);
  std::vector<char> buffer(sizeof(ethtool_gfeatures) + blocks * sizeof(ethtool_get_features_block));
  const ethtool_gfeatures head{.cmd = ETHTOOL_GFEATURES, .size = blocks};
  std::memcpy(buffer.data(), &head, sizeof head);
  if (names.empty() || !ethtool.ask(buffer.data())) return {};
  std::map<std::string, bool> features;
  for (size_t i = 0; i < names.size(); ++i) {
    ethtool_get_features_block block{};
    std::memcpy(&block, buffer.data() + sizeof(ethtool_gfeatures) + i / 32 * sizeof block, sizeof block);
    features[names[i]] = ((block.active >> (i % 32)) & 1) != 0;
  }
  return features;
}

}  // namespace

Finding examine_offloads(const std::string& device, bool tries_xdp, bool joins) {
  const std::string what = device + " offloads";
  const auto features = features_of(device);
  if (features.empty()) return {Level::ok, what, "the device does not say", ""};
  const auto on = [&](const char* name) {
    const auto found = features.find(name);
    return found != features.end() && found->second;
  };
  // Joined by the device itself, packets reach no XDP program one by one.
  for (const char* name : {"rx-lro", "rx-gro-hw"}) {
    if (tries_xdp && on(name)) {
      return {Level::warn, what, std::string(name) + " is on: many drivers refuse XDP with it",
              "ethtool -K " + device + " " + name + " off"};
    }
  }
  if (!tries_xdp && !on("rx-gro")) {
    return {Level::warn, what, "GRO is off: arriving packets are not joined, each costs more",
            "ethtool -K " + device + " gro on"};
  }
  // With this feature it joins what is for no socket that it knows of yet, and ours take it so.
  if (!tries_xdp && !joins && !on("rx-udp-gro-forwarding")) {
    return {Level::warn, what, "this kernel does not join arriving packets for sockets that are bound to a device",
            "ethtool -K " + device + " rx-udp-gro-forwarding on, or use Linux 6.12"};
  }
  const auto state = [&](const char* name) { return on(name) ? "on" : "off"; };
  return {Level::ok, what,
          std::string("GRO ") + state("rx-gro") + ", UDP segmentation " +
              (on("tx-udp-segmentation") ? "on" : "off (the kernel does it)") + ", TCP segmentation " +
              state("tx-tcp-segmentation"),
          ""};
}

}  // namespace centipede::cli
