#include "dataplane/xdp_attachment.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/capability.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <unistd.h>
#include <xdp/libxdp.h>

#include <array>
#include <optional>
#include <utility>

#include "dataplane/bpf_log.h"
#include "dataplane/bpffs.h"
#include "dataplane/capabilities.h"
#include "dataplane/present_program.h"

namespace centipede {
namespace {

constexpr std::string_view dispatcher_name = "xdp_dispatcher";
constexpr useconds_t dead_link_poll_us = 10'000;

std::string device_text(unsigned ifindex) {
  std::array<char, IF_NAMESIZE> name{};
  if (if_indextoname(ifindex, name.data()) != nullptr) return name.data();
  return "device " + std::to_string(ifindex);
}

// A free device, or one whose dispatcher can take our program in; else an error that names what is there. The program
// of a daemon that has just died may go until `patience`: the kernel may release a link after it has reaped the
// process.
Result<void> check_free(unsigned ifindex, bool dispatcher, std::chrono::steady_clock::time_point patience) {
  for (;;) {
    const auto present = present_program(ifindex).value_or(std::nullopt);
    if (!present) return {};
    if (dispatcher && present->name == dispatcher_name) return {};
    const bool may_go = present->name == xdp_program_name || present->name == nameless_program;
    if (may_go && std::chrono::steady_clock::now() < patience) {
      usleep(dead_link_poll_us);
      continue;
    }
    std::string text = device_text(ifindex) + " already runs the XDP program " + present->name + " (id " +
                       std::to_string(present->id) + ")";
    text += dispatcher ? ", which was not attached through libxdp's dispatcher and so cannot share the device"
                       : ", and this kernel does not let programs share a device";
    return fail(text + "; it is left alone", EBUSY);
  }
}

}  // namespace

// A freplace twin of the program in the device's dispatcher.
class DispatcherEntry {
 public:
  static Result<std::unique_ptr<DispatcherEntry>> attach(const XdpAttachment::Source& source, unsigned ifindex);
  ~DispatcherEntry() { detach(); }
  DispatcherEntry(const DispatcherEntry&) = delete;
  DispatcherEntry& operator=(const DispatcherEntry&) = delete;

  [[nodiscard]] bool attached() const {
    return program_ != nullptr && xdp_program__is_attached(program_, static_cast<int>(ifindex_)) != XDP_MODE_UNSPEC;
  }

 private:
  DispatcherEntry(BpfObject object, unsigned ifindex) : object_(std::move(object)), ifindex_(ifindex) {}

  void detach() {
    if (program_ == nullptr) return;
    const BpfLog log;
    // Fails when the device has gone; what libxdp pinned for it is cleaned up either way.
    if (in_) (void)xdp_program__detach(program_, static_cast<int>(ifindex_), XDP_MODE_NATIVE, 0);
    if (in_) (void)libxdp_clean_references(static_cast<int>(ifindex_));
    xdp_program__close(std::exchange(program_, nullptr));
  }

  BpfObject object_;
  unsigned ifindex_;
  xdp_program* program_ = nullptr;
  bool in_ = false;
  AttachmentRecord record_;
};

Result<std::unique_ptr<DispatcherEntry>> DispatcherEntry::attach(const XdpAttachment::Source& source,
                                                                 unsigned ifindex) {
  const BpfLog log;
  const std::string attempt = "attaching to " + device_text(ifindex) + " through the dispatcher";
  auto twin = source.object.twin();
  if (!twin) return std::unexpected(twin.error());
  std::unique_ptr<DispatcherEntry> entry(new DispatcherEntry(std::move(*twin), ifindex));
  xdp_program* program = xdp_program__from_bpf_obj(entry->object_.object(), xdp_section_name);
  if (const long code = libxdp_get_error(program); code != 0)
    return std::unexpected(log.error(attempt, static_cast<int>(code)));
  entry->program_ = program;
  // Before the attachment, so that there is no moment at which a kill would leave it unrecorded.
  auto record = AttachmentRecord::create(source.pin_directory, ifindex, source.object.maps().uplinks);
  if (!record) return std::unexpected(record.error());
  entry->record_ = std::move(*record);
  if (const int code = xdp_program__attach(program, static_cast<int>(ifindex), XDP_MODE_NATIVE, 0); code != 0)
    return std::unexpected(log.error(attempt, code));
  entry->in_ = true;
  // libxdp falls back by itself, to an attachment that would outlive a killed process; a bpf_link is better then.
  xdp_multiprog* dispatcher = xdp_multiprog__get_from_ifindex(static_cast<int>(ifindex));
  const bool legacy = libxdp_get_error(dispatcher) != 0 || xdp_multiprog__is_legacy(dispatcher);
  if (libxdp_get_error(dispatcher) == 0) xdp_multiprog__close(dispatcher);
  if (legacy) return fail(attempt + ": libxdp used none");
  return entry;
}

XdpAttachment::XdpAttachment(unsigned ifindex) : ifindex_(ifindex) {}
XdpAttachment::XdpAttachment(XdpAttachment&&) noexcept = default;
XdpAttachment& XdpAttachment::operator=(XdpAttachment&&) noexcept = default;
XdpAttachment::~XdpAttachment() = default;

Result<XdpAttachment> XdpAttachment::attach(const Source& source, unsigned ifindex) {
  // The record is what makes a dispatcher entry safe against kill -9, so without bpffs there is none.
  const bool dispatcher = source.dispatcher && !source.pin_directory.empty();
  if (auto free = check_free(ifindex, dispatcher, source.patience); !free) return std::unexpected(free.error());
  XdpAttachment attachment(ifindex);
  if (dispatcher) {
    auto entry = DispatcherEntry::attach(source, ifindex);
    if (entry) {
      attachment.entry_ = std::move(*entry);
      return attachment;
    }
    // Nothing else can join what is there, so this is the reason that helps.
    if (const auto present = present_program(ifindex).value_or(std::nullopt);
        present && present->name == dispatcher_name)
      return std::unexpected(entry.error());
  }
  LIBBPF_OPTS(bpf_link_create_opts, options, .flags = XDP_FLAGS_DRV_MODE);
  const int fd = bpf_link_create(source.object.program_fd(), static_cast<int>(ifindex), BPF_XDP, &options);
  if (fd < 0) return fail_system("attaching the XDP program to " + device_text(ifindex) + " in native mode", -fd);
  attachment.link_.reset(fd);
  return attachment;
}

void XdpAttachment::detach() {
  link_.reset();
  entry_.reset();
}

bool XdpAttachment::attached() const {
  if (entry_) {
    const BpfLog log;
    return entry_->attached();
  }
  bpf_link_info info{};
  uint32_t size = sizeof info;
  return link_ && bpf_obj_get_info_by_fd(link_.get(), &info, &size) == 0 && info.xdp.ifindex != 0;
}

bool dispatcher_possible(const BpfObject& object) {
  if (!has_capability(CAP_SYS_ADMIN)) return false;  // libxdp looks for what others loaded
  const BpfLog log;
  const auto twin = object.twin();
  if (!twin) return false;
  bpf_program* program = twin->program();
  if (bpf_program__set_type(program, BPF_PROG_TYPE_EXT) != 0 ||
      bpf_program__set_expected_attach_type(program, static_cast<bpf_attach_type>(0)) != 0 ||
      bpf_program__set_attach_target(program, object.program_fd(), xdp_program_name) != 0 ||
      bpf_object__load(twin->object()) != 0)
    return false;
  const FileDescriptor link(bpf_raw_tracepoint_open(nullptr, twin->program_fd()));
  return static_cast<bool>(link);
}

}  // namespace centipede
