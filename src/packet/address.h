// SPDX-License-Identifier: BSD-2-Clause
//
// Link and network addresses, and their usual text.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/error.h"

namespace weir::packet {

using MacAddress = std::array<std::uint8_t, 6>;
using Ipv4Address = std::array<std::uint8_t, 4>;
using Ipv6Address = std::array<std::uint8_t, 16>;

// "10.0.0.1", "2001:db8::1"; anything else is an input error.
[[nodiscard]] Result<Ipv4Address> parse_ipv4(std::string_view text);
[[nodiscard]] Result<Ipv6Address> parse_ipv6(std::string_view text);

// The same for addresses that stand in weir's own code: anything else breaks an invariant.
[[nodiscard]] Ipv4Address ipv4(std::string_view text);
[[nodiscard]] Ipv6Address ipv6(std::string_view text);

// The text of 4 or 16 bytes; the hex digits of any other number.
[[nodiscard]] std::string address_text(ByteView address);

}  // namespace weir::packet
