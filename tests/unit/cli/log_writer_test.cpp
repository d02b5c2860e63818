// Who logs never waits for who reads the log.
#include "cli/log_writer.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <string>
#include <thread>

#include "base/file_descriptor.h"

namespace centipede::cli {
namespace {

using Clock = std::chrono::steady_clock;

class LogWriterTest : public testing::Test {
 protected:
  LogWriterTest() {
    std::array<int, 2> ends{};
    EXPECT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
    in_.reset(ends[0]);
    out_.reset(ends[1]);
  }
  void fill() {
    const std::string page(4096, '.');
    ASSERT_EQ(fcntl(out_.get(), F_SETPIPE_SZ, page.size()), 4096);
    ASSERT_EQ(write(out_.get(), page.data(), page.size()), 4096);
  }
  // All that has been written.
  std::string rest() {
    out_.reset();
    std::string all;
    std::array<char, 4096> piece;
    for (ssize_t got = 0; (got = read(in_.get(), piece.data(), piece.size())) > 0;)
      all.append(piece.data(), static_cast<size_t>(got));
    return all;
  }

  FileDescriptor in_;
  FileDescriptor out_;
};

TEST_F(LogWriterTest, lines_come_out_whole_and_in_order) {
  std::string all;
  {
    LogWriter writer(out_.get());
    for (int i = 0; i < 2000; ++i) {
      const std::string line = "line " + std::to_string(i) + "\n";
      ASSERT_TRUE(writer.take(line));
      all += line;
    }
    EXPECT_TRUE(writer.drain());
  }
  EXPECT_EQ(rest(), all);
}

TEST_F(LogWriterTest, nobody_reads_and_neither_a_line_nor_the_end_waits_for_that) {
  fill();
  const std::string line(1000, 'x');
  const auto begin = Clock::now();
  {
    LogWriter writer(out_.get(), 10000);
    int taken = 0;
    for (int i = 0; i < 1000; ++i)
      taken += writer.take(line) ? 1 : 0;
    EXPECT_GE(taken, 10) << "what the limit allows";
    EXPECT_LE(taken, 20) << "as much is being written";
    EXPECT_LT(Clock::now() - begin, std::chrono::milliseconds(900));
  }
  EXPECT_LT(Clock::now() - begin, std::chrono::seconds(10));
}

TEST_F(LogWriterTest, once_somebody_reads_all_that_was_taken_comes_out_and_more_is_taken) {
  fill();
  const std::string line(1000, 'x');
  size_t taken = 0;
  std::string all;
  std::thread reader;
  {
    LogWriter writer(out_.get(), 10000);
    for (int i = 0; i < 1000; ++i)
      taken += writer.take(line) ? 1 : 0;
    reader = std::thread([&] {
      std::array<char, 4096> piece;
      for (ssize_t got = 0; (got = read(in_.get(), piece.data(), piece.size())) > 0;)
        all.append(piece.data(), static_cast<size_t>(got));
    });
    EXPECT_TRUE(writer.drain());
    EXPECT_TRUE(writer.take("the last"));
  }
  out_.reset();
  reader.join();
  EXPECT_EQ(all.size(), 4096 + taken * line.size() + 8);
  EXPECT_TRUE(all.ends_with("xthe last"));
}

}  // namespace
}  // namespace centipede::cli
