// SPDX-License-Identifier: BSD-2-Clause
//
// Addresses to and from text, by inet_pton(3) and inet_ntop(3).
#include "packet/address.h"

#include <arpa/inet.h>

namespace weir::packet {
namespace {

template <typename Address>
Result<Address> parse(int family, std::string_view text, const char* what) {
  Address address{};
  if (inet_pton(family, std::string(text).c_str(), address.data()) != 1) {
    return input_error("'" + std::string(text) + "' is not an " + what + " address");
  }
  return address;
}

}  // namespace

Result<Ipv4Address> parse_ipv4(std::string_view text) {
  return parse<Ipv4Address>(AF_INET, text, "IPv4");
}

Result<Ipv6Address> parse_ipv6(std::string_view text) {
  return parse<Ipv6Address>(AF_INET6, text, "IPv6");
}

Ipv4Address ipv4(std::string_view text) {
  const auto address = parse_ipv4(text);
  invariant(address.has_value(), "a literal IPv4 address is malformed");
  return *address;
}

Ipv6Address ipv6(std::string_view text) {
  const auto address = parse_ipv6(text);
  invariant(address.has_value(), "a literal IPv6 address is malformed");
  return *address;
}

std::string address_text(ByteView address) {
  const bool is_ipv4 = address.size() == sizeof(in_addr);
  if (!is_ipv4 && address.size() != sizeof(in6_addr)) return to_hex(address);
  char buffer[INET6_ADDRSTRLEN];
  const char* text =
      inet_ntop(is_ipv4 ? AF_INET : AF_INET6, address.data(), buffer, sizeof(buffer));
  invariant(text != nullptr, "inet_ntop refused an address");
  return text;
}

}  // namespace weir::packet
