#include "dataplane/state_writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <filesystem>
#include <mutex>
#include <optional>
#include <thread>

#include "base/file_descriptor.h"

namespace centipede {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint64_t bytes_a_second = 20'000;
constexpr Duration pause_min = seconds(1);
constexpr Duration pause_max = seconds(60);

Result<void> sync(const FileDescriptor& file, const std::string& path) {
  if (fsync(file.get()) == 0) return {};
  return fail_system("writing " + path);
}

// Some file systems have nothing to sync for a folder, and say EINVAL.
Result<void> sync_folder(const FileDescriptor& folder, const std::string& path) {
  if (fsync(folder.get()) == 0 || errno == EINVAL) return {};
  return fail_system("writing the folder " + path);
}

Result<FileDescriptor> open_folder(const std::string& path) {
  FileDescriptor folder(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return fail_system("opening the folder " + path);
  return folder;
}

std::string parent_of(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

Result<FileDescriptor> open_or_make_folder(const std::string& path) {
  auto folder = open_folder(path);
  if (folder || folder.error().code != ENOENT) return folder;
  if (mkdir(path.c_str(), 0700) != 0) return fail_system("making the folder " + path);
  auto parent = open_folder(parent_of(path));
  if (!parent) return parent;
  if (auto synced = sync_folder(*parent, path); !synced) return std::unexpected(synced.error());
  return open_folder(path);
}

// A new file: neither one that a killed process left nor what somebody's link points to.
Result<FileDescriptor> create(const FileDescriptor& folder, const std::string& name, const std::string& path) {
  constexpr int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  FileDescriptor file(openat(folder.get(), name.c_str(), flags, 0600));
  if (!file && errno == EEXIST) {
    if (unlinkat(folder.get(), name.c_str(), 0) != 0) return fail_system("removing " + path);
    file.reset(openat(folder.get(), name.c_str(), flags, 0600));
  }
  if (!file) return fail_system("creating " + path);
  return file;
}

Result<void> write_all(const FileDescriptor& file, std::string_view content, const std::string& path) {
  while (!content.empty()) {
    const ssize_t written = write(file.get(), content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail_system("writing " + path);
    content.remove_prefix(static_cast<size_t>(written));
  }
  return sync(file, path);
}

}  // namespace

Result<void> replace_file(const std::string& path, std::string_view content) {
  const std::string folder_path = parent_of(path);
  const std::string name = std::filesystem::path(path).filename().string();
  const std::string new_name = name + ".new";
  const std::string new_path = folder_path + "/" + new_name;
  const auto folder = open_or_make_folder(folder_path);
  if (!folder) return std::unexpected(folder.error());
  const auto file = create(*folder, new_name, new_path);
  if (!file) return std::unexpected(file.error());
  auto written = write_all(*file, content, new_path);
  if (written && renameat(folder->get(), new_name.c_str(), folder->get(), name.c_str()) != 0) {
    written = fail_system("renaming " + new_path);
  }
  if (!written) {
    unlinkat(folder->get(), new_name.c_str(), 0);
    return written;
  }
  return sync_folder(*folder, folder_path);
}

Duration pause_after_write(size_t bytes) {
  return std::max<Duration>(pause_min, milliseconds(bytes * 1000 / bytes_a_second));
}

Duration pause_after_failure(unsigned failures) {
  return std::min<Duration>(pause_max, pause_min * (1U << std::min(failures - 1, 6U)));
}

// What the owner and the thread have in common; it lives as long as the later of them.
struct StateWriter::Shared {
  Shared(std::string file_path, const crypto::PublicKey& key, Tell teller, WriteFile write)
      : path(std::move(file_path)), own_key(key), tell(std::move(teller)), write_file(std::move(write)) {}

  const std::string path;
  const crypto::PublicKey own_key;
  const Tell tell;
  const WriteFile write_file;

  std::mutex mutex;
  std::condition_variable changed;
  std::optional<SavedState> next;  // handed in, and not yet taken by the thread
  uint64_t newest = 0;             // how many snapshots were handed in: the newest one's number
  uint64_t durable = 0;            // the number of the one in the file
  bool stopping = false;
  bool abandoned = false;  // the owner went without us
  bool finished = false;

  uint64_t submit(SavedState state);
  void run();

 private:
  void note(const Result<void>& outcome);

  unsigned failures_ = 0;  // in a row
};

uint64_t StateWriter::Shared::submit(SavedState state) {
  std::optional<SavedState> fresh(std::move(state));  // after the swap the replaced one, freed without the lock
  const std::scoped_lock lock(mutex);
  next.swap(fresh);
  changed.notify_all();
  return ++newest;
}

// Runs in the thread: the newest snapshot, when its time has come; again after a failure; until the owner goes.
void StateWriter::Shared::run() {
  std::string text;
  uint64_t number = 0;
  auto not_before = Clock::now();
  std::unique_lock lock(mutex);
  while (true) {
    changed.wait(lock, [&] { return stopping || newest > durable; });
    changed.wait_until(lock, not_before, [&] { return stopping; });
    if (newest == durable) break;
    const bool last = stopping;
    const auto state = std::exchange(next, std::nullopt);
    if (state) number = newest;
    lock.unlock();
    if (state) text = format_state(*state, own_key);
    const auto outcome = write_file(path, text);
    lock.lock();
    if (outcome) durable = number;
    note(outcome);
    not_before = Clock::now() + (outcome ? pause_after_write(text.size()) : pause_after_failure(failures_));
    changed.notify_all();
    if (last) break;
  }
  finished = true;
  changed.notify_all();
}

// Counts failures and tells where they begin and end. Under the lock, so that no owner who gives us up does so
// meanwhile.
void StateWriter::Shared::note(const Result<void>& outcome) {
  const unsigned before = std::exchange(failures_, outcome ? 0 : failures_ + 1);
  if (abandoned) return;
  if (!outcome && before == 0) {
    tell(TunnelEvent::Level::warning, "the state is not saved, which is tried again: " + outcome.error().text);
  } else if (outcome && before != 0) {
    tell(TunnelEvent::Level::info, "the state is saved again in " + path);
  }
}

StateWriter::StateWriter(std::string path, const crypto::PublicKey& own_key, Tell tell, WriteFile write_file,
                         Duration patience)
    : shared_(std::make_shared<Shared>(std::move(path), own_key, std::move(tell), std::move(write_file))),
      patience_(patience),
      thread_([shared = shared_] { shared->run(); }) {}

StateWriter::~StateWriter() {
  std::unique_lock lock(shared_->mutex);
  shared_->stopping = true;
  shared_->changed.notify_all();
  if (shared_->changed.wait_for(lock, patience_, [&] { return shared_->finished; })) {
    lock.unlock();
    thread_.join();
  } else {
    shared_->abandoned = true;
    thread_.detach();
  }
}

void StateWriter::save(SavedState state) {
  shared_->submit(std::move(state));
}

bool StateWriter::save_now(SavedState state, Duration timeout) {
  const uint64_t number = shared_->submit(std::move(state));
  std::unique_lock lock(shared_->mutex);
  return shared_->changed.wait_for(lock, timeout, [&] { return shared_->durable >= number; });
}

}  // namespace centipede
