// SPDX-License-Identifier: BSD-2-Clause
//
// A program that runs within another one, as its function `program`: for those who want to know
// what it says, and let something else become of the packet.
#pragma once

#include <span>
#include <string_view>

#include "isa/program.h"

namespace weir::driver {

// `text`, in which a call of `program`, its last label, is one of the program, with the context in
// r1. It may look into `maps`, the object's.
[[nodiscard]] isa::Program around(const isa::Program& program, std::string_view text,
                                  std::span<const isa::MapSpec> maps);

}  // namespace weir::driver
