// What a command prints gets out whole, or its exit code says that it did not.
#include "cli/standard_output.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <sstream>
#include <thread>

#include "base/file_descriptor.h"

namespace centipede::cli {
namespace {

struct Pipe {
  FileDescriptor in;
  FileDescriptor out;
  Pipe() {
    std::array<int, 2> ends{};
    EXPECT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
    in.reset(ends[0]);
    out.reset(ends[1]);
  }
  [[nodiscard]] std::string rest() {
    out.reset();
    std::string all;
    std::array<char, 4096> piece;
    for (ssize_t got = 0; (got = read(in.get(), piece.data(), piece.size())) > 0;)
      all.append(piece.data(), static_cast<size_t>(got));
    return all;
  }
};

// What a command that printed `text` and ended with `code` ends with.
struct Ended {
  int code = -1;
  std::string err;
};
Ended end_of(int fd, const std::string& text, int code, void (*inherited)(int) = SIG_IGN) {
  StandardOutput output(fd);
  std::istringstream in;
  std::ostream out(&output);
  std::ostringstream err;
  Host host{.in = in,
            .out = out,
            .err = err,
            .start_tunnel = {},
            .missing_privilege = {},
            .clear_leftovers = {},
            .protect_memory = {}};
  out << text;
  Ended ended{.code = finished(host, output, inherited, code)};
  ended.err = err.str();
  return ended;
}

TEST(StandardOutputTest, what_is_printed_gets_out_whole_and_the_exit_code_stays) {
  for (const size_t size : {0, 1, 4095, 4096, 4097, 20000}) {
    Pipe pipe;
    std::string text;
    while (text.size() < size)
      text += static_cast<char>('a' + text.size() % 26);
    EXPECT_EQ(end_of(pipe.out.get(), text, failed).code, failed);
    EXPECT_EQ(pipe.rest(), text);
  }
}

TEST(StandardOutputTest, a_full_pipe_that_does_not_block_is_waited_for) {
  Pipe pipe;
  ASSERT_EQ(fcntl(pipe.out.get(), F_SETFL, O_NONBLOCK), 0);
  const std::string text(300'000, 'x');
  Ended ended;
  std::thread writer([&] {
    ended = end_of(pipe.out.get(), text, done);
    pipe.out.reset();
  });
  std::string all;
  std::array<char, 4096> piece;
  for (ssize_t got = 0; (got = read(pipe.in.get(), piece.data(), piece.size())) > 0;)
    all.append(piece.data(), static_cast<size_t>(got));
  writer.join();
  EXPECT_EQ(ended.code, done);
  EXPECT_EQ(all.size(), text.size());
}

TEST(StandardOutputTest, a_full_disk_is_a_failure_that_is_told) {
  const FileDescriptor full(open("/dev/full", O_WRONLY | O_CLOEXEC));
  ASSERT_TRUE(full);
  const Ended ended = end_of(full.get(), "a line\n", done);
  EXPECT_EQ(ended.code, failed);
  EXPECT_EQ(ended.err, "centipede: writing to standard output failed: No space left on device\n");
  EXPECT_EQ(end_of(full.get(), std::string(10'000, 'x'), wrong_usage).code, wrong_usage);
  EXPECT_EQ(end_of(full.get(), "", done).code, done) << "who prints nothing has lost nothing";
}

TEST(StandardOutputTest, a_reader_that_has_left_ends_us_as_it_ends_others) {
  Pipe pipe;
  pipe.in.reset();
  EXPECT_EXIT((void)end_of(pipe.out.get(), "a line\n", done, SIG_DFL), testing::KilledBySignal(SIGPIPE), "^$");
  const auto before = std::signal(SIGPIPE, SIG_IGN);
  const Ended ended = end_of(pipe.out.get(), "a line\n", done);
  (void)std::signal(SIGPIPE, before);
  EXPECT_EQ(ended.code, failed) << "where that signal is ignored";
  EXPECT_EQ(ended.err, "centipede: writing to standard output failed: Broken pipe\n");
}

}  // namespace
}  // namespace centipede::cli
