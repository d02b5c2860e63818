#include "config/wireguard_lines.h"

#include <algorithm>

namespace centipede {
namespace {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view space = " \t\r";
  const size_t first = text.find_first_not_of(space);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(space) - first + 1);
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

bool letters(std::string_view text) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); };
  return !text.empty() && text.size() <= 40 && std::ranges::all_of(text, letter);
}

WireGuardLine read_line(std::string_view text, unsigned number) {
  WireGuardLine line{.number = number};
  if (text.front() == '[' && text.back() == ']') {
    const std::string_view name = trimmed(text.substr(1, text.size() - 2));
    line.well_formed = letters(name);
    line.section = lower(name);
    return line;
  }
  const size_t equals = text.find('=');
  if (equals == std::string_view::npos) return line;
  const std::string_view key = trimmed(text.substr(0, equals));
  const bool printable =
      std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 && c != '\t'; });
  if (!letters(key) || !printable) return line;
  line.well_formed = true;
  line.key = key;
  line.lower_key = lower(key);
  line.value = trimmed(text.substr(equals + 1));
  return line;
}

}  // namespace

std::vector<std::string> WireGuardLine::values() const {
  std::vector<std::string> found;
  std::string_view rest = value;
  while (!rest.empty()) {
    const size_t comma = std::min(rest.find(','), rest.size());
    found.emplace_back(trimmed(rest.substr(0, comma)));
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  return found;
}

std::vector<WireGuardLine> wireguard_lines(std::string_view text) {
  std::vector<WireGuardLine> lines;
  for (unsigned number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    line = trimmed(line.substr(0, line.find('#')));
    if (!line.empty()) lines.push_back(read_line(line, number));
  }
  return lines;
}

}  // namespace centipede
