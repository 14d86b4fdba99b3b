// SPDX-License-Identifier: BSD-2-Clause
//
// Which numbers a path rested on. Most numbers in a program (packet fields, counters) never decide
// whether it is safe; two states that differ in such a number only are one to the checker. A number
// is needed when it is added to a pointer, is an argument or a verdict that must be known, or
// decides a jump; then whatever it was computed from was needed as well, back along the path.
#pragma once

#include <cstdint>
#include <optional>

#include "engine/code.h"
#include "engine/state.h"

namespace weir::engine {

// An operation that a path went through.
struct Step {
  std::uint32_t operation = 0;
  std::optional<std::uint8_t> slot;  // of the stack that it read or wrote
  std::uint32_t frame = 0;           // whose stack that is
  // Of comparisons: the parts that hold the number on its left side, and on its right side.
  Parts left;
  Parts right;
  // Of calls, where the path went: into the function or back from it, past it, or into the callback
  // of a loop or back from it.
  enum class Way : std::uint8_t { usual, past, into_callback, out_of_callback };
  Way way = Way::usual;
};

[[nodiscard]] Parts operator|(const Parts& a, const Parts& b);
[[nodiscard]] Parts operator&(const Parts& a, const Parts& b);
[[nodiscard]] Parts without(const Parts& a, const Parts& b);
[[nodiscard]] Parts part_of_register(std::uint8_t reg);

// The step that `operation` is in `state`, before it is done.
[[nodiscard]] Step step_of(const State& state, const Operation& operation, std::uint32_t index);
// From what is needed after the step to what is needed before it, which may be of another frame.
void trace_step(const Operation& operation, const Step& step, Needed& needed);

}  // namespace weir::engine
