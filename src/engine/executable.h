// SPDX-License-Identifier: BSD-2-Clause
//
// A checked program made ready to run. The interpreter is one way; a compiler to machine code is
// another class with the same one function.
#pragma once

#include <cstdint>
#include <memory>

#include "engine/code.h"
#include "engine/machine.h"

namespace weir::engine {

class Executable {
 public:
  virtual ~Executable() = default;
  // Runs from the first instruction to exit, on a machine that holds a packet; r0.
  [[nodiscard]] virtual std::uint64_t run(Machine& machine) const = 0;
};

// `code` as the checker annotated it, for machines whose maps are those of `machine`.
[[nodiscard]] std::unique_ptr<Executable> make_interpreter(const Code& code,
                                                           const Machine& machine);

}  // namespace weir::engine
