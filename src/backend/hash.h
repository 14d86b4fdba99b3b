// SPDX-License-Identifier: BSD-2-Clause
//
// The hash of imr/hash.h as code.
#pragma once

#include <cstdint>

#include "backend/words.h"

namespace weir::backend {

// A register of 32 bits: the hash of the first `length` bytes of the value.
[[nodiscard]] flow::Reg jhash(Builder& out, const Words& value, std::uint8_t length,
                              std::uint32_t seed);

}  // namespace weir::backend
