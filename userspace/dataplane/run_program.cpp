#include "dataplane/run_program.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>

#include "base/file_descriptor.h"

namespace centipede {
namespace {

// Input and output are files in memory: nobody waits for a pipe that is full, or for one that a child of the program
// keeps open.
Result<FileDescriptor> memory_file(std::string_view content) {
  FileDescriptor file(memfd_create("centipede", MFD_CLOEXEC));
  const bool written = file && write(file.get(), content.data(), content.size()) == std::ssize(content) &&
                       lseek(file.get(), 0, SEEK_SET) == 0;
  if (!written) return fail_system("making a file in memory");
  return file;
}

std::string first_line(const FileDescriptor& output) {
  std::array<char, 256> text{};
  const ssize_t got = pread(output.get(), text.data(), text.size(), 0);
  std::string line(text.data(), static_cast<size_t>(std::max<ssize_t>(got, 0)));
  line.resize(std::min(line.find('\n'), line.size()));
  std::ranges::replace_if(line, [](char c) { return c < ' ' || c == '\x7f'; }, '?');
  return line;
}

Result<pid_t> spawn(const std::vector<std::string>& command, const FileDescriptor& input,
                    const FileDescriptor& output) {
  std::vector<char*> arguments;
  arguments.reserve(command.size() + 1);
  for (const std::string& word : command)
    arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&files);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_adddup2(&files, input.get(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&files, output.get(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&files, output.get(), STDERR_FILENO);
  sigset_t signals;  // none: we block and ignore some that a program counts on
  sigemptyset(&signals);
  posix_spawnattr_setsigmask(&attributes, &signals);
  sigaddset(&signals, SIGPIPE);
  posix_spawnattr_setsigdefault(&attributes, &signals);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  pid_t pid = -1;
  const int code = posix_spawnp(&pid, arguments[0], &files, &attributes, arguments.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  if (code != 0) return fail_system("running " + command.front(), code);
  return pid;
}

}  // namespace

Result<void> run_program(const std::vector<std::string>& command, std::string_view input,
                         std::chrono::milliseconds time) {
  auto in = memory_file(input);
  auto out = memory_file({});
  if (!in || !out) return std::unexpected((in ? out : in).error());
  const auto pid = spawn(command, *in, *out);
  if (!pid) return std::unexpected(pid.error());
  // Debian 12 has pidfd_open() in a header that C++ cannot use.
  const FileDescriptor child(static_cast<int>(syscall(SYS_pidfd_open, *pid, 0)));
  pollfd ended{child.get(), POLLIN, 0};
  int ready = 0;
  do {
    ready = poll(&ended, 1, static_cast<int>(time.count()));
  } while (ready < 0 && errno == EINTR);
  const bool killed = ready != 1 && kill(*pid, SIGKILL) == 0;
  int status = 0;
  while (waitpid(*pid, &status, 0) < 0 && errno == EINTR) {
  }
  std::string attempt = "running";
  for (const std::string& word : command)
    attempt += " " + word;
  if (killed) return fail(attempt + ": it does not end", ETIMEDOUT);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  if (WIFSIGNALED(status)) return fail(attempt + ": ended by signal " + std::to_string(WTERMSIG(status)));
  const std::string said = first_line(*out);
  return fail(attempt + ": " + (said.empty() ? "it failed" : said));
}

}  // namespace centipede
