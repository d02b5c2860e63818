#include "dataplane/setting_texts.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace centipede {
namespace {

constexpr std::array<std::pair<char, uint64_t>, 3> rate_units{{{'G', 1'000'000'000}, {'M', 1'000'000}, {'k', 1'000}}};
constexpr uint64_t highest_rate = 1'000'000'000'000;

template <class Number>
std::optional<Number> whole_number(std::string_view text) {
  Number number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// The bytes of the character that begins here, 0 when there is none: overlong forms, surrogates, what is cut off.
size_t utf8_length(std::string_view text) {
  const auto byte = [&](size_t at) { return static_cast<unsigned char>(text[at]); };
  const unsigned first = byte(0);
  const size_t length = first < 0x80   ? 1
                        : first < 0xc2 ? 0
                        : first < 0xe0 ? 2
                        : first < 0xf0 ? 3
                        : first < 0xf5 ? 4
                                       : 0;
  if (length == 0 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  if (length < 3) return length;
  const unsigned second = byte(1);
  const bool overlong = (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
  const bool beyond = (first == 0xed && second >= 0xa0) || (first == 0xf4 && second >= 0x90);
  return overlong || beyond ? 0 : length;
}

// U+0000 to U+001F, U+007F to U+009F: what a terminal might obey.
bool control_character(std::string_view character) {
  const auto first = static_cast<unsigned char>(character[0]);
  return first < 0x20 || first == 0x7f || (first == 0xc2 && static_cast<unsigned char>(character[1]) < 0xa0);
}

}  // namespace

bool valid_host_name(std::string_view name) {
  constexpr size_t longest = 253;
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const auto allowed = [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_'; };
  const std::string_view last_label = name.substr(name.rfind('.') + 1);
  return name.size() <= longest && std::ranges::all_of(name, allowed) && std::ranges::any_of(last_label, letter) &&
         name.front() != '.' && name.front() != '-' && name.find("..") == std::string_view::npos;
}

std::optional<control::HostEndpoint> parse_host_endpoint(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || !valid_host_name(text.substr(0, colon))) return std::nullopt;
  const auto port = whole_number<uint16_t>(text.substr(colon + 1));
  if (!port || *port == 0) return std::nullopt;
  return control::HostEndpoint{std::string(text.substr(0, colon)), *port};
}

std::string text(const control::HostEndpoint& endpoint) {
  return endpoint.host + ":" + std::to_string(endpoint.port);
}

bool usable_remote(const IpAddress& address) {
  const ConstBytes raw = address.bytes();
  const bool unspecified = std::ranges::all_of(raw, [](uint8_t byte) { return byte == 0; });
  const bool multicast = address.is_v4() ? raw[0] >= 224 : address.is_v6() && raw[0] == 0xff;
  // An IPv6 link-local address means nothing without a device.
  return !unspecified && !multicast && !(address.is_v6() && address.is_link_local());
}

bool valid_peer_name(std::string_view name) {
  constexpr size_t longest = 64;
  if (name.empty() || name.size() > longest) return false;
  while (!name.empty()) {
    const size_t length = utf8_length(name);
    if (length == 0 || control_character(name.substr(0, length))) return false;
    name.remove_prefix(length);
  }
  return true;
}

std::string printable_utf8(std::string_view text) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string out;
  while (!text.empty()) {
    const size_t length = utf8_length(text);
    if (length != 0 && !control_character(text.substr(0, length))) {
      out += text.substr(0, length);
      text.remove_prefix(length);
    } else {
      const auto byte = static_cast<unsigned char>(text[0]);
      out += {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
      text.remove_prefix(1);
    }
  }
  return out;
}

std::optional<uint64_t> parse_rate(std::string_view text) {
  uint64_t unit = 1;
  for (const auto& [letter, value] : rate_units) {
    if (text.ends_with(letter)) unit = value;
  }
  const auto number = whole_number<uint64_t>(text.substr(0, text.size() - (unit == 1 ? 0 : 1)));
  if (!number || *number == 0 || *number > highest_rate / unit) return std::nullopt;
  return *number * unit;
}

std::string rate_text(uint64_t bits_per_second) {
  for (const auto& [letter, value] : rate_units) {
    if (bits_per_second != 0 && bits_per_second % value == 0) return std::to_string(bits_per_second / value) + letter;
  }
  return std::to_string(bits_per_second);
}

}  // namespace centipede
