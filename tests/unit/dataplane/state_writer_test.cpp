#include "dataplane/state_writer.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <condition_variable>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <random>
#include <sstream>
#include <thread>

#include "temporary_folder.h"

namespace centipede {
namespace {

using Clock = std::chrono::steady_clock;
using testing::HasSubstr;
constexpr auto patience = std::chrono::seconds(20);

SavedState state_of(uint64_t sent_limit_ns) {
  return {.sent_limit_ns = sent_limit_ns, .peers = {}};
}

std::string content_of(const std::string& path) {
  std::ostringstream content;
  content << std::ifstream(path, std::ios::binary).rdbuf();
  return content.str();
}

size_t open_descriptors() {
  const std::filesystem::directory_iterator entries("/proc/self/fd");
  return static_cast<size_t>(std::distance(begin(entries), end(entries)));
}

mode_t mode_of(const std::string& path) {
  struct stat state{};
  EXPECT_EQ(lstat(path.c_str(), &state), 0) << path;
  return state.st_mode & 07777;
}

// Keeps what is told as "level: text".
class Told {
 public:
  StateWriter::Tell teller() {
    return [this](TunnelEvent::Level level, const std::string& text) {
      const std::scoped_lock lock(mutex_);
      lines_.push_back((level == TunnelEvent::Level::warning ? "warning: " : "info: ") + text);
    };
  }
  [[nodiscard]] std::vector<std::string> lines() const {
    const std::scoped_lock lock(mutex_);
    return lines_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

// Writes the files and keeps count of the attempts.
class Attempts {
 public:
  StateWriter::WriteFile counted() {
    return [this](const std::string& path, std::string_view content) {
      const auto begun = Clock::now();
      auto outcome = replace_file(path, content);
      const std::scoped_lock lock(mutex_);
      begun_.push_back(begun);
      outcomes_.push_back(outcome.has_value());
      changed_.notify_all();
      return outcome;
    };
  }
  // Waits until there were `count` attempts that came out like this.
  [[nodiscard]] bool reached(long count, bool outcome) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, patience, [&] { return std::ranges::count(outcomes_, outcome) >= count; });
  }
  [[nodiscard]] std::vector<Clock::time_point> begun() const {
    const std::scoped_lock lock(mutex_);
    return begun_;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Clock::time_point> begun_;
  std::vector<bool> outcomes_;
};

class StateWriterTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(crypto::initialise());
    own_ = crypto::Identity::generate().public_key();
  }

  [[nodiscard]] SavedState read() const { return read_state(path_, own_).value(); }

  // Runs `body` with a file system of 64 KiB at the folder of path_, seen by this thread and its children alone.
  template <class Body>
  void on_a_small_disk(Body body) {
    std::thread([&] {
      ASSERT_EQ(unshare(CLONE_NEWNS), 0) << "needs root: " << std::strerror(errno);
      ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0) << std::strerror(errno);
      ASSERT_EQ(mount("tmpfs", folder_.path().c_str(), "tmpfs", 0, "size=64k"), 0) << std::strerror(errno);
      body();
    }).join();
  }

  TemporaryFolder folder_;
  Told told_;
  std::string path_ = state_path(folder_.path(), "cp0");
  crypto::PublicKey own_;
};

TEST_F(StateWriterTest, the_file_and_a_missing_folder_are_made_for_their_owner_alone) {
  path_ = state_path(folder_.file("centipede"), "cp0");
  const mode_t mask = umask(0);
  {
    StateWriter writer(path_, own_, told_.teller());
    EXPECT_TRUE(writer.save_now(state_of(5), patience));
    EXPECT_EQ(read(), state_of(5));
  }
  umask(mask);
  EXPECT_EQ(mode_of(path_), 0600U);
  EXPECT_EQ(mode_of(folder_.file("centipede")), 0700U);
  EXPECT_FALSE(std::filesystem::exists(path_ + ".new"));
}

TEST_F(StateWriterTest, many_saves_become_few_writes_and_the_newest_is_in_the_file_at_the_end) {
  Attempts attempts;
  const auto begin = Clock::now();
  {
    StateWriter writer(path_, own_, told_.teller(), attempts.counted());
    for (uint64_t i = 1; i <= 10000; ++i)
      writer.save(state_of(i));
  }
  const auto took = std::chrono::duration_cast<seconds>(Clock::now() - begin).count();
  EXPECT_LE(attempts.begun().size(), 2U + static_cast<size_t>(took)) << "one at once, one a second, one at the end";
  EXPECT_GE(attempts.begun().size(), 1U);
  EXPECT_EQ(read(), state_of(10000));
}

