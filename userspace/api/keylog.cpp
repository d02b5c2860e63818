#include "api/keylog.h"

#include <array>
#include <string>

#include "api/resources.h"

namespace centipede::api {
namespace {

constexpr std::string_view heading = "# centipede key log 1: session id, key, iv, to or from, peer\n";
constexpr size_t sid_digits = 16;

void add_hex(std::string& out, ConstBytes bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  for (const uint8_t byte : bytes) {
    out += digits[byte >> 4];
    out += digits[byte & 15];
  }
}

void add_sid(std::string& out, wire::SessionId sid) {
  std::array<uint8_t, sid_digits / 2> bytes{};
  for (size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = static_cast<uint8_t>(sid >> (8 * (bytes.size() - 1 - i)));
  add_hex(out, bytes);
}

}  // namespace

std::string keylog_text(std::span<const SessionKey> keys) {
  std::string text(heading);
  for (const SessionKey& one : keys) {
    add_sid(text, one.sid);
    text += ' ';
    add_hex(text, one.key.key.view());
    text += ' ';
    add_hex(text, one.key.iv);
    text += one.sending ? " to " : " from ";
    text += one.peer;
    text += '\n';
  }
  return text;
}

std::string_view keylog_session(std::string_view line) {
  return line.starts_with('#') ? std::string_view() : line.substr(0, sid_digits);
}

// GET it is, but no reading like others.
Result<ApiAnswer> show_keylog(const Call& call) {
  if (!call.request.may_change) {
    return fail("keys are not given over the socket that only reads; ask over the tunnel's own, as root", EPERM);
  }
  const auto keys = call.context.tunnel.session_keys();
  if (!keys) return std::unexpected(keys.error());
  return ApiAnswer{.body = keylog_text(*keys), .content_type = "text/plain; charset=utf-8"};
}

}  // namespace centipede::api
