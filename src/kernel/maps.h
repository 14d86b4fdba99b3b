// SPDX-License-Identifier: BSD-2-Clause
//
// Creating the maps of an object.
#pragma once

#include "base/error.h"
#include "isa/program.h"
#include "kernel/kernel.h"

namespace weir::kernel {

// A map of the type, sizes and entries of `spec`. An entry of a per-CPU map is given to every CPU.
[[nodiscard]] Result<Fd> create_map(const isa::MapSpec& spec);

}  // namespace weir::kernel
