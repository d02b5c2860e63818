#include "cli/keylog.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <optional>
#include <ostream>
#include <set>
#include <string>
#include <string_view>
#include <thread>

#include "api/keylog.h"
#include "base/file_descriptor.h"
#include "base/small_file.h"
#include "cli/running_tunnel.h"

namespace centipede::cli {
namespace {

// A session lives for ten seconds at least, so none is missed.
constexpr auto follow_interval = std::chrono::milliseconds(500);

constexpr const char* warning =
    "centipede: warning: these keys open the recorded packets of their sessions for whoever has them: show them to "
    "nobody, and delete them when you are done\n";

// Where the lines go: a file of our own, or what the command prints to.
class Output {
 public:
  static Result<Output> open(Host& host, const std::string& path) {
    if (path.empty()) return Output(host.out, FileDescriptor(), "standard output");
    FileDescriptor file(
        ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600));
    if (!file) return fail_system("opening " + path);
    struct stat state{};
    if (fstat(file.get(), &state) != 0) return fail_system("looking at " + path);
    if (!S_ISREG(state.st_mode)) return fail(path + " is no regular file: name a new one");
    if (state.st_uid != geteuid() || (state.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
      return fail(path + " belongs to somebody else or is open to others: name a new file, or chmod 600 it");
    }
    return Output(host.out, std::move(file), path);
  }

  Result<void> write(std::string_view text) {
    if (!file_) {
      out_ << text << std::flush;
      return {};
    }
    while (!text.empty()) {
      const ssize_t written = ::write(file_.get(), text.data(), text.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return fail_system("writing " + name_);
      text.remove_prefix(static_cast<size_t>(written));
    }
    return {};
  }

 private:
  Output(std::ostream& out, FileDescriptor file, std::string name)
      : out_(out), file_(std::move(file)), name_(std::move(name)) {}
  std::ostream& out_;
  FileDescriptor file_;
  std::string name_;
};

using Sessions = std::set<std::string, std::less<>>;

// Writes the lines whose sessions are not in `known`, and makes `known` those that there are now.
Result<void> write_new(Output& output, std::string_view lines, Sessions& known) {
  Sessions present;
  while (!lines.empty()) {
    const std::string_view line = lines.substr(0, lines.find('\n') + 1);
    if (line.empty()) break;
    lines.remove_prefix(line.size());
    const std::string_view session = api::keylog_session(line);
    if (!known.contains(session)) {
      if (auto written = output.write(line); !written) return written;
    }
    present.emplace(session);
  }
  known = std::move(present);
  return {};
}

}  // namespace

int keylog(Host& host, const KeylogOptions& options) {
  RunningTunnelClient tunnel(host, options.interface);
  if (!tunnel.valid()) return tunnel.code();
  host.protect_memory();
  std::optional<Output> output;
  Sessions known;
  while (true) {
    auto answer = tunnel.api().request("GET", "/v1/keylog");
    if (!answer) {
      if (output && api::not_running(answer.error())) return complain(host, done, options.interface + " has ended");
      return tunnel.tell(answer.error());
    }
    const SecretText lines(std::move(*answer) + "\n");
    if (!output) {
      host.err << warning << std::flush;
      auto opened = Output::open(host, options.output);
      if (!opened) return complain(host, failed, opened.error().text);
      output.emplace(std::move(*opened));
    }
    if (const auto written = write_new(*output, lines.text(), known); !written) {
      return complain(host, failed, written.error().text);
    }
    if (!options.follow || !host.out) return done;
    std::this_thread::sleep_for(follow_interval);
  }
}

}  // namespace centipede::cli
