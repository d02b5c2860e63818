#include "base/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>

namespace centipede {
namespace {

// inet_pton wants a terminated string; no textual address is longer than this.
using TextBuffer = std::array<char, INET6_ADDRSTRLEN>;

bool terminate(std::string_view text, TextBuffer& out) {
  if (text.empty() || text.size() >= out.size() || text.find('\0') != std::string_view::npos) return false;
  std::ranges::copy(text, out.begin());
  out[text.size()] = '\0';
  return true;
}

template <class T>
std::optional<T> parse_number(std::string_view text, unsigned limit) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value > limit) return std::nullopt;
  return static_cast<T>(value);
}

}  // namespace

IpAddress IpAddress::v4(const uint8_t* four_bytes) {
  IpAddress address;
  address.family_ = Family::v4;
  std::copy_n(four_bytes, 4, address.bytes_.begin());
  return address;
}

IpAddress IpAddress::v6(const uint8_t* sixteen_bytes) {
  IpAddress address;
  address.family_ = Family::v6;
  std::copy_n(sixteen_bytes, 16, address.bytes_.begin());
  return address;
}

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  TextBuffer terminated;
  if (!terminate(text, terminated)) return std::nullopt;
  std::array<uint8_t, 16> raw{};
  if (inet_pton(AF_INET, terminated.data(), raw.data()) == 1) return v4(raw.data());
  if (inet_pton(AF_INET6, terminated.data(), raw.data()) == 1) return v6(raw.data());
  return std::nullopt;
}

bool IpAddress::is_link_local() const {
  if (is_v4()) return bytes_[0] == 169 && bytes_[1] == 254;
  return is_v6() && bytes_[0] == 0xfe && (bytes_[1] & 0xc0) == 0x80;
}

std::string IpAddress::text() const {
  if (family_ == Family::none) return "none";
  TextBuffer out{};
  inet_ntop(is_v4() ? AF_INET : AF_INET6, bytes_.data(), out.data(), out.size());
  return out.data();
}

std::optional<Endpoint> Endpoint::parse(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  const auto address = IpAddress::parse(host);
  const auto port = parse_number<uint16_t>(text.substr(colon + 1), 65535);
  if (!address || !port || *port == 0 || address->is_v6() != bracketed) return std::nullopt;
  return Endpoint{*address, *port};
}

std::optional<Endpoint> Endpoint::from_sockaddr(const sockaddr* address) {
  if (address->sa_family == AF_INET) {
    sockaddr_in in;
    std::memcpy(&in, address, sizeof in);
    return Endpoint{IpAddress::v4(reinterpret_cast<const uint8_t*>(&in.sin_addr)), ntohs(in.sin_port)};
  }
  if (address->sa_family != AF_INET6) return std::nullopt;
  sockaddr_in6 in6;
  std::memcpy(&in6, address, sizeof in6);
  const uint8_t* raw = in6.sin6_addr.s6_addr;
  const bool mapped = IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr);
  return Endpoint{mapped ? IpAddress::v4(raw + 12) : IpAddress::v6(raw), ntohs(in6.sin6_port)};
}

size_t Endpoint::to_sockaddr(sockaddr_storage& out, bool as_v6) const {
  const ConstBytes raw = address.bytes();
  if (address.is_v4() && !as_v6) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    std::memcpy(&in.sin_addr, raw.data(), raw.size());
    std::memcpy(&out, &in, sizeof in);
    return sizeof in;
  }
  sockaddr_in6 in6{};
  in6.sin6_family = AF_INET6;
  in6.sin6_port = htons(port);
  if (address.is_v4()) in6.sin6_addr.s6_addr[10] = in6.sin6_addr.s6_addr[11] = 0xff;
  std::memcpy(in6.sin6_addr.s6_addr + (16 - raw.size()), raw.data(), raw.size());
  std::memcpy(&out, &in6, sizeof in6);
  return sizeof in6;
}

std::string Endpoint::text() const {
  const std::string host = address.is_v6() ? "[" + address.text() + "]" : address.text();
  return host + ":" + std::to_string(port);
}

std::optional<Prefix> Prefix::parse(std::string_view text) {
  const size_t slash = text.find('/');
  const auto address = IpAddress::parse(text.substr(0, slash));
  if (!address) return std::nullopt;
  if (slash == std::string_view::npos) return Prefix{*address, address->bits()};
  const auto length = parse_number<unsigned>(text.substr(slash + 1), address->bits());
  if (!length) return std::nullopt;
  return Prefix{*address, *length};
}

Prefix Prefix::network() const {
  std::array<uint8_t, 16> raw{};
  const ConstBytes from = address.bytes();
  for (size_t i = 0; i < from.size(); ++i) {
    const unsigned first_bit = static_cast<unsigned>(i) * 8;
    const unsigned kept = length <= first_bit ? 0 : std::min(8U, length - first_bit);
    raw[i] = static_cast<uint8_t>(from[i] & (0xff00U >> kept));
  }
  return {address.is_v4() ? IpAddress::v4(raw.data()) : IpAddress::v6(raw.data()), length};
}

bool Prefix::contains(const IpAddress& other) const {
  return address.family() == other.family() && network().address == Prefix{other, length}.network().address;
}

std::string Prefix::text() const {
  return address.text() + "/" + std::to_string(length);
}

}  // namespace centipede

size_t std::hash<centipede::IpAddress>::operator()(const centipede::IpAddress& address) const noexcept {
  const auto raw = address.bytes();
  return std::hash<std::string_view>{}({reinterpret_cast<const char*>(raw.data()), raw.size()});
}

size_t std::hash<centipede::Endpoint>::operator()(const centipede::Endpoint& endpoint) const noexcept {
  return std::hash<centipede::IpAddress>{}(endpoint.address) * 31 + endpoint.port;
}
