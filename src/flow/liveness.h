// SPDX-License-Identifier: BSD-2-Clause
//
// Which registers hold something at the start of a block that is still to be read.
#pragma once

#include <vector>

#include "flow/flow.h"

namespace weir::flow {

enum class Reads : std::uint8_t {
  all,     // every read counts
  needed,  // not those of instructions that are themselves run for nothing
};

// For each block, ascending: the registers that some path from its start reads before writing them.
// Linear in the size of the function as long as few registers are live at once.
[[nodiscard]] std::vector<std::vector<Reg>> live_at_start(const Function& function, Reads reads);

// A set of registers that can be emptied fast.
class RegSet {
 public:
  explicit RegSet(std::size_t registers) : present_(registers, false) {}

  void add(Reg r) {
    if (present_.at(r.index())) return;
    present_[r.index()] = true;
    members_.push_back(r);
  }
  void remove(Reg r) { present_.at(r.index()) = false; }
  [[nodiscard]] bool contains(Reg r) const { return present_.at(r.index()); }
  // The members, ascending; empties the set.
  [[nodiscard]] std::vector<Reg> take();

 private:
  std::vector<bool> present_;
  std::vector<Reg> members_;  // everything present, and perhaps more, perhaps twice
};

// Steps over an instruction or terminator from its end to its start: `live` is what is live behind
// it, and becomes what is live before it.
void step_back(const Instruction& instruction, RegSet& live);
void step_back(const Terminator& end, RegSet& live);

// Whether an instruction does nothing for what is live behind it.
[[nodiscard]] bool is_dead(const Instruction& instruction, const RegSet& live);

}  // namespace weir::flow
