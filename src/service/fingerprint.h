// SPDX-License-Identifier: BSD-2-Clause
//
// A number for what an object is made of but for what its maps hold: two that have one number are
// the same code on maps that are made alike.
#pragma once

#include <cstdint>

#include "isa/program.h"

namespace weir::service {

// Never 0. Good within one kernel: what is filled in where an object is loaded counts by its name.
[[nodiscard]] std::uint64_t fingerprint(const isa::Object& object);

}  // namespace weir::service
