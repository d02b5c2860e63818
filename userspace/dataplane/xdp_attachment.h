// One device with the XDP program on it. Detached when the attachment is destroyed; nothing is left behind by a killed
// process either, where the kernel gives us a bpf_link (a plain attachment). Through libxdp's dispatcher, which lets
// several XDP programs share a device, the attachment would outlive the process; a pinned record lets the next daemon
// remove it (remove_leftovers). Survives its device: detaching from one that is gone does nothing.
// Threading: one thread. Each attachment owns all it needs, so it may outlive the XdpProgram it came from.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/file_descriptor.h"
#include "base/result.h"
#include "dataplane/bpf_object.h"

namespace centipede {

enum class XdpMode : uint8_t { automatic, native, generic };

class DispatcherEntry;

class XdpAttachment {
 public:
  // What an attachment is made of: the loaded object, whether this kernel takes programs for the dispatcher, and the
  // pin directory ("" for none).
  struct Source {
    const BpfObject& object;
    bool dispatcher = false;
    std::string pin_directory;
  };

  // automatic: native, then generic. A foreign program that cannot be joined is an error that names it.
  [[nodiscard]] static Result<XdpAttachment> attach(const Source& source, unsigned ifindex, XdpMode mode);

  XdpAttachment(XdpAttachment&&) noexcept;
  XdpAttachment& operator=(XdpAttachment&&) noexcept;
  ~XdpAttachment();

  void detach();
  // False after detach(), and when the device has gone or somebody else has removed the program.
  [[nodiscard]] bool attached() const;
  [[nodiscard]] unsigned ifindex() const { return ifindex_; }
  [[nodiscard]] bool native() const { return native_; }
  [[nodiscard]] bool with_dispatcher() const { return entry_ != nullptr; }
  // Why automatic mode ended up generic; empty otherwise.
  [[nodiscard]] const std::string& native_refusal() const { return native_refusal_; }

 private:
  XdpAttachment(unsigned ifindex, bool native);
  [[nodiscard]] static Result<XdpAttachment> attach_as(const Source& source, unsigned ifindex, bool native);

  unsigned ifindex_;
  bool native_;
  std::string native_refusal_;
  FileDescriptor link_;                     // a plain attachment
  std::unique_ptr<DispatcherEntry> entry_;  // or one through the dispatcher
};

// Whether this kernel lets one program replace a function of another (freplace), which libxdp's dispatcher is made of.
[[nodiscard]] bool dispatcher_possible(const BpfObject& object);

}  // namespace centipede
