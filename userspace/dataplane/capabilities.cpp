#include "dataplane/capabilities.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdint>

namespace centipede {
namespace {

constexpr size_t words = _LINUX_CAPABILITY_U32S_3;
using Sets = std::array<__user_cap_data_struct, words>;

// Without libcap: two system calls, on sets of 64 bits in two words.
Result<Sets> own_sets() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  Sets sets{};
  if (syscall(SYS_capget, &header, sets.data()) != 0) return fail_system("asking for the capabilities");
  return sets;
}

}  // namespace

bool has_capability(unsigned number) {
  const auto sets = own_sets();
  return sets && ((*sets)[number / 32].effective >> (number % 32) & 1) != 0;
}

Result<void> keep_capabilities(std::initializer_list<unsigned> kept) {
  auto sets = own_sets();
  if (!sets) return std::unexpected(sets.error());
  std::array<uint32_t, words> wanted{};
  for (const unsigned number : kept)
    wanted[number / 32] |= uint32_t{1} << (number % 32);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail_system("forgoing new privileges");
  if (has_capability(CAP_SETPCAP)) {  // without it, no_new_privs alone has to do
    for (unsigned number = 0; prctl(PR_CAPBSET_READ, number, 0, 0, 0) >= 0; ++number) {
      if ((wanted[number / 32] >> (number % 32) & 1) != 0) continue;
      if (prctl(PR_CAPBSET_DROP, number, 0, 0, 0) != 0) return fail_system("dropping capabilities for good");
    }
  }
  for (size_t i = 0; i < words; ++i) {
    auto& set = (*sets)[i];
    set.permitted &= wanted[i];
    set.effective = set.permitted;
    set.inheritable = 0;  // and with it what is ambient
  }
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  if (syscall(SYS_capset, &header, sets->data()) != 0) return fail_system("dropping capabilities");
  return {};
}

}  // namespace centipede
