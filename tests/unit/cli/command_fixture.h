// The commands as a user types them, with a fake tunnel in the daemon's place and folders of the test's own.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <functional>
#include <sstream>
#include <thread>

#include "../api/fake_tunnel.h"
#include "api/client.h"
#include "cli/command_line.h"
#include "temporary_folder.h"

namespace centipede::cli {

// Counts how many of it there are at the same time.
class FakeRunningTunnel : public api::FakeTunnel {
 public:
  FakeRunningTunnel(TunnelConfig config, std::atomic<int>& running)
      : FakeTunnel(std::move(config.live)), running_(running) {
    ++running_;
  }
  ~FakeRunningTunnel() override { --running_; }

 private:
  std::atomic<int>& running_;
};

struct Outcome {
  int code = -1;
  std::string out;
  std::string err;
};

class CommandTest : public testing::Test {
 protected:
  CommandTest() {
    std::filesystem::create_directory(folder_.file("etc"));
    EXPECT_TRUE(crypto::initialise());
    const std::array<uint8_t, 32> own{1};
    const std::array<uint8_t, 32> other{2};
    config_ = "[interface]\nprivate_key = \"" + crypto::to_base64(own) +
              "\"\nuplinks = [\"eth0\"]\n[[peer]]\npublic_key = \"" +
              crypto::Identity::from_seed(crypto::SecretKey(other)).public_key().base64() + "\"\n";
  }

  Outcome run(const std::vector<std::string>& arguments, const std::string& input = "") {
    std::istringstream in(input);
    std::ostringstream out;
    std::ostringstream err;
    Host host{.in = in,
              .out = out,
              .err = err,
              .start_tunnel = [this](TunnelConfig config) -> Result<std::unique_ptr<RunningTunnel>> {
                if (!start_error_.empty()) return fail(start_error_);
                return std::make_unique<FakeRunningTunnel>(std::move(config), running_);
              },
              .missing_privilege = [this] { return missing_privilege_; },
              .clear_leftovers = [this](const std::string&) { return leftovers_; },
              .protect_memory = [] {}};
    host.config_directory = folder_.file("etc");
    host.runtime_directory = folder_.file("run");
    std::vector<const char*> argv{"centipede"};
    for (const auto& argument : arguments)
      argv.push_back(argument.c_str());
    Outcome outcome;
    outcome.code = run_command_line(host, static_cast<int>(argv.size()), argv.data());
    outcome.out = out.str();
    outcome.err = err.str();
    return outcome;
  }

  std::string write(const std::string& name, const std::string& content) {
    const std::string path = folder_.file(name);
    std::ofstream(path) << content;
    chmod(path.c_str(), 0600);
    return path;
  }

  api::Client client() { return api::Client(api::socket_path(folder_.file("run"), "cp0")); }
  bool wait_until(const std::function<bool()>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!condition() && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return condition();
  }

  TemporaryFolder folder_;
  std::string config_;
  std::string start_error_;
  std::string missing_privilege_;
  Result<std::vector<std::string>> leftovers_ = std::vector<std::string>{};
  std::atomic<int> running_ = 0;
};

}  // namespace centipede::cli
