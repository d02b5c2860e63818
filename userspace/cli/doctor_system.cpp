#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if_tun.h>
#include <linux/io_uring.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cstring>
#include <fstream>

#include "base/file_descriptor.h"
#include "cli/doctor.h"
#include "cli/privilege.h"

namespace centipede::cli {
namespace {

Finding privileges(const std::string& missing) {
  if (!missing.empty()) {
    return {Level::fail, "privileges", "missing " + missing, "run attach as root, or grant these capabilities"};
  }
  if (!has_capability(CAP_BPF) || !has_capability(CAP_PERFMON) || !has_capability(CAP_NET_RAW)) {
    return {Level::warn, "privileges", "enough for UDP sockets alone: no XDP, no early drop of copies",
            "run attach as root, or grant CAP_BPF, CAP_PERFMON and CAP_NET_RAW"};
  }
  if (!has_capability(CAP_IPC_LOCK)) {
    return {Level::warn, "privileges", "enough to run, without CAP_IPC_LOCK: keys could be swapped to disk",
            "grant CAP_IPC_LOCK, or encrypt the swap"};
  }
  return {Level::ok, "privileges", "enough for everything", ""};
}

std::string kernel_release() {
  utsname system{};
  uname(&system);
  return system.release;
}

Finding kernel() {
  constexpr KernelVersion tested{6, 1};
  constexpr KernelVersion least{5, 15};
  const std::string release = kernel_release();
  const KernelVersion version = parse_kernel_release(release);
  if (version >= tested) return {Level::ok, "kernel", release, ""};
  if (version >= least) {
    return {Level::warn, "kernel", release + " is older than 6.1, the oldest that is tested", "use 6.1 or newer"};
  }
  return {Level::fail, "kernel", release + " is too old", "use 6.1 or newer"};
}

Finding type_information() {
  if (access("/sys/kernel/btf/vmlinux", R_OK) == 0) return {Level::ok, "BTF", "/sys/kernel/btf/vmlinux is there", ""};
  return {Level::warn, "BTF", "the kernel has no type information: XDP programs may be refused, then uplinks use UDP",
          "use a kernel with CONFIG_DEBUG_INFO_BTF"};
}

Finding bpf_file_system() {
  struct statfs state{};
  const bool mounted = statfs("/sys/fs/bpf", &state) == 0 && static_cast<uint64_t>(state.f_type) == BPF_FS_MAGIC;
  if (mounted) return {Level::ok, "bpffs", "mounted on /sys/fs/bpf", ""};
  return {Level::warn, "bpffs", "not mounted on /sys/fs/bpf; attach mounts it where it may",
          "mount -t bpf bpf /sys/fs/bpf"};
}

Finding just_in_time() {
  std::ifstream file("/proc/sys/net/core/bpf_jit_enable");
  std::string value;
  if (!(file >> value)) return {Level::ok, "BPF JIT", "not configurable here: always on, or unreadable", ""};
  if (value != "0") return {Level::ok, "BPF JIT", "on", ""};
  return {Level::warn, "BPF JIT", "off: the XDP program is interpreted and slow",
          "sysctl -w net.core.bpf_jit_enable=1"};
}

Finding uring() {
  io_uring_params params{};
  const FileDescriptor ring(static_cast<int>(syscall(__NR_io_uring_setup, 1U, &params)));
  if (ring) return {Level::ok, "io_uring", "allowed", ""};
  const std::string why = std::strerror(errno);
  return {Level::fail, "io_uring", "refused: " + why,
          "sysctl -w kernel.io_uring_disabled=0, or allow its system calls in the container's profile"};
}

Finding tun() {
  const FileDescriptor device(open("/dev/net/tun", O_RDWR | O_CLOEXEC));
  if (!device) {
    const std::string why = std::strerror(errno);
    return {Level::fail, "TUN", "opening /dev/net/tun: " + why, "modprobe tun, or give the container the device"};
  }
  unsigned features = 0;
  if (ioctl(device.get(), TUNGETFEATURES, &features) != 0) {
    return {Level::fail, "TUN", "/dev/net/tun is no TUN device", "modprobe tun"};
  }
  constexpr unsigned needed = IFF_VNET_HDR | IFF_MULTI_QUEUE;
  if ((features & needed) != needed) {
    return {Level::fail, "TUN", "no offloads or only one queue", "use 6.1 or newer"};
  }
  return {Level::ok, "TUN", "usable, with several queues and offloads", ""};
}

Finding clock_state() {
  timex state{};
  const int result = adjtimex(&state);
  if (result < 0) return {Level::ok, "clock", "not looked at: " + std::string(std::strerror(errno)), ""};
  if (result != TIME_ERROR && (state.status & STA_UNSYNC) == 0) return {Level::ok, "clock", "synchronised", ""};
  return {
      Level::warn, "clock",
      "not synchronised: should it be behind when the state file is lost, peers take this host's calls for old ones",
      "timedatectl set-ntp true, or run chrony"};
}

}  // namespace

KernelVersion parse_kernel_release(const std::string& release) {
  KernelVersion version;
  char dot = 0;
  std::istringstream text(release);
  if (!(text >> version.major_number >> dot >> version.minor_number) || dot != '.') return {};
  return version;
}

KernelVersion running_kernel() {
  return parse_kernel_release(kernel_release());
}

std::vector<Finding> examine_system(const std::string& missing_privilege) {
  return {privileges(missing_privilege),
          kernel(),
          type_information(),
          bpf_file_system(),
          just_in_time(),
          uring(),
          tun(),
          clock_state()};
}

}  // namespace centipede::cli
