#include "dataplane/present_program.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>

#include "base/file_descriptor.h"
#include "dataplane/bpf_log.h"

namespace centipede {

Result<std::optional<PresentProgram>> present_program(unsigned ifindex) {
  const BpfLog log;
  LIBBPF_OPTS(bpf_xdp_query_opts, query);
  if (const int code = bpf_xdp_query(static_cast<int>(ifindex), 0, &query); code != 0)
    return std::unexpected(log.error("asking for the XDP program", code));
  // With programs in two modes the kernel names no single one.
  const uint32_t id = std::max({query.prog_id, query.drv_prog_id, query.skb_prog_id, query.hw_prog_id});
  if (id == 0) return std::nullopt;
  bpf_prog_info info{};
  uint32_t size = sizeof info;
  const FileDescriptor program(bpf_prog_get_fd_by_id(id));
  if (program && bpf_obj_get_info_by_fd(program.get(), &info, &size) == 0) return PresentProgram{id, info.name};
  return PresentProgram{id, std::string(nameless_program)};
}

}  // namespace centipede
