#include "base/small_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/file_descriptor.h"

namespace centipede {

SecretText::SecretText(SecretText&& other) noexcept : text_(std::move(other.text_)) {
  other.wipe();  // a short text lies inside the object that it was moved from
}

SecretText& SecretText::operator=(SecretText&& other) noexcept {
  if (this != &other) {
    wipe();
    text_ = std::move(other.text_);
    other.wipe();
  }
  return *this;
}

void SecretText::wipe() {
  // The whole capacity: a moved-from short text has size 0 and its old characters.
  text_.resize(text_.capacity());
  explicit_bzero(text_.data(), text_.size());
  text_.clear();
}

void SecretText::append(std::string_view more) {
  if (text_.capacity() - text_.size() < more.size()) {
    std::string larger;
    larger.reserve(std::max(2 * text_.size(), text_.size() + more.size()));
    larger = text_;
    wipe();
    text_.swap(larger);
  }
  text_ += more;
}

std::string_view SecretText::trimmed() const {
  constexpr std::string_view white = " \t\r\n";
  const size_t first = text_.find_first_not_of(white);
  if (first == std::string::npos) return {};
  return std::string_view(text_).substr(first, text_.find_last_not_of(white) - first + 1);
}

namespace {

// What lies in the text when it goes out of scope, for whatever reason.
struct WipedAtEnd {
  std::string& text;
  explicit WipedAtEnd(std::string& its_text) : text(its_text) {}
  WipedAtEnd(const WipedAtEnd&) = delete;
  WipedAtEnd& operator=(const WipedAtEnd&) = delete;
  ~WipedAtEnd() { explicit_bzero(text.data(), text.size()); }
};

}  // namespace

Result<SmallFile> read_small_file(const std::string& path, size_t limit) {
  // Non-blocking, so that a FIFO is refused rather than waited for.
  const FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file) return fail_system("opening " + path);
  struct stat state{};
  if (fstat(file.get(), &state) != 0) return fail_system("looking at " + path);
  if (S_ISDIR(state.st_mode)) return fail("reading " + path + ": it is a folder", EISDIR);
  if (!S_ISREG(state.st_mode)) return fail("reading " + path + ": it is no regular file", EINVAL);
  std::string content(limit + 1, '\0');
  const WipedAtEnd wiped{content};
  size_t length = 0;
  while (length < content.size()) {
    const ssize_t got = read(file.get(), content.data() + length, content.size() - length);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_system("reading " + path);
    if (got == 0) break;
    length += static_cast<size_t>(got);
  }
  if (length > limit) return fail("reading " + path + ": longer than " + std::to_string(limit) + " bytes", EFBIG);
  content.resize(length);
  return SmallFile{SecretText(std::move(content)), (state.st_mode & S_IRWXO) != 0};
}

Result<void> write_new_secret_file(const std::string& path, std::string_view content) {
  FileDescriptor file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file) return fail_system("creating " + path);
  size_t done = 0;
  while (done < content.size()) {
    const ssize_t written = write(file.get(), content.data() + done, content.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      const Error error = system_error("writing " + path);
      unlink(path.c_str());
      return std::unexpected(error);
    }
    done += static_cast<size_t>(written);
  }
  if (fsync(file.get()) != 0 && errno != EINVAL && errno != EROFS) return fail_system("writing " + path);
  return {};
}

}  // namespace centipede
