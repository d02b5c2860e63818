// Configurations as texts: genuine parts to put together, and what a refusal must look like.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "config/config.h"
#include "temporary_folder.h"

namespace centipede {

using testing::HasSubstr;

inline std::string key_text(uint8_t seed) {
  const std::array<uint8_t, 32> bytes{seed};
  return crypto::to_base64(bytes);
}

inline std::string public_text(uint8_t seed) {
  const std::array<uint8_t, 32> bytes{seed};
  return crypto::Identity::from_seed(crypto::SecretKey(bytes)).public_key().base64();
}

inline std::string interface_text(const std::string& more = "") {
  return "[interface]\nprivate_key = \"" + key_text(1) + "\"\n" + more;
}

inline std::string peer_text(uint8_t seed, const std::string& more = "") {
  return "[[peer]]\npublic_key = \"" + public_text(seed) + "\"\n" + more;
}

inline Result<LoadedConfig> parse(const std::string& text) {
  return parse_config(text, "/etc/centipede/cp0.toml");
}

class ConfigTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(crypto::initialise()); }

  // The file is refused, in this line and with these words.
  static void refused(const std::string& text, int line, const std::vector<std::string>& words) {
    const auto loaded = parse(text);
    ASSERT_FALSE(loaded) << text;
    const std::string& error = loaded.error().text;
    EXPECT_THAT(error, testing::StartsWith("/etc/centipede/cp0.toml:" + std::to_string(line) + ":")) << text;
    for (const auto& word : words)
      EXPECT_THAT(error, HasSubstr(word)) << text;
    EXPECT_THAT(error, HasSubstr("; ")) << "says what to do";
    EXPECT_THAT(error, testing::Not(HasSubstr(key_text(1)))) << "shows no key";
    EXPECT_THAT(error, testing::Not(HasSubstr("\n")));
  }

  std::string write(const std::string& name, const std::string& content, mode_t mode = 0600) {
    std::ofstream(folder_.file(name), std::ios::binary) << content;
    chmod(folder_.file(name).c_str(), mode);
    return folder_.file(name);
  }

  TemporaryFolder folder_;
};

}  // namespace centipede
