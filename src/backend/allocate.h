// SPDX-License-Identifier: BSD-2-Clause
//
// Register allocation: a machine register or a stack slot for each virtual register.
//
// r0 and r1 are scratch for emission, r10 is the frame. Values that live across a call (anything
// that clobbers r1 to r5 when emitted, see clobbers()) get r6 to r9, others r2 to r5 as well; what
// finds no register gets a slot of 8 bytes. The most used values choose first.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "flow/flow.h"

namespace weir::backend {

struct Location {
  bool in_register = false;
  std::uint8_t reg = 0;
  std::int16_t slot = 0;  // offset from r10
};

struct Allocation {
  std::vector<flow::BlockId> order;   // of the reachable blocks, as they are emitted
  std::vector<Location> locations;    // by virtual register
  std::vector<std::uint8_t> buffers;  // by virtual register: which buffer a window uses
  std::uint8_t buffer_count = 0;      // windows alive at the same time use different ones
  std::int16_t lowest = 0;            // offset from r10 of the lowest slot
};

// Slots lie below `first_slot` (an offset from r10, at most 0, a multiple of 8). r9 is left alone
// when it has another use.
[[nodiscard]] Allocation allocate(const flow::Function& function, std::int16_t first_slot,
                                  bool reserve_r9 = false);

// How many lower bits may be set of each virtual register.
[[nodiscard]] std::vector<std::uint8_t> find_widths(const flow::Function& function,
                                                    const std::vector<flow::BlockId>& order);

// Whether emitting it uses r1 to r5.
[[nodiscard]] bool clobbers(const flow::Instruction& instruction);
[[nodiscard]] bool clobbers(const flow::Terminator& end);

// Blocks in an order in which each comes before those it leads to (loops aside), with the `no` side
// of branches as late as possible: matching goes on straight ahead.
[[nodiscard]] std::vector<flow::BlockId> layout(const flow::Function& function);
// The same for ways of the caller's own; the first way is the one to go straight ahead.
[[nodiscard]] std::vector<flow::BlockId> layout(
    const flow::Function& function,
    const std::function<std::vector<flow::BlockId>(flow::BlockId)>& ways);

}  // namespace weir::backend
