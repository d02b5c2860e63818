#include <fcntl.h>
#include <gtest/gtest.h>

#include <array>

#include "base/bytes.h"
#include "base/file_descriptor.h"
#include "base/result.h"

namespace centipede {
namespace {

bool is_open(int fd) {
  return ::fcntl(fd, F_GETFD) >= 0;
}

TEST(Bytes, IntegersAreBigEndianInMemory) {
  std::array<uint8_t, 9> raw{};
  store_be<uint64_t>(raw.data() + 1, 0x0102030405060708);  // deliberately unaligned
  EXPECT_EQ(raw, (std::array<uint8_t, 9>{0, 1, 2, 3, 4, 5, 6, 7, 8}));
  EXPECT_EQ(load_be<uint64_t>(raw.data() + 1), 0x0102030405060708U);
  EXPECT_EQ(load_be<uint32_t>(raw.data() + 1), 0x01020304U);
  EXPECT_EQ(load_be<uint16_t>(raw.data() + 1), 0x0102U);
  EXPECT_EQ(load_be<uint8_t>(raw.data() + 1), 1U);
}

TEST(FileDescriptor, ClosesWhatItOwnsAndOnlyThat) {
  const int raw = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ASSERT_GE(raw, 0);
  {
    FileDescriptor first(raw);
    FileDescriptor second(std::move(first));
    EXPECT_EQ(second.get(), raw);
    FileDescriptor third;
    EXPECT_FALSE(third);
    third = std::move(second);
    EXPECT_TRUE(third);
    EXPECT_TRUE(is_open(raw));
  }
  EXPECT_FALSE(is_open(raw));
}

TEST(FileDescriptor, ReleaseHandsOverTheDescriptor) {
  const int raw = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ASSERT_GE(raw, 0);
  {
    FileDescriptor owner(raw);
    EXPECT_EQ(owner.release(), raw);
  }
  EXPECT_TRUE(is_open(raw));
  FileDescriptor again(raw);
  again.reset();
  EXPECT_FALSE(is_open(raw));
}

TEST(Result, AnErrorNamesTheAttemptAndTheReason) {
  const Error error = system_error("opening /dev/net/tun", ENOENT);
  EXPECT_EQ(error.text, "opening /dev/net/tun: No such file or directory");
  EXPECT_EQ(error.code, ENOENT);
  const Result<int> result = fail("no such peer");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().text, "no such peer");
  EXPECT_EQ(result.error().code, 0);
}

}  // namespace
}  // namespace centipede
