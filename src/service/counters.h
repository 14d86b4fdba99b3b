// SPDX-License-Identifier: BSD-2-Clause
//
// Counters of rules, whose elements in the map of counters stay theirs while the rules around them
// change: old and new programs count in one map then, and no packet is forgotten between them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/hook.h"
#include "imr/imr.h"
#include "kernel/kernel.h"
#include "service/state.h"

namespace weir::service {

struct Count {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
  friend bool operator==(const Count&, const Count&) = default;
};

// An element of a map of counters, over all processors.
[[nodiscard]] Result<Count> read_count(const kernel::Fd& map, std::uint32_t index);

// Makes room in the map of counters for rules to come: counters that no rule has.
void reserve_counters(imr::Ruleset& ruleset);

// A rule of a policy, as its commands name it.
struct RuleName {
  Family family = Family::ip;
  std::string table;
  std::string chain;
  std::uint64_t handle = 0;
  friend auto operator<=>(const RuleName&, const RuleName&) = default;
};

// Which elements the rules of a changed ruleset count in.
struct CounterPlan {
  bool shared = false;               // they have room in the policy's map
  std::vector<std::uint32_t> fresh;  // elements of it that rules get which are new
};
// Gives the rules of `policy` in `ruleset`, known by their handles, the elements and beginnings
// that they have there, and the others elements that no rule of the policy has. Where there are too
// few of them, all get elements of a new map. `replaced` is another rule now, though the kernel may
// leave it its handle.
[[nodiscard]] CounterPlan keep_counters(const PolicyState& policy,
                                        const std::optional<RuleName>& replaced,
                                        imr::Ruleset& ruleset);
// Elements of the policy's map that none of its rules has, the least last.
[[nodiscard]] std::vector<std::uint32_t> free_elements(const PolicyState& policy);
// What CounterPlan::fresh had of rules that are gone.
[[nodiscard]] Status clear_counts(const kernel::Fd& map, const std::vector<std::uint32_t>& indices);

// Of the rules of `next` that are in `policy`: the lines that they were written in, and, with a new
// map, what they had counted in the old one.
void carry_rules(const PolicyState& policy, const std::optional<RuleName>& replaced, bool shared,
                 PolicyState& next);
// Adds what the old map has to what its rules count from. No program counts there any more.
[[nodiscard]] Status fold_counts(PolicyState& policy, const Paths& paths);

}  // namespace weir::service
