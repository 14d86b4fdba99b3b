// SPDX-License-Identifier: BSD-2-Clause
//
// Splitting: a large function becomes parts, each of which the kernel's verifier checks once and on
// its own (BPF functions of global linkage), so that what it walks grows with the size of a program
// and nothing else. Also the only way to emit a `dispatch`.
//
// Control enters a part at one of its entries, which are numbered through all parts, and leaves it
// with the number of the next one or a verdict. Values that live from one part into another are
// kept in a state on the main program's stack (recall and keep in flow/ops.def). Pointers do not
// cross: windows are opened again where they are read.
#pragma once

#include <cstdint>
#include <vector>

#include "flow/flow.h"

namespace weir::backend {

struct Part {
  flow::Function code;            // without maps and names: they are those of the whole function
  std::uint32_t first_entry = 0;  // the number of its first one; one behind another
  std::uint32_t entries = 0;
};

struct SplitFunction {
  std::vector<Part> parts;  // in order: but for dispatches, control goes from a part to later ones
  std::uint32_t state_size = 0;  // bytes, a multiple of 8
  bool returns = false;          // whether control may come to a part again
};

// Packets enter at this one; smaller numbers are verdicts, as Terminator::Kind::ret has them.
constexpr std::uint32_t first_entry = flow::verdict_names.size();

struct SplitOptions {
  // Parts have about as many instructions of eBPF.
  std::uint32_t part_size = 6000;
};

// Whether the function cannot, or should not, be emitted in one piece.
[[nodiscard]] bool needs_splitting(const flow::Function& function);

// Of a function that passes flow::verify().
[[nodiscard]] SplitFunction split(const flow::Function& function, const SplitOptions& options);

}  // namespace weir::backend
