// The file of addresses between two processes of a tunnel.
#include "dataplane/last_addresses.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "temporary_folder.h"

namespace centipede {
namespace {

crypto::PublicKey key(uint8_t seed) {
  EXPECT_TRUE(crypto::initialise());
  const std::array<uint8_t, 32> bytes{seed};
  return crypto::Identity::from_seed(crypto::SecretKey(bytes)).public_key();
}

control::PathStatus path(const std::string& remote, control::PathState state) {
  control::PathStatus status;
  status.remote = *Endpoint::parse(remote);
  status.state = state;
  return status;
}

class LastAddressesTest : public testing::Test {
 protected:
  std::string file() { return last_addresses_path(folder_.path(), "cp0"); }
  void write(const std::string& text) { std::ofstream(file()) << text; }
  TemporaryFolder folder_;
};

TEST_F(LastAddressesTest, of_paths_that_are_up_are_taken_once) {
  using enum control::PathState;
  control::PeerStatus laptop;
  laptop.public_key = key(1);
  laptop.paths = {path("192.0.2.1:5820", active), path("192.0.2.1:5820", active), path("192.0.2.9:1", down),
                  path("[2001:db8::1]:4000", degraded), path("192.0.2.8:1", probing)};
  control::PeerStatus phone;
  phone.public_key = key(2);
  phone.paths = {path("198.51.100.1:6000", active)};
  ASSERT_TRUE(write_last_addresses(file(), {laptop, phone}));
  struct stat state{};
  ASSERT_EQ(stat(file().c_str(), &state), 0);
  EXPECT_EQ(state.st_mode & 0777, 0600U);
  ASSERT_TRUE(write_last_addresses(file(), {laptop, phone})) << "over an old one";
  const LastAddresses expected{{key(1), {*Endpoint::parse("192.0.2.1:5820"), *Endpoint::parse("[2001:db8::1]:4000")}},
                               {key(2), {*Endpoint::parse("198.51.100.1:6000")}}};
  EXPECT_EQ(take_last_addresses(file()), expected);
  EXPECT_TRUE(take_last_addresses(file()).empty());
}

TEST_F(LastAddressesTest, that_are_a_minute_old_are_not_believed) {
  write(key(1).base64() + " 192.0.2.1:5820\n");
  const std::array<timespec, 2> then{timespec{.tv_sec = time(nullptr) - 61}, timespec{.tv_sec = time(nullptr) - 61}};
  ASSERT_EQ(utimensat(AT_FDCWD, file().c_str(), then.data(), 0), 0);
  EXPECT_TRUE(take_last_addresses(file()).empty());
  EXPECT_FALSE(std::filesystem::exists(file())) << "and not kept";
}

TEST_F(LastAddressesTest, that_make_no_sense_are_left_out) {
  EXPECT_TRUE(take_last_addresses(file()).empty());
  const std::string good = key(1).base64() + " 192.0.2.1:5820\n";
  write("\n \nx\n" + key(1).base64() + "\n" + key(1).base64() + " 192.0.2.1\n" + std::string(1000, 'x') + " " + good +
        std::string(7, '\0') + "\n" + good);
  EXPECT_EQ(take_last_addresses(file()), (LastAddresses{{key(1), {*Endpoint::parse("192.0.2.1:5820")}}}));
}

}  // namespace
}  // namespace centipede
