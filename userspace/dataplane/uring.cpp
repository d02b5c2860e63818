#include "dataplane/uring.h"

#include <liburing.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <fstream>

namespace centipede {
namespace {

constexpr uint64_t cancel_token = Uring::token_limit;

// -1 where the setting does not exist (before Linux 6.6).
int disabled_setting() {
  std::ifstream file("/proc/sys/kernel/io_uring_disabled");
  int value = -1;
  return file >> value ? value : -1;
}

Error setup_error(int code) {
  Error error = system_error("setting up io_uring", code);
  const int disabled = disabled_setting();
  if (disabled > 0 && code == EPERM) {
    error.text += " (forbidden by kernel.io_uring_disabled = " + std::to_string(disabled) + ")";
  } else if (code == EPERM || code == EACCES) {
    error.text += " (forbidden, probably by a seccomp filter: containers and service managers set them)";
  } else if (code == ENOSYS) {
    error.text += " (the kernel was built without io_uring, or a seccomp filter hides it)";
  } else if (code == ENOMEM) {
    error.text += " (raise the limit of locked memory, RLIMIT_MEMLOCK)";
  }
  return error;
}

__kernel_timespec to_timespec(Duration timeout) {
  const auto whole = std::chrono::duration_cast<seconds>(timeout);
  return {.tv_sec = whole.count(), .tv_nsec = (timeout - whole).count()};
}

}  // namespace

void Uring::Close::operator()(io_uring* ring) const {
  // The kernel lets go of a closed ring's descriptors some time later: what we still wait for would keep the interface
  // and the ports for as long. Cancelled first, they are free when we return.
  io_uring_sync_cancel_reg everything{};
  everything.fd = -1;
  everything.flags = IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL;
  everything.timeout = {-1, -1};
  (void)io_uring_register_sync_cancel(ring, &everything);
  (void)io_uring_get_events(ring);
  io_uring_queue_exit(ring);
  delete ring;
}

Uring::Uring(std::unique_ptr<io_uring, Close> ring) : ring_(std::move(ring)), ready_(*ring_->cq.kring_entries) {}

Result<Uring> Uring::create(unsigned entries) {
  // Best first; older kernels refuse flags they do not know with EINVAL. TASKRUN_FLAG makes pending completions visible
  // in shared memory, so that collecting costs no system call while there are none.
  constexpr std::array flag_sets{IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
                                 IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG, 0U};
  int code = 0;
  for (const unsigned flags : flag_sets) {
    auto ring = std::make_unique<io_uring>();
    code = -io_uring_queue_init(entries, ring.get(), flags);
    if (code == 0) return Uring(std::unique_ptr<io_uring, Close>(ring.release()));
    if (code != EINVAL) break;
  }
  return std::unexpected(setup_error(code));
}

Result<io_uring_sqe*> Uring::submission() {
  io_uring_sqe* entry = io_uring_get_sqe(ring_.get());
  if (entry != nullptr) return entry;
  const int submitted = io_uring_submit(ring_.get());
  if (submitted < 0) return fail_system("submitting to io_uring", -submitted);
  entry = io_uring_get_sqe(ring_.get());
  if (entry == nullptr) return fail_system("submitting to io_uring", EBUSY);
  return entry;
}

Result<void> Uring::poll(int fd, uint64_t token) {
  const auto entry = submission();
  if (!entry) return std::unexpected(entry.error());
  io_uring_prep_poll_add(*entry, fd, POLLIN);
  io_uring_sqe_set_data64(*entry, token);
  return {};
}

Result<void> Uring::cancel(uint64_t token) {
  const auto entry = submission();
  if (!entry) return std::unexpected(entry.error());
  io_uring_prep_poll_remove(*entry, token);
  io_uring_sqe_set_data64(*entry, cancel_token);
  return {};
}

Result<std::span<const Ready>> Uring::wait(Duration timeout) {
  ready_.clear();
  int result = 0;
  if (timeout <= Duration::zero() || io_uring_cq_ready(ring_.get()) > 0) {
    if (io_uring_sq_ready(ring_.get()) > 0) result = io_uring_submit_and_get_events(ring_.get());
  } else if (timeout == Duration::max()) {
    result = io_uring_submit_and_wait(ring_.get(), 1);
  } else {
    __kernel_timespec spec = to_timespec(timeout);
    io_uring_cqe* first = nullptr;
    result = io_uring_submit_and_wait_timeout(ring_.get(), &first, 1, &spec, nullptr);
  }
  const bool nothing_wrong = result >= 0 || result == -ETIME || result == -EINTR || result == -EAGAIN;
  // EBUSY: completions have to be collected before more can be submitted. They are, below.
  if (!nothing_wrong && result != -EBUSY) return fail_system("waiting in io_uring", -result);
  collect();
  return std::span<const Ready>(ready_);
}

void Uring::collect() {
  std::array<io_uring_cqe*, 64> entries;
  unsigned count = 0;
  do {
    count = io_uring_peek_batch_cqe(ring_.get(), entries.data(), entries.size());
    for (unsigned i = 0; i < count; ++i) {
      const uint64_t token = io_uring_cqe_get_data64(entries[i]);
      const int result = entries[i]->res;
      if (token >= token_limit || result == -ECANCELED) continue;
      if (result >= 0) {
        ready_.push_back({token, static_cast<uint32_t>(result), 0});
      } else {
        ready_.push_back({token, 0, -result});
      }
    }
    io_uring_cq_advance(ring_.get(), count);
  } while (count == entries.size());
}

Result<WakeUp> WakeUp::create() {
  FileDescriptor fd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!fd) return fail_system("creating a wake-up event");
  return WakeUp(std::move(fd));
}

void WakeUp::wake() const {
  const uint64_t one = 1;
  // Fails only where 2^64 - 2 wake-ups are pending, which wake just as well.
  [[maybe_unused]] const ssize_t written = ::write(fd_.get(), &one, sizeof one);
}

bool WakeUp::drain() const {
  uint64_t count = 0;
  return ::read(fd_.get(), &count, sizeof count) == sizeof count;
}

}  // namespace centipede
