#include "dataplane/preshared_key_files.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "crypto/keys.h"
#include "temporary_folder.h"

namespace centipede {
namespace {

crypto::SecretKey key_of(uint8_t first) {
  const std::array<uint8_t, 32> bytes{first};
  return crypto::SecretKey(bytes);
}

class PresharedKeyFilesTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(crypto::initialise()); }

  [[nodiscard]] std::optional<crypto::SecretKey> read_from(const std::string& content) const {
    std::ofstream(path_, std::ios::binary) << content;
    return read_preshared_key(path_);
  }

  TemporaryFolder folder_;
  std::string path_ = folder_.file("office.psk");
};

TEST_F(PresharedKeyFilesTest, each_reading_finds_the_key_that_is_there_now) {
  for (const uint8_t first : {uint8_t{1}, uint8_t{2}}) {
    const auto key = read_from(crypto::to_base64(key_of(first).view()) + "\n");
    ASSERT_TRUE(key);
    EXPECT_TRUE(key->equals(key_of(first)));
  }
  const auto spaced = read_from(" \t\r\n" + crypto::to_base64(key_of(3).view()) + "\r\n\n");
  ASSERT_TRUE(spaced);
  EXPECT_TRUE(spaced->equals(key_of(3)));
}

TEST_F(PresharedKeyFilesTest, what_holds_no_key_gives_none) {
  const std::string key = crypto::to_base64(key_of(1).view());
  for (const std::string& content :
       {std::string(), std::string("\n"), key.substr(1), key + "A", key + " " + key, "# " + key, std::string(44, '!'),
        std::string(44, '\0'), std::string(5000, ' ') + key}) {
    EXPECT_FALSE(read_from(content)) << content;
  }
}

TEST_F(PresharedKeyFilesTest, what_is_no_readable_file_gives_none_and_is_not_waited_for) {
  EXPECT_FALSE(read_preshared_key(path_));
  EXPECT_FALSE(read_preshared_key(""));
  EXPECT_FALSE(read_preshared_key(folder_.path()));
  EXPECT_FALSE(read_preshared_key("/dev/zero"));
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  EXPECT_FALSE(read_preshared_key(path_));
}

}  // namespace
}  // namespace centipede
