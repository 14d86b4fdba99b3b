// SPDX-License-Identifier: BSD-2-Clause
//
// A run of rules made ready to be searched by a program.
#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include "classify/runs.h"
#include "classify/tuples.h"
#include "imr/imr.h"

namespace weir::classify {

struct RunIndex {
  Run run;
  TupleTables tables;

  // As make_run(). Nothing, too, where the key is too long for tables.
  [[nodiscard]] static std::optional<RunIndex> make(const imr::Unit& unit,
                                                    std::span<const imr::RuleId> rules,
                                                    bool matched);
  // Whether a packet may meet several rules.
  [[nodiscard]] bool goes_on() const;
  // How often a packet searches, at most: once more than it meets rules behind which it goes on.
  [[nodiscard]] std::size_t searches() const;
  // What the searches for a packet take on average, about, in ns.
  [[nodiscard]] double cost() const;

 private:
  // Of the rules of one slot behind which a packet goes on, those that it may meet, at most.
  [[nodiscard]] std::size_t stops(std::uint32_t first_entry) const;
};

}  // namespace weir::classify
