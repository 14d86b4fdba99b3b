// SPDX-License-Identifier: BSD-2-Clause
//
// Code that looks keys up in sets and maps, in the form that set_maps.h chose for each.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/builder.h"
#include "backend/set_maps.h"
#include "backend/start.h"
#include "backend/words.h"
#include "imr/imr.h"

namespace weir::backend {

// Ends the block: goes to hits[n] where the key lies in an element with answer n (of a set there
// is one, of verdict maps those of SetMaps::verdicts()), to `miss` when in none. The catch-all
// element is the caller's affair. `key` has set.key_size bytes.
struct SetSearch {
  const imr::Set& set;
  const SetPlace& place;
  std::vector<flow::BlockId> hits;
  flow::BlockId miss;
};
void search_set(Builder& out, const SetSearch& search, const Words& key, const Start& start);

// The data that the map has for the key, its catch-all element's where it has none; leaves to
// `absent` without either.
[[nodiscard]] Words look_up(Builder& out, const imr::Set& map, const SetPlace& place,
                            const Words& key, flow::BlockId absent, const Start& start);

}  // namespace weir::backend
