// Whole small files: keys, configurations, saved state. Threading: any.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace centipede {

// A text that is wiped when it goes, for what may hold a key.
class SecretText {
 public:
  SecretText() = default;
  explicit SecretText(std::string text) : text_(std::move(text)) {}
  SecretText(SecretText&& other) noexcept;
  SecretText& operator=(SecretText&& other) noexcept;
  ~SecretText() { wipe(); }

  // Leaves no copy behind when it grows.
  void append(std::string_view more);
  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] std::string_view trimmed() const;  // without white space at both ends

 private:
  void wipe();
  std::string text_;
};

struct SmallFile {
  SecretText content;
  bool open_to_others = false;  // users outside owner and group may read or write it
};

// Regular files up to `limit` bytes. The error's text names the file.
Result<SmallFile> read_small_file(const std::string& path, size_t limit);

// A new file of mode 0600. EEXIST when there is one already: a key is never overwritten.
Result<void> write_new_secret_file(const std::string& path, std::string_view content);

}  // namespace centipede
