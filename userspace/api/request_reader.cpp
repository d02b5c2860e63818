#include "api/request_reader.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace centipede::api {
namespace {

constexpr std::string_view line_end = "\r\n";
constexpr std::string_view head_end = "\r\n\r\n";

bool same_word(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::ranges::equal(a, b, {}, lower, lower);
}

std::string_view trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

}  // namespace

bool RequestReader::fail(int status, std::string_view why) {
  problem_ = {status, why};
  return false;
}

bool RequestReader::read_header(std::string_view name, std::string_view value) {
  if (same_word(name, "Expect")) wants_continue_ = same_word(value, "100-continue");
  if (same_word(name, "Transfer-Encoding")) return fail(411, "send the body in one piece, with a Content-Length");
  if (same_word(name, "Content-Encoding")) return fail(415, "send the body as plain JSON, without an encoding");
  if (!same_word(name, "Content-Length")) return true;
  size_t length = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), length);
  const bool digits = !value.empty() && end == value.data() + value.size();
  if (digits && (error == std::errc::result_out_of_range || (error == std::errc{} && length > longest_body_))) {
    return fail(413, "the body is too long: 4 MiB are taken, 64 KiB over the socket that only reads");
  }
  if (!digits || error != std::errc{}) return fail(400, "the Content-Length is no number");
  if (length_ && *length_ != length) return fail(400, "the Content-Length is given twice");
  length_ = length;
  return true;
}

bool RequestReader::read_head() {
  std::string_view rest = std::string_view(bytes_.text()).substr(0, head_size_ - line_end.size());
  rest.remove_prefix(rest.find(line_end) + line_end.size());  // the request line
  while (!rest.empty()) {
    const size_t end = rest.find(line_end);
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end + line_end.size());
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    if (!read_header(line.substr(0, colon), trimmed(line.substr(colon + 1)))) return false;
  }
  body_size_ = length_.value_or(0);
  return true;
}

bool RequestReader::add(std::string_view bytes) {
  if (problem_) return false;
  if (head_size_ == 0) {
    // The end may lie across the pieces.
    const size_t before = size();
    bytes_.append(bytes);
    const size_t at = bytes_.text().find(head_end, before < head_end.size() ? 0 : before - head_end.size());
    const size_t head = at == std::string::npos ? size() : at + head_end.size();
    if (head > longest_head) return fail(431, "the request's head is longer than 32 KiB");
    if (at == std::string::npos) return true;
    head_size_ = head;
    if (!read_head()) return false;
    if (size() > head_size_ + body_size_) bytes_ = SecretText(bytes_.text().substr(0, head_size_ + body_size_));
    return true;
  }
  bytes_.append(bytes.substr(0, head_size_ + body_size_ - size()));
  return true;
}

bool RequestReader::wants_continue() {
  return head_size_ != 0 && !whole() && std::exchange(wants_continue_, false);
}

}  // namespace centipede::api
