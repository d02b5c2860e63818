// IP addresses, endpoints and prefixes as plain comparable values, IPv4 and IPv6 alike. An IPv4 address is kept in its
// own form, never as an IPv4-mapped IPv6 address; from_sockaddr() unmaps what a dual-stack socket reports.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

struct sockaddr;
struct sockaddr_storage;

namespace centipede {

enum class Family : uint8_t { none = 0, v4 = 4, v6 = 6 };

class IpAddress {
 public:
  IpAddress() = default;
  [[nodiscard]] static IpAddress v4(const uint8_t* four_bytes);
  [[nodiscard]] static IpAddress v6(const uint8_t* sixteen_bytes);
  [[nodiscard]] static std::optional<IpAddress> parse(std::string_view text);

  [[nodiscard]] Family family() const { return family_; }
  [[nodiscard]] bool is_v4() const { return family_ == Family::v4; }
  [[nodiscard]] bool is_v6() const { return family_ == Family::v6; }
  explicit operator bool() const { return family_ != Family::none; }
  [[nodiscard]] unsigned bits() const { return is_v4() ? 32 : is_v6() ? 128 : 0; }
  // 4 or 16 bytes in network order.
  [[nodiscard]] ConstBytes bytes() const { return {bytes_.data(), is_v4() ? 4U : is_v6() ? 16U : 0U}; }
  [[nodiscard]] bool is_link_local() const;
  [[nodiscard]] std::string text() const;

  auto operator<=>(const IpAddress&) const = default;

 private:
  Family family_ = Family::none;
  std::array<uint8_t, 16> bytes_{};
};

struct Endpoint {
  IpAddress address;
  uint16_t port = 0;

  // "192.0.2.1:5820", "[2001:db8::1]:5820". Names are not resolved here.
  [[nodiscard]] static std::optional<Endpoint> parse(std::string_view text);
  [[nodiscard]] static std::optional<Endpoint> from_sockaddr(const sockaddr* address);
  // Fills a sockaddr; as_v6 writes an IPv4 address as an IPv4-mapped sockaddr_in6 for a dual-stack socket. Returns the
  // length used.
  size_t to_sockaddr(sockaddr_storage& out, bool as_v6) const;
  [[nodiscard]] std::string text() const;

  auto operator<=>(const Endpoint&) const = default;
};

// An address and a length. The address keeps its host bits (an interface address needs them); network() clears them.
struct Prefix {
  IpAddress address;
  unsigned length = 0;

  // "10.0.0.0/8", "fd00::/8"; without a slash the length is that of the whole address.
  [[nodiscard]] static std::optional<Prefix> parse(std::string_view text);
  [[nodiscard]] Prefix network() const;
  [[nodiscard]] bool contains(const IpAddress& other) const;
  [[nodiscard]] std::string text() const;

  auto operator<=>(const Prefix&) const = default;
};

}  // namespace centipede

template <>
struct std::hash<centipede::IpAddress> {
  size_t operator()(const centipede::IpAddress& address) const noexcept;
};
template <>
struct std::hash<centipede::Endpoint> {
  size_t operator()(const centipede::Endpoint& endpoint) const noexcept;
};
