// One device with the XDP program in its driver (native mode). Detached when the attachment is destroyed; nothing is
// left behind by a killed process either, where the kernel gives us a bpf_link (a plain attachment). Through libxdp's
// dispatcher, which lets several XDP programs share a device, the attachment would outlive the process; a pinned record
// lets the next daemon remove it (remove_leftovers). Survives its device: detaching from one that is gone does nothing.
// Threading: one thread. Each attachment owns all it needs, so it may outlive the XdpProgram it came from.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "base/file_descriptor.h"
#include "base/result.h"
#include "dataplane/bpf_object.h"

namespace centipede {

class DispatcherEntry;

class XdpAttachment {
 public:
  // What an attachment is made of: the loaded object, whether this kernel takes programs for the dispatcher, and the
  // pin directory ("" for none). Until `patience`, one of ours that is on the device already is waited for to go.
  struct Source {
    const BpfObject& object;
    bool dispatcher = false;
    std::string pin_directory;
    std::chrono::steady_clock::time_point patience;
  };

  // A foreign program that cannot be joined is an error that names it.
  //
  // Never in the kernel's generic mode, behind the driver: there the program is given socket buffers, and one that a
  // device of software passes on may be a whole train of packets, which nothing tells from a single one. It also keeps
  // the kernel from joining packets (GRO) for all of the device's traffic.
  [[nodiscard]] static Result<XdpAttachment> attach(const Source& source, unsigned ifindex);

  XdpAttachment(XdpAttachment&&) noexcept;
  XdpAttachment& operator=(XdpAttachment&&) noexcept;
  ~XdpAttachment();

  void detach();
  // False after detach(), and when the device has gone or somebody else has removed the program.
  [[nodiscard]] bool attached() const;
  [[nodiscard]] unsigned ifindex() const { return ifindex_; }
  [[nodiscard]] bool with_dispatcher() const { return entry_ != nullptr; }

 private:
  explicit XdpAttachment(unsigned ifindex);

  unsigned ifindex_;
  FileDescriptor link_;                     // a plain attachment
  std::unique_ptr<DispatcherEntry> entry_;  // or one through the dispatcher
};

// Whether this kernel lets one program replace a function of another (freplace), which libxdp's dispatcher is made of.
[[nodiscard]] bool dispatcher_possible(const BpfObject& object);

}  // namespace centipede
