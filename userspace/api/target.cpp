#include "api/target.h"

namespace centipede::api {
namespace {

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<std::string> percent_decoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
    if (low < 0) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

}  // namespace

Result<Target> parse_target(std::string_view text) {
  const auto bad = [](const char* what) { return fail(std::string("the request's target ") + what, EINVAL); };
  const size_t question = text.find('?');
  const std::string_view path = text.substr(0, question);
  if (!path.starts_with('/')) return bad("is no path; it begins with /v1/");
  Target target;
  for (const std::string_view segment : split(path.substr(1), '/')) {
    auto decoded = percent_decoded(segment);
    if (!decoded) return bad("has a % without two hexadecimal digits; write %25 for a percent sign");
    target.segments.push_back(std::move(*decoded));
  }
  if (question == std::string_view::npos) return target;
  for (const std::string_view pair : split(text.substr(question + 1), '&')) {
    if (pair.empty()) continue;
    const size_t equals = pair.find('=');
    const auto key = percent_decoded(pair.substr(0, equals));
    const auto value = percent_decoded(equals == std::string_view::npos ? "" : pair.substr(equals + 1));
    if (!key || !value) return bad("has a % without two hexadecimal digits; write %25 for a percent sign");
    if (!target.query.emplace(*key, *value).second) return bad("has a parameter twice; keep one of them");
  }
  return target;
}

std::optional<std::vector<std::string>> match(std::string_view pattern, const Target& target) {
  const auto expected = split(pattern.substr(1), '/');
  if (expected.size() != target.segments.size()) return std::nullopt;
  std::vector<std::string> names;
  for (size_t i = 0; i < expected.size(); ++i) {
    if (expected[i].starts_with('{')) {
      if (target.segments[i].empty()) return std::nullopt;
      names.push_back(target.segments[i]);
    } else if (expected[i] != target.segments[i]) {
      return std::nullopt;
    }
  }
  return names;
}

}  // namespace centipede::api
