// SPDX-License-Identifier: BSD-2-Clause
//
// An interpreter of the flow level, for tests: what docs/flow.md says, straight and slow. Shares
// nothing with emission.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "flow/flow.h"

namespace weir::test {

// What a function is run on.
struct World {
  Bytes packet;
  std::array<std::uint64_t, flow::context_keys> context{};  // by flow::ContextKey
};

// All that the world can see of a run.
struct Outcome {
  bool accepted = false;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> counts;  // counter and bytes, in order
  std::vector<std::uint64_t> trace;
  std::vector<std::uint64_t> records;
  std::vector<std::uint64_t> marks;              // written, as other facts
  std::map<std::uint64_t, std::uint64_t> words;  // that are shared, by their places
  std::uint64_t draws = 0;                       // random numbers
  Bytes packet = {};                             // where something was stored in it, as it is then

  friend bool operator==(const Outcome&, const Outcome&) = default;
};

// Throws InvariantError where the function does what it must not: a load outside of the packet or
// of a map value, or no end within a hundred thousand blocks.
[[nodiscard]] Outcome run(const flow::Function& function, const World& world);

// The same of a function in parts: each with its maps, and the number of its first entry; control
// comes in by the first one of all.
struct MachinePart {
  flow::Function code;
  std::uint64_t first_entry = 0;
};
[[nodiscard]] Outcome run(const std::vector<MachinePart>& parts, std::size_t state_size,
                          const World& world);

[[nodiscard]] std::string to_string(const Outcome& outcome);

}  // namespace weir::test
