// SPDX-License-Identifier: BSD-2-Clause
//
// Lowering: IMR to flow. Reads units that passed imr::verify() and hold no native statement; the
// result passes flow::verify().
#pragma once

#include <memory>
#include <span>

#include "backend/dynamic_sets.h"
#include "backend/profile.h"
#include "backend/run_maps.h"
#include "backend/set_maps.h"
#include "base/error.h"
#include "flow/flow.h"
#include "imr/imr.h"

namespace weir::backend {

// Maps that programs of one object share, by their index in Function::maps.
struct SharedMaps {
  isa::MapIndex counters;               // not valid: nothing is counted
  isa::MapIndex trace;                  // not valid: nothing is traced
  isa::MapIndex meters;                 // their words; not valid: no rule takes from one
  isa::MapIndex log;                    // the ring of records; not valid: no rule logs
  isa::MapIndex answers;                // where they are made; not valid: no rule answers
  isa::MapIndex opaque;                 // made on demand: an array whose one value is a zero
  std::shared_ptr<const SetMaps> sets;  // none: lower() makes those of its units
  std::shared_ptr<const DynamicMaps> dynamic_sets;  // the same
  std::shared_ptr<const RunMaps> runs;              // the same
};

// Words of the packet and the context that one program keeps for several rules, at most.
constexpr unsigned most_shared_words = 24;

// Each return that a program knows is one more way for the kernel's verifier to walk.
constexpr unsigned most_direct_returns = 6;
constexpr unsigned any_direct_returns = 0xffffffff;
// So is each round of a search that follows another, some 70 instructions.
constexpr std::size_t most_direct_rounds = 1000;
constexpr std::size_t any_direct_rounds = 0xffffffff;

struct LowerOptions {
  bool drop_unparsable = true;
  unsigned shared_words = most_shared_words;  // fewer need less stack
  // Where more rules than that jump to chains which several rules jump to, those chains end in a
  // `dispatch`, and the function has to be split.
  unsigned direct_returns = most_direct_returns;
  // The same where searches in a run of rules may take more rounds than that.
  std::size_t direct_rounds = most_direct_rounds;
};

// One function of one or two units (an XDP program serves both protocols); all units name the same
// hook. `function` holds the maps so far and gets its blocks; its maps may grow. A meta or
// conntrack key that the hook cannot know is an input error that names it and the rule.
[[nodiscard]] Status lower(std::span<const imr::Unit> units, const Profile& profile,
                           const LowerOptions& options, SharedMaps& shared,
                           flow::Function& function);

}  // namespace weir::backend
