#include "dataplane/bpf_log.h"

#include <bpf/libbpf.h>
#include <xdp/libxdp.h>

#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <mutex>

namespace centipede {
namespace {

thread_local BpfLog* innermost = nullptr;
constexpr size_t kept_bytes = 16 * 1024;

void collect(const char* format, va_list arguments) {
  if (innermost == nullptr) return;
  std::array<char, 4096> line{};
  const int length = std::vsnprintf(line.data(), line.size(), format, arguments);
  if (length > 0) innermost->append({line.data(), std::min(static_cast<size_t>(length), line.size() - 1)});
}

int on_libbpf(libbpf_print_level level, const char* format, va_list arguments) {
  if (level == LIBBPF_WARN) collect(format, arguments);
  return 0;
}

int on_libxdp(libxdp_print_level level, const char* format, va_list arguments) {
  if (level != LIBXDP_DEBUG) collect(format, arguments);
  return 0;
}

// The last line that says something: libbpf ends with generic ones ("failed to load object").
std::string last_words(const std::string& text) {
  const auto verifier_end = text.find("\nprocessed ");
  const auto end = text.find_last_not_of("\n ", verifier_end == std::string::npos ? std::string::npos : verifier_end);
  if (end == std::string::npos) return {};
  const auto start = text.rfind('\n', end);
  return text.substr(start == std::string::npos ? 0 : start + 1,
                     end - (start == std::string::npos ? 0 : start + 1) + 1);
}

}  // namespace

BpfLog::BpfLog() : outer_(innermost) {
  static std::once_flag once;
  std::call_once(once, [] {
    libbpf_set_print(on_libbpf);
    libxdp_set_print(on_libxdp);
  });
  innermost = this;
}

BpfLog::~BpfLog() {
  innermost = outer_;
}

void BpfLog::append(std::string_view message) {
  text_ += message;
  if (text_.size() > kept_bytes) text_.erase(0, text_.size() - kept_bytes);
}

Error BpfLog::error(std::string_view attempt, int code) const {
  Error error = system_error(attempt, std::abs(code));
  if (const std::string words = last_words(text_); !words.empty()) error.text += " (" + words + ")";
  return error;
}

}  // namespace centipede
