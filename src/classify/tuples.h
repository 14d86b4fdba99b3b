// SPDX-License-Identifier: BSD-2-Clause
//
// Merged tuples: rules are kept in hash tables, each with a prefix length for every field; a rule
// may stand in any table whose lengths are no longer than its own, so that a few tables hold all
// (J. Daly et al., "TupleMerge: Fast Software Packet Processing for Online Packet Classification",
// IEEE/ACM Transactions on Networking 27(4), 2019). Tables are searched in the order of their first
// rules, until none of those left could come before what was found.
//
// All is in flat arrays, as a program can walk them in the value of one map:
//   rows     one a table: its first rule, the place of its slots, their number less one, masks
//   slots    the number of an entry, or none; a power of two for each table
//   entries  one a rule: masks and values of the key's words, ranges of the fields that are no
//            prefixes, the rule, and the next entry of the same slot, in the order of rules
#pragma once

#include <memory>

#include "classify/structure.h"

namespace weir::classify {

// Nothing for keys of more than 8 words of 64 bits.
[[nodiscard]] std::unique_ptr<Structure> build_tuples(const RuleList& rules);

}  // namespace weir::classify
