// SPDX-License-Identifier: BSD-2-Clause
//
// Changes of a set in maps that programs are reading. An updatable set has two
// versions in its maps, and a bit says which one counts: the other one is
// written, the bit changes, and when no program can be in the old version any
// more, its entries are removed. A program reads the bits before the packet, so
// that each packet sees the old set or the new one.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/set_maps.h"
#include "base/bytes.h"
#include "base/error.h"
#include "imr/imr.h"

namespace weir::backend {

struct MapWrite {
  enum class Kind : std::uint8_t {
    put,     // the entry: key and value
    remove,  // the entry, if it is there
    patch,   // the value of the one element: bytes from `offset` on, the others
             // as they are
    bit,     // the bit `offset` of the value of the one element: that of `value`, a
             // byte of 0 or 1
  };
  Kind kind = Kind::put;
  isa::MapIndex map;
  Bytes key;
  Bytes value;
  std::uint64_t offset = 0;
};

struct SetUpdate {
  std::vector<MapWrite> prepare;  // touches nothing that a search reads
  MapWrite change;                // from here on searches see the new set
  // Once every program run that began before the change has ended (a grace
  // period of RCU).
  std::vector<MapWrite> clean_up;
};

// From the set as it is in the maps to `after`, with the version bit as it
// stands. An input error where the maps have no room, or the code no answer,
// for what is new: a catch-all element that comes, goes or changes, a verdict
// that no element had when the code was made.
[[nodiscard]] Result<SetUpdate> set_update(const UpdatableSet& set, const imr::Set& before,
                                           const imr::Set& after, std::uint32_t version);

}  // namespace weir::backend
