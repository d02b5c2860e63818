#include "cli/log_writer.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <string>
#include <utility>

#include "dataplane/capabilities.h"

namespace centipede::cli {
namespace {

constexpr auto drain_patience = std::chrono::seconds(1);

// A line that cannot be written, since its reader or the disk's room has gone, is lost: there is nobody to tell.
void write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(fd, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<size_t>(written));
    } else if (errno == EAGAIN) {  // somebody who shares it has made it so
      pollfd waiting{fd, POLLOUT, 0};
      (void)poll(&waiting, 1, -1);
    } else if (errno != EINTR) {
      return;
    }
  }
}

}  // namespace

struct LogWriter::Queue {
  std::mutex mutex;
  std::condition_variable changed;
  std::string waiting;
  bool writing = false;
  bool ended = false;
};

LogWriter::LogWriter(int fd, size_t limit) : queue_(std::make_shared<Queue>()), limit_(limit) {
  // Signals are for the other threads, also those that are blocked there only later.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([queue = queue_, fd] { serve(*queue, fd); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

LogWriter::~LogWriter() {
  const bool written = drain();
  {
    const std::scoped_lock lock(queue_->mutex);
    queue_->ended = true;
  }
  queue_->changed.notify_all();
  if (written) {
    thread_.join();
  } else {
    thread_.detach();
  }
}

void LogWriter::serve(Queue& queue, int fd) {
  (void)keep_capabilities({});  // it may be there before the tunnel drops its own, and needs none
  std::string batch;
  std::unique_lock lock(queue.mutex);
  while (true) {
    queue.changed.wait(lock, [&] { return queue.ended || !queue.waiting.empty(); });
    if (queue.waiting.empty()) return;
    batch.clear();
    std::swap(batch, queue.waiting);
    queue.writing = true;
    lock.unlock();
    write_all(fd, batch);
    lock.lock();
    queue.writing = false;
    queue.changed.notify_all();
  }
}

bool LogWriter::take(std::string_view line) {
  {
    const std::scoped_lock lock(queue_->mutex);
    if (queue_->waiting.size() + line.size() > limit_) return false;
    queue_->waiting += line;
  }
  queue_->changed.notify_all();
  return true;
}

bool LogWriter::drain() {
  std::unique_lock lock(queue_->mutex);
  return queue_->changed.wait_for(lock, drain_patience, [this] { return queue_->waiting.empty() && !queue_->writing; });
}

}  // namespace centipede::cli