TEST_F(StateWriterTest, a_second_or_more_passes_between_two_writes) {
  Attempts attempts;
  StateWriter writer(path_, own_, told_.teller(), attempts.counted());
  ASSERT_TRUE(writer.save_now(state_of(1), patience));
  ASSERT_TRUE(writer.save_now(state_of(2), patience));
  const auto begun = attempts.begun();
  ASSERT_EQ(begun.size(), 2U);
  EXPECT_GE(begun[1] - begun[0], std::chrono::seconds(1));
  EXPECT_EQ(read(), state_of(2));
}

TEST_F(StateWriterTest, pauses_keep_to_20_kB_a_second_and_grow_to_a_minute_with_failures) {
  EXPECT_EQ(pause_after_write(0), seconds(1));
  EXPECT_EQ(pause_after_write(20'000), seconds(1));
  EXPECT_EQ(pause_after_write(50'000), milliseconds(2500));
  EXPECT_EQ(pause_after_write(16'000'000), seconds(800));
  EXPECT_EQ(pause_after_failure(1), seconds(1));
  EXPECT_EQ(pause_after_failure(2), seconds(2));
  EXPECT_EQ(pause_after_failure(6), seconds(32));
  EXPECT_EQ(pause_after_failure(7), seconds(60));
  EXPECT_EQ(pause_after_failure(4'000'000'000), seconds(60));
}

TEST_F(StateWriterTest, nothing_is_written_when_nothing_is_saved) {
  {
    const StateWriter writer(path_, own_, told_.teller());
  }
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(StateWriterTest, a_disk_that_does_not_answer_holds_up_neither_saves_nor_the_end) {
  struct Disk {
    std::mutex mutex;
    std::condition_variable changed;
    bool answers = false;
    int waiting = 0;
    std::string content;
  };
  const auto disk = std::make_shared<Disk>();
  const std::weak_ptr<Disk> seen = disk;
  const auto begin = Clock::now();
  {
    StateWriter writer(
        path_, own_, told_.teller(),
        [disk](const std::string&, std::string_view content) -> Result<void> {
          std::unique_lock lock(disk->mutex);
          ++disk->waiting;
          disk->changed.notify_all();
          disk->changed.wait(lock, [&] { return disk->answers; });
          disk->content = content;
          return {};
        },
        milliseconds(20));
    EXPECT_FALSE(writer.save_now(state_of(1), milliseconds(20)));
    std::unique_lock lock(disk->mutex);
    ASSERT_TRUE(disk->changed.wait_for(lock, patience, [&] { return disk->waiting == 1; }));
    lock.unlock();
    for (uint64_t i = 2; i <= 1000; ++i)
      writer.save(state_of(i));
  }
  EXPECT_LT(Clock::now() - begin, std::chrono::seconds(4)) << "the usual patience at the end is 5 s";
  {
    const std::scoped_lock lock(disk->mutex);
    disk->answers = true;
    disk->changed.notify_all();
  }
  // When the disk lets it, the thread writes what was saved meanwhile, and goes with all that it held.
  const auto deadline = Clock::now() + patience;
  while (seen.use_count() > 1 && Clock::now() < deadline)
    std::this_thread::yield();
  ASSERT_EQ(seen.use_count(), 1);
  const std::scoped_lock lock(disk->mutex);
  EXPECT_EQ(disk->content, format_state(state_of(1000), own_));
}

TEST_F(StateWriterTest, a_full_disk_keeps_the_old_file_and_is_told_of_once_and_so_is_the_end_of_it) {
  on_a_small_disk([&] {
    Told log;
    Attempts attempts;
    {
      StateWriter writer(path_, own_, log.teller(), attempts.counted());
      ASSERT_TRUE(writer.save_now(state_of(1), patience));
      const std::string filler = folder_.file("filler");
      std::ofstream(filler) << std::string(1 << 20, 'x') << std::flush;
      writer.save(state_of(2));
      ASSERT_TRUE(attempts.reached(2, false));
      EXPECT_EQ(read(), state_of(1));
      EXPECT_FALSE(std::filesystem::exists(path_ + ".new"));
      ASSERT_EQ(unlink(filler.c_str()), 0);
      ASSERT_TRUE(attempts.reached(2, true)) << "without another save";
      EXPECT_EQ(read(), state_of(2));
    }
    const auto lines = log.lines();
    ASSERT_EQ(lines.size(), 2U) << testing::PrintToString(lines);
    EXPECT_THAT(lines[0], HasSubstr("warning: the state is not saved"));
    EXPECT_THAT(lines[0], HasSubstr("cp0.state.new: No space left on device"));
    EXPECT_THAT(lines[1], HasSubstr("info: the state is saved again"));
  });
}

TEST_F(StateWriterTest, a_read_only_disk_keeps_the_old_file_and_delays_the_end_by_one_attempt_at_most) {
  on_a_small_disk([&] {
    Told log;
    Attempts attempts;
    size_t before_the_end = 0;
    ASSERT_TRUE(replace_file(path_, format_state(state_of(1), own_)));
    ASSERT_EQ(mount(nullptr, folder_.path().c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr), 0);
    {
      StateWriter writer(path_, own_, log.teller(), attempts.counted());
      EXPECT_FALSE(writer.save_now(state_of(2), milliseconds(20)));
      ASSERT_TRUE(attempts.reached(1, false));
      before_the_end = attempts.begun().size();
    }
    EXPECT_EQ(attempts.begun().size(), before_the_end + 1);
    EXPECT_EQ(read(), state_of(1));
    ASSERT_EQ(log.lines().size(), 1U);
    EXPECT_THAT(log.lines()[0], HasSubstr("Read-only file system"));
  });
}

TEST_F(StateWriterTest, a_folder_that_cannot_be_made_is_an_error_that_names_it) {
  std::ofstream(folder_.file("plain")) << "x";
  const auto below_a_file = replace_file(folder_.file("plain/cp0.state"), "y");
  ASSERT_FALSE(below_a_file);
  EXPECT_THAT(below_a_file.error().text,
              HasSubstr("opening the folder " + folder_.file("plain") + ": Not a directory"));
  const auto two_missing = replace_file(folder_.file("a/b/cp0.state"), "y");
  ASSERT_FALSE(two_missing);
  EXPECT_THAT(two_missing.error().text, HasSubstr("making the folder " + folder_.file("a/b") + ": No such file"));
}

TEST_F(StateWriterTest, what_a_killed_process_left_is_replaced) {
  std::ofstream(path_ + ".new") << std::string(100000, 'x');
  chmod((path_ + ".new").c_str(), 0666);
  ASSERT_TRUE(replace_file(path_, "whole"));
  EXPECT_EQ(content_of(path_), "whole");
  EXPECT_EQ(mode_of(path_), 0600U);
  EXPECT_FALSE(std::filesystem::exists(path_ + ".new"));
}

TEST_F(StateWriterTest, a_link_in_the_place_of_the_temporary_file_is_not_followed) {
  const std::string victim = folder_.file("victim");
  std::ofstream(victim) << "untouched";
  ASSERT_EQ(symlink(victim.c_str(), (path_ + ".new").c_str()), 0);
  ASSERT_TRUE(replace_file(path_, "whole"));
  EXPECT_EQ(content_of(victim), "untouched");
  EXPECT_EQ(content_of(path_), "whole");
  EXPECT_TRUE(std::filesystem::is_regular_file(std::filesystem::symlink_status(path_)));
  // Nor one to a file that is not there yet.
  ASSERT_EQ(symlink(folder_.file("planted").c_str(), (path_ + ".new").c_str()), 0);
  ASSERT_TRUE(replace_file(path_, "whole again"));
  EXPECT_FALSE(std::filesystem::exists(folder_.file("planted")));
}

TEST_F(StateWriterTest, a_process_killed_at_any_moment_leaves_the_old_or_the_new_file) {
  const std::string one = format_state(state_of(1), own_);
  const std::string other = format_state(state_of(2), own_);
  ASSERT_TRUE(replace_file(path_, one));
  std::mt19937 random(23);
  for (int round = 0; round < 25; ++round) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    while (child == 0) {
      // Byte by byte would be the worst case; whole files with all their steps come near enough.
      if (!replace_file(path_, other) || !replace_file(path_, one)) _exit(1);
    }
    usleep(static_cast<useconds_t>(random() % 5000));
    ASSERT_EQ(kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child failed by itself";
    const auto state = read_state(path_, own_);
    ASSERT_TRUE(state) << state.error().text;
    EXPECT_TRUE(*state == state_of(1) || *state == state_of(2));
  }
}

TEST_F(StateWriterTest, no_descriptor_is_left_open) {
  const size_t before = open_descriptors();
  std::ofstream(folder_.file("plain")) << "x";
  ASSERT_EQ(mkdir(folder_.file("taken").c_str(), 0700), 0);
  for (int i = 0; i < 50; ++i) {
    EXPECT_TRUE(replace_file(path_, "x"));
    EXPECT_FALSE(replace_file(folder_.file("plain/cp0.state"), "x"));
    EXPECT_FALSE(replace_file(folder_.file("taken"), "x")) << "a folder is no file to replace";
    EXPECT_FALSE(replace_file(folder_.file("a/b/cp0.state"), "x"));
  }
  EXPECT_EQ(open_descriptors(), before);
  EXPECT_FALSE(std::filesystem::exists(folder_.file("taken.new")));
}

}  // namespace
}  // namespace centipede
