// SPDX-License-Identifier: BSD-2-Clause
//
// Byte strings, as nf_tables registers hold values, and the few conversions between them and
// integers. "native" is the byte order of the host: what a register holds after a load of a
// host-endian value (meta mark, meta iif, ct state).
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace weir {

using Bytes = std::vector<std::uint8_t>;
using ByteView = std::span<const std::uint8_t>;

static_assert(std::endian::native == std::endian::little,
              "weir translates host-endian values for little-endian hosts only");

// The low `size` bytes (1, 2, 4 or 8) of `value`, in host order.
[[nodiscard]] Bytes native_bytes(std::uint64_t value, std::size_t size);
// The low `size` bytes (1 to 8) of `value`, most significant first.
[[nodiscard]] Bytes big_endian_bytes(std::uint64_t value, std::size_t size);
// Up to 8 bytes as an integer, in host order, and most significant first.
[[nodiscard]] std::uint64_t load_native(ByteView bytes);
[[nodiscard]] std::uint64_t load_big_endian(ByteView bytes);

// "0x0a000001": lower-case hex digits in memory order; "0x" for an empty string.
[[nodiscard]] std::string to_hex(ByteView bytes);
// The inverse; an odd number of digits or another character is an input error.
[[nodiscard]] Result<Bytes> from_hex(std::string_view text);

}  // namespace weir
