// SPDX-License-Identifier: BSD-2-Clause
//
// What of a packet is recorded by a log statement.
#pragma once

#include <algorithm>
#include <cstdint>

#include "imr/imr.h"

namespace weir::imr {

// Bytes of a packet at most. The kernel's own log prints no more than headers.
constexpr std::uint32_t most_logged = 16384;
constexpr std::uint32_t logged_headers = 256;

[[nodiscard]] inline std::uint32_t logged_bytes(const Log& log) {
  if (!log.group) return logged_headers;
  return log.snaplen == 0 ? most_logged : std::min(log.snaplen, most_logged);
}

}  // namespace weir::imr
