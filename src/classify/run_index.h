// SPDX-License-Identifier: BSD-2-Clause
//
// A run of rules made ready to be searched by a program.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "classify/bit_vectors.h"
#include "classify/decision_tree.h"
#include "classify/runs.h"
#include "classify/structure.h"
#include "classify/tuples.h"
#include "imr/imr.h"

namespace weir::classify {

struct RunIndex {
  Run run;
  std::variant<DecisionTree, BitVectors, TupleTables> structure;
  std::vector<Estimate> estimates;  // of all structures that could be asked for

  // As make_run(). The structure is that whose searches take least, or the one that is asked for;
  // nothing where it does not suit.
  [[nodiscard]] static std::optional<RunIndex> make(const imr::Unit& unit,
                                                    std::span<const imr::RuleId> rules,
                                                    bool matched, std::optional<Kind> asked_for);
  [[nodiscard]] Kind kind() const;
  // Whether a packet may meet several rules.
  [[nodiscard]] bool goes_on() const;
  // What its searches for a packet take on average, about, in ns, those of sets included.
  [[nodiscard]] double cost() const;
  // Of the loop that searches, how often it may go round; 1 where there is none. Rounds that take
  // the kernel's verifier longer count as several.
  [[nodiscard]] std::size_t longest_search() const;
  // How often a packet searches in tables, at most: once more than it meets rules behind which it
  // goes on.
  [[nodiscard]] std::size_t searches() const;

 private:
  // Of the rules of one slot behind which a packet goes on, those that it may meet, at most.
  [[nodiscard]] std::size_t stops(const TupleTables& tables, std::uint32_t first_entry) const;
};

}  // namespace weir::classify
