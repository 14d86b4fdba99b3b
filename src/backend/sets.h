// SPDX-License-Identifier: BSD-2-Clause
//
// Sets and verdict maps as code or eBPF maps, whichever suits their size and type:
//   code          few elements: a binary search over constants in the program
//   hash map      many single values
//   sorted array  many intervals of up to 8 bytes: binary search in one map value
//   LPM trie      many intervals of more than 8 bytes, each cut into prefixes
#pragma once

#include <cstdint>
#include <vector>

#include "backend/builder.h"
#include "backend/words.h"
#include "imr/imr.h"

namespace weir::backend {

enum class SetForm : std::uint8_t { code, hash, sorted_array, lpm_trie };
[[nodiscard]] SetForm set_form(const imr::Set& set);

// Ends the block: goes to hits[classes[i]] when the key lies in element i, to `miss` when in none
// (the catch-all element is the caller's affair). `key` has set.key_size bytes. Maps are made once
// for each set and list of classes, and found again by their names and contents.
struct SetSearch {
  const imr::Set& set;
  std::vector<std::uint32_t> classes;  // one for each element
  std::vector<flow::BlockId> hits;     // one for each class
  flow::BlockId miss;
};
void search_set(Builder& out, const SetSearch& search, const Words& key, flow::Reg opaque);

}  // namespace weir::backend
